"""Ways around step-up (RFC 9470): one request through everything that serves, to its answer and its record."""

import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from gateway.control.runtime import Runtime
from gateway.pipeline import handle
from gateway.testing.issuer import Issuer
from gateway.testing.wait import until
from tests.control.policy_config import ISSUER, config
from tests.exchange import Recorder, head

ROUTES = """
- name: vault
  match: {paths: [/vault]}
  respond: {status: 200, body: ok}
  requires: {acr: [phr], max_auth_age: 15m, scopes: [read]}
  deny: [{name: no-mallory, from: {request_principals: ["*/mallory"]}}]
  allow: [{from: {request_principals: ["*"]}}]
"""
NOW = time.time()
WANTED = 'acr_values="phr", max_age=900'
STEP_UP = f'Bearer realm="gateway", error="insufficient_user_authentication", {WANTED}'
SCOPE = 'Bearer realm="gateway", error="insufficient_scope", scope="read"'


@pytest.fixture
async def runtime() -> AsyncIterator[Runtime]:
    it = Runtime()
    yield it
    await it.close()


async def ask(runtime: Runtime, folder: Path, token: str | None) -> Recorder:
    issuers = f'corp: {{issuer: "{ISSUER}", audiences: [api], jwks: jwks.json}}'
    await runtime.adopt(runtime.prepare(config(folder, routes=ROUTES, issuers=issuers)))
    fields = [("host", "api.example.com")]
    if token is not None:
        fields.append(("authorization", f"Bearer {token}"))
    exchange = Recorder(head("GET", "/vault", fields))
    await handle(exchange, runtime.parts.snapshot)
    return exchange


def decisions(folder: Path) -> list[dict[str, Any]]:
    lines = [line for file in (folder / "audit").glob("*.jsonl") for line in file.read_bytes().splitlines()]
    return [record for record in map(json.loads, lines) if record["type"] == "decision"]


GOOD: dict[str, Any] = {"acr": "phr", "auth_time": NOW - 60, "scope": "read"}


@pytest.mark.parametrize(
    ("claims", "status", "challenge"),
    [
        pytest.param({}, 200, None, id="J33-strong-and-fresh"),
        pytest.param({"acr": None}, 401, STEP_UP, id="J33-no-acr"),
        pytest.param({"acr": "phr pwd"}, 401, STEP_UP, id="J33-several-acr-in-one"),
        pytest.param({"acr": ["phr"]}, 401, STEP_UP, id="J33-acr-as-a-list"),
        pytest.param({"auth_time": NOW - 1000}, 401, STEP_UP, id="J33-an-old-login-in-a-fresh-token"),
        pytest.param({"auth_time": None}, 401, STEP_UP, id="J33-no-login-time"),
        pytest.param({"auth_time": NOW + 3600}, 401, STEP_UP, id="J33-a-login-in-the-future"),
        pytest.param({"auth_time": 1e300}, 401, STEP_UP, id="J33-a-login-at-the-end-of-time"),
        pytest.param({"auth_time": str(int(NOW))}, 401, STEP_UP, id="J33-a-login-time-as-text"),
        pytest.param({"acr": "low", "sub": "mallory"}, 401, STEP_UP, id="J33-requires-come-before-deny"),
        pytest.param({"scope": "", "sub": "mallory"}, 403, None, id="J33-who-is-denied-is-told-of-no-scope"),
        pytest.param({"scope": ""}, 403, SCOPE, id="J33-scopes-come-last"),
    ],
)
async def test_a_login_that_is_not_enough(
    runtime: Runtime, tmp_path: Path, claims: dict[str, Any], status: int, challenge: str | None
) -> None:
    issuer = Issuer(ISSUER)
    (tmp_path / "jwks.json").write_text(json.dumps(issuer.jwks()), encoding="utf-8")
    held = {key: value for key, value in {"sub": "alice", **GOOD, **claims}.items() if value is not None}
    got = await ask(runtime, tmp_path, issuer.token(aud="api", **held))
    assert (got.status, got.value("www-authenticate")) == (status, challenge)
    await until(lambda: bool(decisions(tmp_path)))
    (record,) = decisions(tmp_path)
    assert record["user"] == {"issuer": ISSUER, "subject": held["sub"]}  # whoever is asked to log in again is known
    if status == 401:
        problem = json.loads(got.body)
        assert problem["reason"] == "step_up_required"
        assert b"phr" not in got.body  # what is expected stands in the challenge alone


async def test_J33_who_proves_nothing_is_told_what_login_to_bring_and_of_no_error(
    runtime: Runtime, tmp_path: Path
) -> None:
    (tmp_path / "jwks.json").write_text(json.dumps(Issuer(ISSUER).jwks()), encoding="utf-8")
    got = await ask(runtime, tmp_path, None)
    assert (got.status, got.value("www-authenticate")) == (401, f'Bearer realm="gateway", {WANTED}')


async def test_J33_a_forged_token_is_told_of_its_signature_and_of_nothing_else(
    runtime: Runtime, tmp_path: Path
) -> None:
    (tmp_path / "jwks.json").write_text(json.dumps(Issuer(ISSUER).jwks()), encoding="utf-8")
    got = await ask(runtime, tmp_path, Issuer(ISSUER).token(aud="api", sub="alice", acr="phr", auth_time=NOW))
    assert (got.status, got.value("www-authenticate")) == (401, 'Bearer realm="gateway", error="invalid_token"')
