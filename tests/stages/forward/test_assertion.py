"""The assertion of one request: what it says, whom it may serve again, and who can read it."""

import dataclasses
from collections.abc import Mapping

import pytest

from gateway.kernel.es256 import Es256Key, key_set, made_of
from gateway.model.permit import Permit
from gateway.model.principal import User, Workload
from gateway.model.reason import Reason
from gateway.model.refused import Refused
from gateway.stages.forward.assertion import _REMEMBERED, Assertion, Assertions
from tests.assertions import read
from tests.exchange import WORKLOAD, context, head, permit, user

OWN = "spiffe://cluster.local/ns/gateway/sa/gateway"
NOW = 1_800_000_000.0


class Keys:
    """A source whose key a test can change."""

    def __init__(self) -> None:
        self.current: Es256Key = made_of(b"1" * 32)


class Scene:
    """The assertions of a snapshot."""

    def __init__(self, issuer: str | None = OWN) -> None:
        self.keys = Keys()
        self.shared = Assertions(self.keys, lambda: issuer)

    def asserts(self, upstream: str = "stock", *claims: str) -> Assertion:
        return Assertion(self.shared, upstream, claims)

    def claims(self, token: bytes, audience: str = "stock", now: float = NOW) -> Mapping[str, object]:
        return read(token.decode(), key_set([self.keys.current.jwk]), audience, now=now)


def asked(user: User | None = None, workload: Workload | None = None, *, now: float = NOW) -> Permit:
    ctx = dataclasses.replace(context(head()), time=now)
    return permit(ctx, user=user, workload=workload)


def test_what_it_says_of_a_user_behind_a_workload() -> None:
    scene = Scene()
    claims = scene.claims(scene.asserts()(asked(user(), WORKLOAD)))
    jti = claims["jti"]
    assert isinstance(jti, str)
    assert len(jti) == 32
    assert claims == {
        "iss": OWN,
        "sub": "alice",
        "aud": "stock",
        "iat": int(NOW),
        "exp": int(NOW) + 60,
        "jti": jti,
        "user": {"issuer": "https://issuer.example", "subject": "alice"},
        "workload": WORKLOAD.id,
        "route": "r",
    }


def test_without_a_user_the_workload_is_the_subject() -> None:
    scene = Scene()
    claims = scene.claims(scene.asserts()(asked(None, WORKLOAD)))
    assert (claims["sub"], claims["workload"], "user" in claims) == (WORKLOAD.id, WORKLOAD.id, False)


def test_the_claims_of_the_routes_choice_are_repeated_and_no_others() -> None:
    scene = Scene()
    held = user(email="a@example.com", groups=["a", {"b": 1}], secret="x", name="Zoë")
    claims = scene.claims(scene.asserts("stock", "email", "groups", "name", "absent")(asked(held)))
    assert {name: claims.get(name) for name in ("email", "groups", "name")} == {
        "email": "a@example.com",
        "groups": ["a", {"b": 1}],
        "name": "Zoë",
    }
    assert {"secret", "absent"}.isdisjoint(claims)


def test_one_serves_the_same_caller_for_half_a_minute() -> None:
    scene, alice = Scene(), user()
    asserts = scene.asserts()
    first = asserts(asked(alice))
    assert asserts(asked(alice, now=NOW + 29.9)) == first
    later = asserts(asked(alice, now=NOW + 30))
    assert later != first
    assert scene.claims(later, now=NOW + 30)["iat"] == int(NOW) + 30


def test_a_clock_that_was_set_back_ends_its_use() -> None:
    scene, alice = Scene(), user()
    asserts = scene.asserts()
    assert asserts(asked(alice)) != asserts(asked(alice, now=NOW - 60))


@pytest.mark.parametrize("change", ["credential", "workload", "upstream", "key"])
def test_another_credential_workload_upstream_or_key_is_asserted_anew(change: str) -> None:
    scene, alice = Scene(), user()
    asserts, other = scene.asserts(), scene.asserts("other")
    first = asserts(asked(alice))
    if change == "key":
        scene.keys.current = made_of(b"2" * 32)
    second = {
        "credential": lambda: asserts(asked(user())),
        "workload": lambda: asserts(asked(alice, WORKLOAD)),
        "upstream": lambda: other(asked(alice)),
        "key": lambda: asserts(asked(alice)),
    }[change]()
    assert second != first
    assert scene.claims(second, "other" if change == "upstream" else "stock")["sub"] == "alice"


def test_two_routes_to_one_upstream_share_nothing() -> None:
    scene, alice = Scene(), user()
    assert scene.asserts()(asked(alice)) != scene.asserts()(asked(alice))


def test_what_is_remembered_is_bounded_and_ends() -> None:
    scene = Scene()
    asserts = scene.asserts()
    for _ in range(_REMEMBERED + 10):
        asserts(asked(user()))
    assert len(scene.shared.made) == _REMEMBERED
    asserts(asked(user(), now=NOW + 31))
    assert len(scene.shared.made) == 1


def test_without_a_name_it_asserts_nothing() -> None:
    with pytest.raises(Refused) as refused:
        Scene(issuer=None).asserts()(asked(user()))
    assert refused.value.reason is Reason.IDENTITY_UNAVAILABLE
