from dataclasses import replace

import pytest

from gateway.model.json import JSON
from gateway.stages.posture import Known
from gateway.stages.posture.sources.claim import ClaimSource
from tests.facts import NOW, principal, user


@pytest.mark.parametrize(
    ("claims", "expected"),
    [
        ({"device": {"os": 1}, "iat": NOW - 60}, Known({"os": 1}, NOW - 60)),
        ({"device": {"os": 1}}, Known({"os": 1}, NOW)),
        ({"device": {"os": 1}, "iat": True}, Known({"os": 1}, NOW)),
        ({"device": {"observed_at": 5}, "iat": NOW}, Known({"observed_at": 5}, 5.0)),
        ({"device": "laptop"}, None),
        ({"device": ["laptop"]}, None),
        ({}, None),
    ],
)
async def test_a_claim_that_is_an_object_holds_facts_as_old_as_the_token(
    claims: dict[str, JSON], expected: Known | None
) -> None:
    who = principal(None, replace(user(), claims=claims))
    assert await ClaimSource("device")("alice", who, NOW) == expected


async def test_without_a_token_nothing_is_known() -> None:
    assert await ClaimSource("device")("alice", principal(), NOW) is None
