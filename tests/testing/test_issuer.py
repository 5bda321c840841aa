"""Tokens of the test issuer, read by the library that the gateway verifies with."""

import json

import pytest
from joserfc import jwt
from joserfc.errors import BadSignatureError
from joserfc.jwk import KeySet

from gateway.testing.clock import Clock
from gateway.testing.issuer import Issuer, SigningKey, tampered


@pytest.mark.parametrize("algorithm", ["RS256", "PS256", "ES256", "ES384", "Ed25519"])
def test_a_token_verifies_under_the_published_keys(algorithm: str) -> None:
    clock = Clock()
    issuer = Issuer("https://issuer.example", algorithm=algorithm, clock=clock)
    token = jwt.decode(issuer.token("bob", scope="read"), KeySet.import_key_set(issuer.jwks()), [algorithm])
    assert token.header == {"typ": "at+jwt", "alg": algorithm, "kid": issuer.keys[0].kid}
    assert token.claims["sub"] == "bob"
    assert token.claims["scope"] == "read"
    assert token.claims["exp"] - token.claims["iat"] == 300
    assert token.claims["iat"] == clock.now


def test_after_a_rotation_both_keys_are_published_unless_told_otherwise() -> None:
    issuer = Issuer()
    old = issuer.token()
    new = issuer.rotate("RS256")
    keys = KeySet.import_key_set(issuer.jwks())
    assert [key.kid for key in keys] == [new.kid, issuer.keys[1].kid]
    assert jwt.decode(old, keys, ["ES256"]).claims["iss"] == issuer.url
    issuer.rotate(keep=False)
    assert len(issuer.jwks()["keys"]) == 1


def test_public_keys_hold_nothing_private() -> None:
    assert not {"d", "p", "q"} & set(SigningKey("RS256").public()) | {"d"} & set(SigningKey("ES256").public())


def test_claims_and_headers_are_replaced_and_removed() -> None:
    issuer = Issuer()
    token = issuer.token(exp=None, aud=["a", "b"], headers={"kid": None, "typ": "JWT", "x": 1}, sign=lambda _: b"")
    header, payload, signature = token.split(".")
    assert signature == ""
    assert json.loads(_decoded(header)) == {"typ": "JWT", "alg": "ES256", "x": 1}
    claims = json.loads(_decoded(payload))
    assert claims["aud"] == ["a", "b"]
    assert "exp" not in claims


def test_raw_bytes_are_signed_as_they_are() -> None:
    issuer = Issuer()
    header, payload, _ = issuer.token(raw_header=b'{"alg":1,"alg":2}', raw_payload=b"\xff").split(".")
    assert (_decoded(header), _decoded(payload)) == (b'{"alg":1,"alg":2}', b"\xff")


def test_a_tampered_token_keeps_its_signature_and_fails() -> None:
    issuer = Issuer()
    token = issuer.token(role="user")
    forged = tampered(token, role="admin")
    assert forged.rpartition(".")[2] == token.rpartition(".")[2]
    with pytest.raises(BadSignatureError):
        jwt.decode(forged, KeySet.import_key_set(issuer.jwks()), ["ES256"])


def _decoded(part: str) -> bytes:
    import base64

    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
