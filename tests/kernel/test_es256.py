"""P-256 keys: read, named, published, and what they sign verifies elsewhere."""

import json

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, NoEncryption, PrivateFormat
from joserfc.jwk import ECKey

from gateway.kernel.es256 import base64url, key_set, made_of, read_es256, read_es256_public
from gateway.testing.keys import Algorithm, new_key, private_pem, public_pem

KEY = new_key()


def test_a_signature_verifies_with_pyjwt() -> None:
    key = read_es256(private_pem(KEY))
    signed = base64url(b'{"alg":"ES256"}') + b"." + base64url(b'{"sub":"alice"}')
    token = signed + b"." + base64url(key.sign(signed))
    assert jwt.decode(token, jwt.PyJWK(key.jwk), algorithms=["ES256"]) == {"sub": "alice"}


def test_the_name_is_the_thumbprint_of_rfc_7638() -> None:
    key = read_es256(private_pem(KEY))
    assert key.kid == ECKey.import_key(private_pem(KEY)).thumbprint()
    assert repr(key) == f"Es256Key({key.kid})"


def test_a_public_key_is_published_alike_from_either_half() -> None:
    jwk = read_es256_public(public_pem(KEY))
    assert jwk == read_es256_public(private_pem(KEY)) == read_es256(private_pem(KEY)).jwk
    assert set(jwk) == {"kty", "crv", "x", "y", "kid", "use", "alg"}
    assert json.loads(key_set([jwk, jwk])) == {"keys": [jwk]}


def test_openssl_writes_keys_in_the_older_form_too() -> None:
    assert isinstance(KEY, ec.EllipticCurvePrivateKey)
    older = KEY.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    assert read_es256(older).kid == read_es256(private_pem(KEY)).kid


@pytest.mark.parametrize("algorithm", ["p384", "ed25519", "rsa2048"])
def test_another_kind_of_key_is_refused(algorithm: Algorithm) -> None:
    held = new_key(algorithm)
    for pem, read in ((private_pem(held), read_es256), (public_pem(held), read_es256_public)):
        with pytest.raises(ValueError, match="P-256"):
            read(pem)


def test_M23_what_is_no_key_is_refused_without_a_byte_of_it() -> None:
    locked = KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret"))
    for pem in (b"", b"hunter2", public_pem(KEY), locked):
        with pytest.raises(ValueError, match=r"^holds no private key in PEM without a password$"):
            read_es256(pem)


def test_one_secret_stands_for_one_key() -> None:
    assert made_of(b"a" * 32).kid == made_of(b"a" * 32).kid != made_of(b"b" * 32).kid
