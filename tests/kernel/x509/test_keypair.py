"""Our own certificates and keys (security.md M23)."""

from pathlib import Path

import pytest

from gateway.kernel.x509.keypair import check_key_pair
from gateway.testing.ca import Authority


@pytest.mark.parametrize("algorithm", ["p256", "rsa2048", "ed25519"])
def test_M23_a_key_that_fits(tmp_path: Path, algorithm: str) -> None:
    files = Authority("a").issue(dns=["a.example"], algorithm=algorithm).write(tmp_path, "pair")  # type: ignore[arg-type]
    check_key_pair(files.certificate, files.key)


def test_M23_a_key_of_another_certificate(tmp_path: Path) -> None:
    authority = Authority("a")
    one = authority.issue(dns=["a.example"]).write(tmp_path, "one")
    two = authority.issue(dns=["a.example"]).write(tmp_path, "two")
    with pytest.raises(ValueError, match=r"two\.key is not the key of .*one\.pem"):
        check_key_pair(one.certificate, two.key)


def test_M23_what_is_no_key_is_named_and_not_shown(tmp_path: Path) -> None:
    files = Authority("a").issue(dns=["a.example"]).write(tmp_path, "pair")
    files.key.write_text("-----BEGIN PRIVATE KEY-----\nsecret\n")
    with pytest.raises(ValueError, match="holds no private key") as refused:
        check_key_pair(files.certificate, files.key)
    assert "secret" not in str(refused.value)
