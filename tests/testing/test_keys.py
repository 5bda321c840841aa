"""Private keys: of every kind, on disk for their owner alone."""

import stat
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa, x25519
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_public_key

from gateway.testing.keys import Algorithm, new_key, private_pem, public_pem, read_private, write_private


@pytest.mark.parametrize(
    ("algorithm", "kind", "bits"),
    [
        ("p256", ec.EllipticCurvePrivateKey, 256),
        ("p384", ec.EllipticCurvePrivateKey, 384),
        ("p521", ec.EllipticCurvePrivateKey, 521),
        ("rsa1024", rsa.RSAPrivateKey, 1024),
        ("rsa2048", rsa.RSAPrivateKey, 2048),
        ("ed25519", ed25519.Ed25519PrivateKey, None),
    ],
)
def test_a_key_comes_back_as_it_was_written(algorithm: Algorithm, kind: type, bits: int | None, tmp_path: Path) -> None:
    key = new_key(algorithm)
    assert isinstance(key, kind)
    assert getattr(key, "key_size", None) == bits
    path = write_private(tmp_path / "key", private_pem(key))
    assert read_private(path).public_key() == key.public_key() == load_pem_public_key(public_pem(key))


def test_a_secret_replaces_a_file_that_everybody_could_read(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_text("old")
    path.chmod(0o644)
    write_private(path, b"new")
    assert (path.read_bytes(), stat.S_IMODE(path.stat().st_mode)) == (b"new", 0o600)


def test_another_kind_of_key_is_refused(tmp_path: Path) -> None:
    key = x25519.X25519PrivateKey.generate()
    (tmp_path / "key").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    with pytest.raises(ValueError, match="not an EC, RSA or Ed25519 key"):
        read_private(tmp_path / "key")
