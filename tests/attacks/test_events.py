"""Hostile logouts and security events, each beside one that differs only in what is attacked and is taken.

What is not taken ends nothing, and its answer says no more than the class of its failure.
"""

import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gateway.model.reason import Reason
from gateway.testing.issuer import Issuer, SigningKey, tampered
from tests.control.receiving import AUDIENCE, CAEP, LOGGED_OUT, Receiving, members, receiving
from tests.stages.authenticate.asking import NOW

Make = Callable[[Receiving], str]
STRANGER = SigningKey("ES256")
SUBJECT = {"format": "iss_sub", "iss": "https://auth.example.com", "sub": "alice"}


def by(held: Receiving, key: SigningKey, **claims: Any) -> str:
    """By a key of somebody else, under the name of one of the issuer's."""
    key.kid = held.issuer.keys[0].kid
    return held.logout_token(key=key, **claims)


def hmac(held: Receiving) -> str:
    return held.logout_token(headers={"alg": "HS256"}, sign=lambda _: secrets.token_bytes(32))


LOGOUTS: list[tuple[str, Make]] = [
    ("J1-not-a-jws", lambda held: "gateway"),
    ("J1-five-segments", lambda held: held.logout_token() + ".a.b"),
    ("J2-padding", lambda held: held.logout_token() + "="),
    ("J5-a-member-twice", lambda held: held.logout_token(raw_payload=b'{"iss":"a","iss":"b"}')),
    ("J8-crit", lambda held: held.logout_token(headers={"crit": ["exp"]})),
    ("J11-an-algorithm-that-is-not-listed", lambda held: held.logout_token(headers={"alg": "ES384"})),
    ("J12-none", lambda held: held.logout_token(headers={"alg": "none"}, sign=lambda _: b"")),
    ("J12-no-signature", lambda held: held.logout_token(sign=lambda _: b"")),
    ("J13-hmac", hmac),
    ("J14-a-key-of-its-own", lambda held: by(held, STRANGER, headers={"jwk": STRANGER.public()})),
    ("J15-an-unknown-kid", lambda held: held.logout_token(headers={"kid": "../../keys"})),
    ("J16-anothers-key", lambda held: by(held, STRANGER)),
    ("J16-tampered", lambda held: tampered(held.logout_token(sub="bob"), sub="alice")),
    ("J21-another-issuer", lambda held: held.logout_token(iss="https://auth.example.com/")),
    ("J21-no-issuer", lambda held: held.logout_token(iss=None)),
    ("J22-another-client", lambda held: held.logout_token(aud="other")),
    ("J22-the-audience-of-access-tokens", lambda held: held.logout_token(aud="api-service")),
    ("J22-no-audience", lambda held: held.logout_token(aud=None)),
    ("J22-an-audience-that-is-no-name", lambda held: held.logout_token(aud=["gateway", 1])),
    ("J23-expired", lambda held: held.logout_token(iat=int(NOW) - 200, exp=int(NOW) - 61)),
    ("J23-no-iat", lambda held: held.logout_token(iat=None)),
    ("J23-iat-is-no-number", lambda held: held.logout_token(iat=True)),
    ("J23-of-the-future", lambda held: held.logout_token(iat=int(NOW) + 90)),
    ("J23-of-long-ago", lambda held: held.logout_token(iat=int(NOW) - 400, exp=None)),
    ("J25-an-access-token", lambda held: held.issuer.token(aud="gateway")),
    ("J25-an-access-token-with-events", lambda held: held.logout_token(headers={"typ": "at+jwt"})),
    ("J25-an-event", lambda held: held.logout_token(headers={"typ": "secevent+jwt"})),
    ("J25-an-id-token", lambda held: held.logout_token(headers={"typ": "JWT"}, nonce="n")),
    ("J25-a-nonce", lambda held: held.logout_token(nonce="n")),
    ("J25-a-nonce-of-null", lambda held: held.logout_token(raw_payload=_payload(held, b', "nonce": null}'))),
    ("J25-no-events", lambda held: held.logout_token(events=None)),
    ("J25-another-event", lambda held: held.logout_token(events={CAEP + "session-revoked": {}})),
    ("J25-events-is-a-list", lambda held: held.logout_token(events=[*LOGGED_OUT])),
    ("J25-the-event-is-no-object", lambda held: held.logout_token(events=dict.fromkeys(LOGGED_OUT, True))),
    ("J27-nobody", lambda held: held.logout_token(sub=None)),
    ("J27-a-subject-that-is-no-string", lambda held: held.logout_token(sub=7)),
    ("J27-an-empty-session", lambda held: held.logout_token(sid="")),
    ("J35-no-jti", lambda held: held.logout_token(jti=None)),
    ("J35-an-empty-jti", lambda held: held.logout_token(jti="")),
]


