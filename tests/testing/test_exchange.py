"""Token exchange of the provider for trying things."""

from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import KeySet

from gateway.testing.clock import Clock
from gateway.testing.exchange import ACCESS_TOKEN, exchanged
from gateway.testing.issuer import Issuer

CLOCK = Clock()
ISSUER = Issuer(clock=CLOCK)


def asked(token: str, **form: str) -> dict[str, Any]:
    values = {"subject_token": token, "subject_token_type": ACCESS_TOKEN, "audience": "stock", **form}
    return exchanged(ISSUER, "gateway", {"stock"}, values, 300)


def test_the_new_token_is_for_the_audience_by_whom_it_was_asked_and_lives_no_longer() -> None:
    answer = asked(ISSUER.token("alice", lifetime=60, scope="read write", team="blue"), scope="read")
    claims = jwt.decode(answer["access_token"], KeySet.import_key_set(ISSUER.jwks()), ["ES256"]).claims
    assert (claims["sub"], claims["aud"], claims["scope"], claims["team"]) == ("alice", "stock", "read", "blue")
    assert claims["act"] == {"sub": "gateway"}
    assert answer["expires_in"] == claims["exp"] - claims["iat"] == 60
    assert answer["issued_token_type"] == ACCESS_TOKEN


@pytest.mark.parametrize(
    ("token", "form", "error"),
    [
        ({}, {"audience": "other"}, "invalid_target"),
        ({"scope": "read"}, {"scope": "write"}, "invalid_scope"),
        ({}, {"subject_token_type": "x"}, "invalid_request"),
        ({}, {"requested_token_type": "x"}, "invalid_request"),
        ({"sign": lambda _: b""}, {}, "invalid_request"),
        ({"lifetime": -1}, {}, "invalid_grant"),
        ({"iss": "https://other.example"}, {}, "invalid_grant"),
    ],
)
def test_what_is_refused(token: dict[str, Any], form: dict[str, str], error: str) -> None:
    with pytest.raises(ValueError, match=error):
        asked(ISSUER.token(**token), **form)
