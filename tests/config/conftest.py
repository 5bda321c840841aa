from pathlib import Path

import pytest

from gateway.testing.pki import Folder


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with `certs/` as `gateway pki init` makes it; each test writes its own routes.yaml there."""
    made = tmp_path_factory.mktemp("config")
    Folder(made / "certs").init()
    (made / "empty.pem").write_text("")
    (made / "broken.pem").write_text("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    (made / "keys.json").write_text('{"keys": [{"kty": "OKP", "crv": "Ed25519", "x": "AA"}]}')
    (made / "nokeys.json").write_text('{"keys": []}')
    (made / "secret").write_text("redis://:hunter2@127.0.0.1\n")
    return made