def _payload(held: Receiving, more: bytes) -> bytes:
    text = f'{{"iss": "{held.issuer.url}", "aud": "gateway", "iat": {int(NOW)}, "jti": "x", "sub": "alice", "events": '
    return text.encode() + b'{"http://schemas.openid.net/event/backchannel-logout": {}}' + more


EVENTS: list[tuple[str, Make, str]] = [
    ("J1-not-a-jws", lambda held: "gateway", "invalid_request"),
    ("J11-an-algorithm-that-is-not-listed", lambda held: held.event_token(headers={"alg": "ES384"}), "invalid_key"),
    ("J12-none", lambda held: held.event_token(headers={"alg": "none"}, sign=lambda _: b""), "invalid_key"),
    ("J15-an-unknown-kid", lambda held: held.event_token(headers={"kid": "k"}), "invalid_key"),
    ("J16-tampered", lambda held: tampered(held.event_token(), jti="other"), "invalid_key"),
    ("J21-another-issuer", lambda held: held.event_token(iss="https://evil.example"), "invalid_issuer"),
    ("J22-another-receiver", lambda held: held.event_token(aud="gateway"), "invalid_audience"),
    ("J22-no-audience", lambda held: held.event_token(aud=None), "invalid_audience"),
    ("J23-no-iat", lambda held: held.event_token(iat=None), "invalid_request"),
    ("J23-of-the-future", lambda held: held.event_token(iat=int(NOW) + 90), "invalid_request"),
    ("J23-expired", lambda held: held.event_token(exp=int(NOW) - 61), "invalid_request"),
    ("J23-of-last-month", lambda held: held.event_token(iat=int(NOW) - 30 * 86400), "invalid_request"),
    ("J25-no-type", lambda held: held.event_token(headers={"typ": None}), "invalid_request"),
    ("J25-an-access-token", lambda held: held.issuer.token(aud=AUDIENCE), "invalid_request"),
    ("J25-a-logout", lambda held: held.logout_token(aud=AUDIENCE), "invalid_request"),
    ("J25-no-events", lambda held: held.event_token(events=None), "invalid_request"),
    ("J25-empty-events", lambda held: held.event_token(events={}), "invalid_request"),
    ("J25-an-event-that-is-no-object", lambda held: held.event_token(events={CAEP + "x": 1}), "invalid_request"),
    ("J27-no-subject", lambda held: held.event_token(sub_id=None), "invalid_request"),
    (
        "J27-a-subject-of-another-issuer",
        lambda held: held.event_token(sub_id={**SUBJECT, "iss": "x"}),
        "invalid_issuer",
    ),
    ("J27-a-format-of-nobody", lambda held: held.event_token(sub_id={"format": "did", "url": "x"}), "invalid_issuer"),
    ("J27-a-format-without-its-member", lambda held: held.event_token(sub_id={"format": "opaque"}), "invalid_request"),
    ("J27-a-subject-that-is-no-string", lambda held: held.event_token(sub_id={**SUBJECT, "sub": 7}), "invalid_request"),
    (
        "J27-aliases-in-aliases",
        lambda held: held.event_token(sub_id={"format": "aliases", "identifiers": [{"format": "aliases"}]}),
        "invalid_request",
    ),
    (
        "J27-a-status-that-says-nothing",
        lambda held: held.event_token("device-compliance-change", event={"current_status": "fine"}),
        "invalid_request",
    ),
    ("J35-no-jti", lambda held: held.event_token(jti=None), "invalid_request"),
]


@pytest.mark.parametrize("make", [pytest.param(make, id=name) for name, make in LOGOUTS])
async def test_a_hostile_logout_ends_nothing(make: Make, tmp_path: Path) -> None:
    async with receiving(tmp_path) as held:
        answer = await held.log_out(make(held))
        assert answer.status == 400
        assert answer.value("cache-control") == "no-store"
        assert members(answer)["error"] == "invalid_request"
        assert len(held.feed.tokens) == 0
        assert await held.judged() is None
        right = await held.log_out(held.logout_token())
        assert (right.status, right.body, right.value("cache-control")) == (200, b"", "no-store")
        assert await held.judged() is Reason.TOKEN_REVOKED


