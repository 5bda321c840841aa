from collections.abc import Mapping

from gateway.model.json import Claims
from gateway.stages.posture import Known
from gateway.stages.posture.sources.file import FileSource
from tests.facts import NOW, principal


class Held:
    devices: Mapping[str, Claims] = {"laptop-1": {"os": 1}, "laptop-2": {"observed_at": "2026-01-01T00:00:00Z"}}
    written = NOW - 60


async def test_facts_are_as_old_as_they_say_else_as_the_file() -> None:
    source = FileSource(Held())
    assert await source("laptop-1", principal(), NOW) == Known({"os": 1}, NOW - 60)
    found = await source("laptop-2", principal(), NOW)
    assert found is not None
    assert found.observed == 1767225600.0
    assert await source("laptop-3", principal(), NOW) is None
