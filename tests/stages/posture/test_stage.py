"""Facts, refusals, and the shadow, where a route asks for a posture."""

from dataclasses import replace

import pytest

from gateway.model.json import Claims
from gateway.model.posture import Posture
from gateway.model.principal import Principal
from gateway.model.reason import Effect, Reason
from gateway.model.refused import Refused
from gateway.model.route import Route
from gateway.model.shadow import Shadow
from gateway.stages.posture import JudgePosture, Known, Requirement, Unavailable, compile_device, compile_require
from tests.due import due
from tests.facts import NOW, context, principal, user

ROUTE = Route("r", 0, False, None, "")
ALICE = principal(None, user(device_id="laptop-1"))
GOOD: Claims = {"encrypted": True}


class Source:
    """Says what it is told to say, and remembers of which device it was asked."""

    def __init__(self, facts: Claims | None = GOOD, *, age: float = 0.0, down: bool = False) -> None:
        self.facts, self.age, self.down = facts, age, down
        self.asked: list[str] = []

    async def __call__(self, device: str, principal: Principal, now: float) -> Known | None:
        self.asked.append(device)
        if self.down:
            raise Unavailable("inventory.internal does not answer")
        return None if self.facts is None else Known(self.facts, now - self.age)


def stage(source: Source, *, shadow: bool = False, device: str | None = "claims.device_id") -> JudgePosture:
    requirement = Requirement(
        "managed",
        source,
        None if device is None else compile_device(device),
        (compile_require("device.encrypted"),),
        60.0,
        "https://help.example.com",
        shadow,
        None,
    )
    return JudgePosture({0: requirement})


async def ask(judge: JudgePosture, who: Principal = ALICE) -> Posture | None:
    return await due(judge(context(), ROUTE, who))


async def refused(judge: JudgePosture, who: Principal = ALICE) -> Refused:
    with pytest.raises(Refused) as caught:
        await ask(judge, who)
    return caught.value


async def test_a_route_that_asks_for_nothing_is_told_nothing() -> None:
    source = Source()
    assert stage(source)(context(), replace(ROUTE, index=1), ALICE) is None
    assert source.asked == []


async def test_good_and_fresh_facts_are_for_the_rules_to_read_until_they_are_old() -> None:
    source = Source(age=10)
    assert await ask(stage(source)) == Posture("laptop-1", GOOD, NOW - 10, NOW + 50)
    assert source.asked == ["laptop-1"]


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        (Source({"encrypted": False}), Reason.POSTURE_FAILED),
        (Source(None), Reason.POSTURE_FAILED),
        (Source(age=60), Reason.POSTURE_STALE),
        (Source(down=True), Reason.POSTURE_UNAVAILABLE),
    ],
)
async def test_what_is_not_good_fresh_and_known_refuses(source: Source, reason: Reason) -> None:
    found = await refused(stage(source))
    assert found.reason is reason
    outage = reason is Reason.POSTURE_UNAVAILABLE
    assert found.remediation == (None if outage else "https://help.example.com")
    assert found.retry_after == (1 if outage else None)
    assert found.posture is not None
    assert found.posture.device == "laptop-1"


async def test_a_caller_that_names_no_device_is_refused_unasked() -> None:
    source = Source()
    found = await refused(stage(source), principal(None, user()))
    assert found.reason is Reason.POSTURE_FAILED
    assert (found.posture, source.asked) == (None, [])


async def test_a_claim_needs_no_name_for_the_device() -> None:
    found = await ask(stage(Source(), device=None))
    assert found is not None
    assert found.device == "https://auth.example.com/alice"


@pytest.mark.parametrize(
    ("source", "effect"),
    [(Source(None), Effect.DENY), (Source(age=99), Effect.DENY), (Source(down=True), Effect.ERROR)],
)
async def test_Z19_a_shadow_is_recorded_and_decides_nothing(source: Source, effect: Effect) -> None:
    found = await ask(stage(source, shadow=True))
    assert found == Posture("laptop-1", {}, NOW, None, (Shadow("posture", "managed", effect, None),))


async def test_Z19_a_shadow_gives_the_rules_no_fact_to_grant_by() -> None:
    assert await ask(stage(Source(), shadow=True)) == Posture("laptop-1", {}, NOW)
    nameless = await ask(stage(Source(), shadow=True), principal(None, user()))
    assert nameless is not None
    assert nameless.shadows