@pytest.mark.parametrize(("make", "error"), [pytest.param(make, error, id=name) for name, make, error in EVENTS])
async def test_a_hostile_event_ends_nothing(make: Make, error: str, tmp_path: Path) -> None:
    async with receiving(tmp_path) as held:
        answer = await held.signal(make(held))
        assert (answer.status, answer.value("content-type")) == (400, "application/json")
        assert members(answer)["err"] == error
        assert len(held.feed.tokens) == 0
        assert await held.judged() is None
        assert (await held.signal(held.event_token())).status == 202
        assert await held.judged() is Reason.TOKEN_REVOKED


async def test_J35_a_logout_counts_once_and_an_event_takes_effect_once(tmp_path: Path) -> None:
    async with receiving(tmp_path) as held:
        logout, event = held.logout_token(), held.event_token()
        assert [(await held.log_out(logout)).status for _ in range(2)] == [200, 400]
        assert [(await held.signal(event)).status for _ in range(2)] == [202, 202]
        held.clock.advance(30)
        assert await held.judged() is None  # neither can be replayed against who has logged in again
        assert (await held.log_out(logout)).status == 400
        assert await held.judged() is None


async def test_J33_an_answer_holds_nothing_of_the_token(tmp_path: Path) -> None:
    async with receiving(tmp_path) as held:
        for number, (_, make) in enumerate(LOGOUTS):
            body = (await held.log_out(make(held), client=f"203.0.113.{number}")).body.decode()
            assert body
            assert not any(value in body for value in ("alice", '"gateway"', "auth.example", "api-service", "other"))


async def test_J6_a_form_is_read_in_one_way_only(tmp_path: Path) -> None:
    async with receiving(tmp_path) as held:
        token = held.logout_token().encode()
        for body in (
            b"logout_token=" + token + b"&logout_token=" + token,
            b"Logout_Token=" + token,
            b"",
            b"logout_token",
            b"logout_token=\xff",
            token,
        ):
            assert (await held.log_out(body)).status == 400
        assert (await held.log_out(token, kind="application/jwt")).status == 400
        assert (await held.signal(held.event_token(), kind="application/json")).status == 400
        assert len(held.feed.tokens) == 0
        assert (
            await held.log_out(token.decode(), kind="application/x-www-form-urlencoded; charset=UTF-8")
        ).status == 200


async def test_R7_who_sends_nothing_good_costs_a_bounded_number_of_signatures(tmp_path: Path) -> None:
    async with receiving(tmp_path) as held:
        forged = [held.logout_token(sign=lambda _: b"x" * 64) for _ in range(40)]
        statuses = [(await held.log_out(token)).status for token in forged]
        assert statuses == [400] * 30 + [429] * 10
        good = held.logout_token()
        assert (await held.log_out(good)).status == 429
        assert (await held.log_out(good, client="203.0.113.8")).status == 200  # who is elsewhere is not held up
        for n in range(31):
            last = await held.signal("x", client=f"2001:db8::{n:x}")
        assert last.status == 429  # a network is one sender
        held.clock.advance(61)
        assert (await held.log_out(held.logout_token())).status == 200


async def test_H9_a_body_of_any_length_is_read_so_far_and_no_farther(tmp_path: Path) -> None:
    async with receiving(tmp_path) as held:
        assert (await held.signal(b"x" * 20_000)).status == 413
        assert (await held.signal(b"x" * 10_000)).status == 400


async def test_K7_keys_that_cannot_be_had_are_no_verdict(tmp_path: Path) -> None:
    async with receiving(tmp_path) as held:
        keys, held.keys.current = held.keys.current, None
        token = held.logout_token()
        assert (await held.log_out(token)).status == 503
        held.keys.current = keys
        assert (await held.log_out(token)).status == 200


async def test_A11_what_is_sent_is_recorded_and_a_flood_of_refusals_is_bounded(tmp_path: Path) -> None:
    async with receiving(tmp_path) as held:
        await held.log_out(held.logout_token())
        await held.signal(held.event_token("credential-change", event={"change_type": "revoke"}))
        await held.signal(held.event_token(aud="x"))
        recorded = [(each["action"], each["status"], each.get("subject")) for each in await held.records()]
    assert recorded == [
        ("logout corp: logout", 200, "alice"),
        ("signals corp: credential-change", 202, "alice"),
        ("signals corp: token_audience", 400, None),
    ]


async def test_J16_an_issuer_ends_no_token_of_another(tmp_path: Path) -> None:
    async with receiving(tmp_path) as held:
        other = Issuer("https://other.example", clock=held.clock)
        other.keys = held.issuer.keys  # even by the same key
        theirs = other.token("alice", aud="gateway", headers={"typ": "logout+jwt"}, events=LOGGED_OUT)
        assert (await held.log_out(theirs)).status == 400
        assert len(held.feed.tokens) == 0
