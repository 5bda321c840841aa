"""The deny list as the stage asks it: what a revocation means, and what is not known."""

import pytest

from gateway.model.reason import Reason
from gateway.stages.authenticate.revoked import WHENEVER, Kind, Revocation, RevokedTokens, mark
from gateway.testing.clock import Clock
from gateway.testing.issuer import Issuer
from tests.stages.authenticate.asking import NO_TRUST, NOW, reason, request, stage, trusted

ISSUER = Issuer(clock=Clock(NOW))
REVOCABLE = trusted(ISSUER, revocable=True, device_claims=("device",))
LATER = NOW + 3600


def revoked(*revocations: Revocation) -> RevokedTokens:
    held = RevokedTokens()
    held.known = True
    held.take(revocations)
    return held


def ends(kind: Kind, value: str, before: float = NOW, issuer: str = ISSUER.url) -> Revocation:
    return Revocation(mark(kind, issuer, value), before, LATER)


CASES = [
    ("subject", ends(Kind.SUBJECT, "alice"), {}, True),
    ("another-subject", ends(Kind.SUBJECT, "bob"), {}, False),
    ("subject-of-another-issuer", ends(Kind.SUBJECT, "alice", issuer="https://other.example"), {}, False),
    ("issued-later", ends(Kind.SUBJECT, "alice", NOW - 1), {}, False),
    ("issued-in-that-second", ends(Kind.SUBJECT, "alice", NOW), {}, True),
    ("issued-earlier", ends(Kind.SUBJECT, "alice", NOW + 5), {}, True),
    ("without-iat", ends(Kind.SUBJECT, "alice", NOW - 1), {"iat": None}, True),
    ("session", ends(Kind.SESSION, "s1"), {"sid": "s1"}, True),
    ("another-session", ends(Kind.SESSION, "s1"), {"sid": "s2"}, False),
    ("a-session-is-no-subject", ends(Kind.SESSION, "alice"), {}, False),
    ("sessionless", ends(Kind.SESSIONLESS, "alice"), {}, True),
    ("sessionless-with-another-session", ends(Kind.SESSIONLESS, "alice"), {"sid": "s2"}, False),
    ("token", ends(Kind.TOKEN, "t1", WHENEVER), {"jti": "t1"}, True),
    ("another-token", ends(Kind.TOKEN, "t1", WHENEVER), {"jti": "t2"}, False),
    ("email", ends(Kind.EMAIL, "alice@example.com"), {"email": "Alice@Example.com"}, True),
    ("device", ends(Kind.DEVICE, "laptop-7"), {"device": "laptop-7"}, True),
    ("another-device", ends(Kind.DEVICE, "laptop-7"), {"device": "laptop-8"}, False),
]


@pytest.mark.parametrize(
    ("revocation", "claims", "refused"), [pytest.param(*case[1:], id=f"J36-{case[0]}") for case in CASES]
)
async def test_what_a_revocation_ends_cached_or_not(
    revocation: Revocation, claims: dict[str, object], refused: bool
) -> None:
    held = revoked()
    served = stage([REVOCABLE], NO_TRUST, revoked=held)
    ctx = request(f"Bearer {ISSUER.token(**claims)}")  # type: ignore[arg-type]
    assert await reason(served, ctx) is None  # verified, and remembered
    held.take([revocation])
    assert await reason(served, ctx) is (Reason.TOKEN_REVOKED if refused else None)


async def test_a_list_that_was_never_read_is_no_empty_list() -> None:
    served = stage([REVOCABLE], NO_TRUST, revoked=RevokedTokens())
    assert await reason(served, request(f"Bearer {ISSUER.token()}")) is Reason.STORE_UNAVAILABLE


async def test_issuers_that_end_nothing_ask_nothing() -> None:
    served = stage([trusted(ISSUER)], NO_TRUST, revoked=RevokedTokens())
    assert await reason(served, request(f"Bearer {ISSUER.token()}")) is None


async def test_an_expired_token_is_expired_whoever_revoked_it() -> None:
    served = stage([REVOCABLE], NO_TRUST, revoked=revoked(ends(Kind.SUBJECT, "alice")))
    late = request(f"Bearer {ISSUER.token(exp=int(NOW) + 1)}", now=NOW + 600)
    assert await reason(served, late) is Reason.TOKEN_EXPIRED


def test_the_later_end_holds_whatever_comes_first() -> None:
    first, second = ends(Kind.SUBJECT, "alice", NOW - 10), ends(Kind.SUBJECT, "alice", NOW - 5)
    for order in ([first, second], [second, first]):
        (held,) = revoked(*order)
        assert held.before == NOW - 5


def test_what_is_over_is_forgotten_and_the_rest_is_not() -> None:
    over = Revocation(mark(Kind.SUBJECT, ISSUER.url, "bob"), NOW, NOW + 1)
    held = revoked(over, ends(Kind.SUBJECT, "alice"))
    held.forget(NOW + 1)
    assert [each.until for each in held] == [LATER]


def test_only_what_is_new_is_told() -> None:
    told: list[int] = []
    held = revoked()
    held.on_change.append(lambda: told.append(len(held)))
    held.take([ends(Kind.SUBJECT, "alice")])
    held.take([ends(Kind.SUBJECT, "alice")])
    held.take([])
    assert told == [1]
