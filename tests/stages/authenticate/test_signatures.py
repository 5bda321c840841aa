"""Whose signature counts: by issuer and kid, and no verdict where an issuer's keys are not at hand."""

import pytest

from gateway.model.reason import Reason
from gateway.model.refused import Refused
from gateway.stages.authenticate.jose import take_apart
from gateway.stages.authenticate.signatures import check_algorithm, check_signature
from gateway.testing.issuer import Issuer
from tests.stages.authenticate.asking import Held, key_set, trusted

ISSUER = Issuer()


async def found(token: str, keys: Held, **settings: object) -> Reason | None:
    issuer = trusted(ISSUER, keys=keys, **settings)
    unverified = take_apart(token)
    try:
        check_algorithm(issuer, unverified)
        assert await check_signature(issuer, unverified) is keys.current
    except Refused as refused:
        return refused.reason
    return None


async def test_the_keys_that_proved_it_are_told() -> None:
    assert await found(ISSUER.token(), Held(key_set(ISSUER))) is None


@pytest.mark.parametrize(
    ("token", "expected"),
    [
        pytest.param(ISSUER.token(sign=lambda _: b"x" * 64), Reason.TOKEN_SIGNATURE, id="J16-forged"),
        pytest.param(ISSUER.token(headers={"kid": "other"}), Reason.TOKEN_KEY_UNKNOWN, id="J15-unknown-kid"),
        pytest.param(ISSUER.token(headers={"alg": "RS256"}), Reason.TOKEN_ALGORITHM, id="J11-a-key-for-another"),
        pytest.param(ISSUER.token(headers={"alg": "ES384"}), Reason.TOKEN_ALGORITHM, id="J11-not-listed"),
    ],
)
async def test_what_does_not_count(token: str, expected: Reason) -> None:
    assert await found(token, Held(key_set(ISSUER))) is expected


async def test_K7_an_issuer_that_cannot_be_asked_is_no_verdict() -> None:
    assert await found(ISSUER.token(), Held(None)) is Reason.KEYS_UNAVAILABLE
    keys = Held(key_set(ISSUER))
    keys.answers = False
    assert await found(ISSUER.token(headers={"kid": "other"}), keys) is Reason.KEYS_UNAVAILABLE
