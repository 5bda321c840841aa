"""Which keys sign, and with which algorithm."""

import pytest
from joserfc import jwt

from gateway.kernel.signing_key import read_signing_key
from gateway.testing.keys import Algorithm, new_key, private_pem, public_pem


@pytest.mark.parametrize(("kind", "algorithm"), [("p256", "ES256"), ("p384", "ES384"), ("rsa2048", "RS256")])
def test_a_key_signs_with_the_algorithm_of_its_kind(kind: Algorithm, algorithm: str) -> None:
    key, chosen = read_signing_key(private_pem(new_key(kind)))
    assert chosen == algorithm
    token = jwt.encode({"alg": chosen}, {"sub": "a"}, key, algorithms=[chosen])
    assert jwt.decode(token, key, algorithms=[chosen]).claims == {"sub": "a"}


@pytest.mark.parametrize(
    "pem",
    [
        pytest.param(private_pem(new_key("ed25519")), id="another-kind"),
        pytest.param(public_pem(new_key("p256")), id="public-ec"),
        pytest.param(public_pem(new_key("rsa2048")), id="public-rsa"),
        pytest.param(b"", id="empty"),
        pytest.param(b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", id="broken"),
    ],
)
def test_what_cannot_sign_is_said_to_be_none(pem: bytes) -> None:
    with pytest.raises(ValueError, match="no RSA or EC private key"):
        read_signing_key(pem)
