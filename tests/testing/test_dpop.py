"""The holder's proofs hold by joserfc's own reading."""

from hashlib import sha256

import pytest
from joserfc import jwt

from gateway.testing.clock import Clock
from gateway.testing.dpop import Holder
from gateway.testing.issuer import base64url


@pytest.mark.parametrize("algorithm", ["ES256", "Ed25519"])
def test_a_proof_verifies_by_the_key_that_it_brings_along(algorithm: str) -> None:
    holder = Holder(algorithm, clock=Clock(1000.0))
    token = jwt.decode(holder.proof("GET", "https://a/b", "t"), holder.key.jwk, algorithms=[algorithm])
    assert token.header == {"typ": "dpop+jwt", "alg": algorithm, "jwk": holder.public}
    jti = token.claims.pop("jti")
    ath = base64url(sha256(b"t").digest())
    assert token.claims == {"htm": "GET", "htu": "https://a/b", "iat": 1000, "ath": ath}
    assert jti not in holder.proof("GET", "https://a/b")
    assert "d" not in holder.public


def test_a_change_is_one_argument() -> None:
    holder = Holder()
    changed = jwt.decode(holder.proof("GET", "https://a/b", jti=None, nonce="n"), holder.key.jwk, algorithms=["ES256"])
    assert "jti" not in changed.claims
    assert changed.claims["nonce"] == "n"
