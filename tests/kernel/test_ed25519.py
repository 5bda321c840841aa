"""Ed25519 keys: only what they are is taken, and no message holds one."""

from pathlib import Path

import pytest

from gateway.kernel.ed25519 import read_private_key, read_public_key, verifies
from gateway.testing.ca import Authority
from tests.granting import Signer


def test_the_halves_of_a_key(tmp_path: Path) -> None:
    alice = Signer(tmp_path, "alice")
    signature = read_private_key(alice.private).sign(b"data")
    public = read_public_key(alice.public)
    assert verifies(public, signature, b"data")
    assert not verifies(public, signature, b"date")
    assert not verifies(public, b"", b"data")


def test_anything_else_is_refused_without_a_word_of_it(tmp_path: Path) -> None:
    alice = Signer(tmp_path, "alice")
    Authority("cluster.local").issue(dns=["a"]).write(tmp_path, "other")
    (tmp_path / "text").write_text("secret")
    for name in ("alice.pub", "other.key", "text"):
        with pytest.raises(ValueError, match="holds no Ed25519 private key") as refused:
            read_private_key(tmp_path / name)
        assert "secret" not in str(refused.value)
    for name in ("alice.key", "other.pem", "text"):
        with pytest.raises(ValueError, match="holds no Ed25519 public key"):
            read_public_key(tmp_path / name)
    with pytest.raises(OSError, match="nowhere"):
        read_public_key(alice.public.parent / "nowhere")
