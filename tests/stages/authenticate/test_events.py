"""What logouts and events end, and what they leave alone; hostile ones are in tests/attacks/test_events.py."""

from pathlib import Path
from typing import Any

import pytest

from gateway.model.reason import Reason
from tests.control.receiving import CAEP, Receiving, receiving
from tests.stages.authenticate.asking import NOW

URL = "https://auth.example.com"
EARLIER = int(NOW) - 20
ALICE = {"format": "iss_sub", "iss": URL, "sub": "alice"}


LOGOUTS: list[tuple[str, dict[str, Any], dict[str, Any], bool]] = [
    ("a-sub-ends-all-of-the-subject", {}, {"sid": "s1"}, True),
    ("a-sub-ends-tokens-without-a-session", {}, {}, True),
    ("a-sub-leaves-others", {}, {"sub": "bob"}, False),
    ("a-sid-ends-its-session", {"sid": "s1", "sub": None}, {"sid": "s1"}, True),
    ("a-sid-leaves-other-sessions", {"sid": "s1"}, {"sid": "s2"}, False),
    ("a-sid-leaves-other-sessions-of-nobody", {"sid": "s1", "sub": None}, {"sid": "s2"}, False),
    ("a-sid-and-a-sub-end-tokens-that-name-no-session", {"sid": "s1"}, {}, True),
    ("a-sid-alone-leaves-tokens-that-name-no-session", {"sid": "s1", "sub": None}, {}, False),
    ("what-was-issued-later-stays", {"iat": EARLIER}, {"iat": EARLIER + 1}, False),
    ("by-the-issuers-clock-alone", {"iat": int(NOW) + 30, "exp": None}, {"iat": int(NOW) + 29}, True),
    ("what-was-issued-in-that-second-goes", {"iat": EARLIER}, {"iat": EARLIER}, True),
]


@pytest.mark.parametrize(("said", "token", "ends"), [pytest.param(*case[1:], id=case[0]) for case in LOGOUTS])
async def test_what_a_logout_ends(said: dict[str, Any], token: dict[str, Any], ends: bool, tmp_path: Path) -> None:
    async with receiving(tmp_path) as held:
        assert (await held.log_out(held.logout_token(**said))).status == 200
        assert await held.judged(**token) is (Reason.TOKEN_REVOKED if ends else None)


@pytest.mark.parametrize("typ", ["logout+jwt", "application/Logout+JWT", "JWT", None])
async def test_the_type_of_a_logout_is_recommended_only(typ: str | None, tmp_path: Path) -> None:
    async with receiving(tmp_path) as held:
        assert (await held.log_out(held.logout_token(headers={"typ": typ}))).status == 200


def complex_subject(**parts: Any) -> dict[str, Any]:
    return {"sub_id": {"format": "complex", **parts}}


OPAQUE = {"format": "opaque", "id": "s1"}
LAPTOP = {"format": "opaque", "id": "laptop-7"}
BAD = {"current_status": "not-compliant", "previous_status": "compliant"}
EVENTS: list[tuple[str, str, dict[str, Any], dict[str, Any], bool]] = [
    ("iss-sub", "session-revoked", {}, {}, True),
    ("iss-sub-of-another", "session-revoked", {}, {"sub": "bob"}, False),
    ("opaque", "session-revoked", {"sub_id": {"format": "opaque", "id": "alice"}}, {}, True),
    ("email", "session-revoked", {"sub_id": {"format": "email", "email": "A@x.org"}}, {"email": "a@x.org"}, True),
    ("email-of-nobody", "session-revoked", {"sub_id": {"format": "email", "email": "a@x.org"}}, {}, False),
    ("jwt-id", "session-revoked", {"sub_id": {"format": "jwt_id", "iss": URL, "jti": "t1"}}, {"jti": "t1"}, True),
    ("jwt-id-of-another", "session-revoked", {"sub_id": {"format": "jwt_id", "iss": URL, "jti": "t1"}}, {}, False),
    ("aliases", "session-revoked", {"sub_id": {"format": "aliases", "identifiers": [LAPTOP, ALICE]}}, {}, True),
    ("a-subject-of-the-event", "session-revoked", {"sub_id": None, "event": {"subject": ALICE}}, {}, True),
    ("a-session", "session-revoked", complex_subject(session=OPAQUE, user=ALICE), {"sid": "s1"}, True),
    ("another-session", "session-revoked", complex_subject(session=OPAQUE, user=ALICE), {"sid": "s2"}, False),
    ("a-session-and-no-sid", "session-revoked", complex_subject(session=OPAQUE, user=ALICE), {}, True),
    ("a-session-of-nobody", "session-revoked", complex_subject(session=OPAQUE), {"sid": "s1"}, True),
    ("a-user", "session-revoked", complex_subject(user=ALICE), {"sid": "s2"}, True),
    ("complex-of-a-draft", "session-revoked", {"sub_id": {"user": ALICE}}, {}, True),
    ("credentials", "credential-change", {"event": {"change_type": "update"}}, {}, True),
    ("a-bad-device", "device-compliance-change", {"event": BAD}, {}, True),
    (
        "a-device-by-its-claim",
        "device-compliance-change",
        {**complex_subject(device=LAPTOP), "event": BAD},
        {"device": "laptop-7"},
        True,
    ),
    (
        "another-device",
        "device-compliance-change",
        {**complex_subject(device=LAPTOP), "event": BAD},
        {"device": "laptop-8"},
        False,
    ),
    ("a-good-device", "device-compliance-change", {"event": {"current_status": "compliant"}}, {}, False),
    ("an-event-of-another-kind", "token-claims-change", {"event": {"claims": {}}}, {}, False),
    ("issued-later", "session-revoked", {"event": {"event_timestamp": EARLIER}}, {"iat": EARLIER + 1}, False),
    ("issued-earlier", "session-revoked", {"event": {"event_timestamp": EARLIER}}, {"iat": EARLIER - 1}, True),
    ("an-event-of-the-future", "session-revoked", {"event": {"event_timestamp": NOW + 50}}, {"iat": NOW + 5}, False),
]


@pytest.mark.parametrize(("kind", "said", "token", "ends"), [pytest.param(*case[1:], id=case[0]) for case in EVENTS])
async def test_what_an_event_ends(
    kind: str, said: dict[str, Any], token: dict[str, Any], ends: bool, tmp_path: Path
) -> None:
    async with receiving(tmp_path) as held:
        assert (await held.signal(held.event_token(kind, **said))).status == 202
        assert await held.judged(**token) is (Reason.TOKEN_REVOKED if ends else None)


async def test_several_events_of_one_token_all_take_effect(tmp_path: Path) -> None:
    async with receiving(tmp_path) as held:
        events = {
            CAEP + "session-revoked": {"subject": ALICE},
            CAEP + "credential-change": {"subject": {**ALICE, "sub": "bob"}},
        }
        assert (await held.signal(held.event_token(sub_id=None, events=events))).status == 202
        assert await held.judged() is Reason.TOKEN_REVOKED
        assert await held.judged(sub="bob") is Reason.TOKEN_REVOKED


async def test_an_event_that_ends_nothing_yet_is_remembered(tmp_path: Path) -> None:
    async with receiving(tmp_path) as held:
        event = held.event_token("device-compliance-change", event={"current_status": "compliant"})
        assert [(await held.signal(event)).status for _ in range(2)] == [202, 202]
        await _counted(held, "taken", 1)
        await _counted(held, "repeated", 1)


async def _counted(held: Receiving, result: str, times: float) -> None:
    kind = "device-compliance-change"
    assert held.metrics.security_events.labels("corp", kind, result).value == times
