import pytest

from gateway.kernel.cel import CelInvalid
from gateway.model.json import JSON
from gateway.model.reason import Reason
from gateway.model.refused import Refused
from gateway.stages.posture import Known, Requirement, compile_require
from gateway.stages.posture.sources.assumed import AssumedSource
from tests.facts import NOW

MANAGED = Requirement(
    "managed",
    AssumedSource(None),
    None,
    tuple(map(compile_require, ["device.disk_encrypted", "device.os_patch_age_days <= 30"])),
    3600.0,
    "https://help.example.com",
    shadow=False,
    where=None,
)
GOOD: dict[str, JSON] = {"disk_encrypted": True, "os_patch_age_days": 30}


def refusal(known: Known | None, now: float = NOW) -> Reason | None:
    try:
        MANAGED.judge(known, now)
    except Refused as refused:
        return refused.reason
    return None


@pytest.mark.parametrize(
    ("facts", "reason"),
    [
        (GOOD, None),
        ({**GOOD, "more": 1}, None),
        ({**GOOD, "disk_encrypted": False}, Reason.POSTURE_FAILED),
        ({**GOOD, "disk_encrypted": "true"}, Reason.POSTURE_FAILED),
        ({**GOOD, "disk_encrypted": 1}, Reason.POSTURE_FAILED),
        ({**GOOD, "os_patch_age_days": 31}, Reason.POSTURE_FAILED),
        ({**GOOD, "os_patch_age_days": "3"}, Reason.POSTURE_FAILED),
        ({"disk_encrypted": True}, Reason.POSTURE_FAILED),
        ({}, Reason.POSTURE_FAILED),
    ],
)
def test_every_condition_must_be_true(facts: dict[str, JSON], reason: Reason | None) -> None:
    assert refusal(Known(facts, NOW)) is reason


def test_nothing_known_is_a_failure() -> None:
    assert refusal(None) is Reason.POSTURE_FAILED


@pytest.mark.parametrize(
    ("observed", "reason"),
    [
        (NOW - 3599, None),
        (NOW - 3600, Reason.POSTURE_STALE),
        (NOW + 60, None),
        (NOW + 61, Reason.POSTURE_STALE),
        (float("-inf"), Reason.POSTURE_STALE),
        (float("inf"), Reason.POSTURE_STALE),
        (float("nan"), Reason.POSTURE_STALE),
    ],
)
def test_old_facts_are_stale_and_so_are_those_of_a_time_to_come(observed: float, reason: Reason | None) -> None:
    assert refusal(Known(GOOD, observed)) is reason


def test_a_refusal_points_to_what_would_help() -> None:
    with pytest.raises(Refused) as refused:
        MANAGED.judge(None, NOW)
    assert refused.value.remediation == "https://help.example.com"


def test_the_detail_names_what_is_not_met_and_no_fact() -> None:
    with pytest.raises(Refused) as refused:
        MANAGED.judge(Known({"disk_encrypted": "secret", "os_patch_age_days": 3}, NOW), NOW)
    assert refused.value.detail == "managed: not met: device.disk_encrypted"


@pytest.mark.parametrize("text", ["claims.a == 1", "device.a +", "device"])
def test_conditions_are_over_the_device_alone(text: str) -> None:
    with pytest.raises(CelInvalid):
        compile_require(text)
