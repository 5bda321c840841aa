"""The small world's names are those of routes.yaml."""

from pathlib import Path

import pytest

from gateway.config.load import load
from gateway.testing.pki import Folder
from gateway.testing.scenario import BACKENDS, BROWSER_APP, USERS, WORKLOADS, clients, secret

ROUTES = Path(__file__).parents[2] / "routes.yaml"


def test_backends_and_scopes_are_those_of_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Folder(tmp_path).init()
    monkeypatch.setenv("GATEWAY_CERTS", str(tmp_path))
    config = load(ROUTES)
    identities = {name: upstream.tls.server_identity for name, upstream in config.upstreams.items()}
    assert identities == {name: f"{WORKLOADS}{name}" for name in BACKENDS}
    asked = {scope for route in config.routes if route.requires for scope in route.requires.scopes}
    assert asked == {scope for client in clients() for scope in client.scopes}
    assert all(user.scopes <= asked for user in USERS)


def test_the_browser_application_is_public_and_returns_to_its_own_origin() -> None:
    assert {client.id: client.secret for client in clients()} == {"web": secret("web"), "batch": secret("batch")}
    (app,) = [client for client in clients("http://127.0.0.1:8080") if client.id == BROWSER_APP]
    assert (app.secret, app.redirect_uris, app.origin) == (None, ("http://127.0.0.1:8080/",), "http://127.0.0.1:8080")
