"""The demo's parts as processes of their own. (tests/test_container_files.py runs them as the compose file does.)"""

import subprocess
import sys
from pathlib import Path

import httpx2
import pytest
from joserfc import jwt
from joserfc.jwk import KeySet

from gateway.testing import services
from gateway.testing.pki import Folder
from gateway.testing.process import free_port, listening, running
from gateway.testing.tls import client_context
from tests.flows.gateway_process import REPOSITORY

MODULE = [sys.executable, "-m", "gateway.testing.services"]


def test_a_token_can_be_had_as_a_header_line(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    folder.init()
    folder.issue("provider", authority="provider-ca", hosts=["localhost"])
    port = free_port()
    url = f"https://localhost:{port}"
    where = ["--certs", str(tmp_path), "--url", url]
    command = [*MODULE, "provider", *where, "--port", str(port), "--host", "127.0.0.1"]
    with running(command, tmp_path / "log", cwd=REPOSITORY) as process:
        process.wait_for(lambda: listening(port), what="the provider to listen")
        token = [*MODULE, "token", "batch", *where]
        line = subprocess.run(token, cwd=REPOSITORY, capture_output=True, text=True, check=True).stdout
        trust = client_context([folder.authority("provider-ca")])
        keys = httpx2.get(f"{url}/jwks", verify=trust, trust_env=False).json()
        assert process.stop() == 0
    assert line.startswith("Authorization: Bearer ")
    claims = jwt.decode(line.split()[2], KeySet.import_key_set(keys), ["ES256"]).claims
    assert (claims["iss"], claims["sub"], claims["scope"]) == (url, "batch", "payments:write")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["backend", "unknown", "--port", "1"], "invalid choice"),
        (["provider", "--port", "1"], "--url"),
        ([], "role"),
    ],
)
def test_bad_usage_is_refused(arguments: list[str], says: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        services.main(arguments)
    assert ended.value.code == 2
    assert says in capsys.readouterr().err
