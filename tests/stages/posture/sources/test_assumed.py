from gateway.stages.posture import Known
from gateway.stages.posture.sources.assumed import AssumedSource
from tests.facts import NOW, principal


async def test_what_is_assumed_is_known_of_every_device() -> None:
    assert await AssumedSource({"os": 1})("any", principal(), NOW) == Known({"os": 1}, NOW)
    assert await AssumedSource({"observed_at": 7})("any", principal(), NOW) == Known({"observed_at": 7}, 7.0)
    assert await AssumedSource(None)("any", principal(), NOW) is None
