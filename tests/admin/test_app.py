"""The admin address over a real socket: contract section 12."""

import asyncio
from pathlib import Path
from typing import Any

import httpx2
import pytest

from gateway.admin import AdminCall, Check, Reloaded
from gateway.testing.ca import Authority
from gateway.testing.tls import client_context, server_context
from tests.admin.scene import BEARER, Gateway, serving

OPEN = ["/livez", "/readyz", "/metrics"]
GUARDED = [("GET", "/status"), ("GET", "/console"), ("POST", "/reload"), ("POST", "/drain")]


async def raw(client: httpx2.AsyncClient, head: str) -> int:
    """The status of the answer to a head that httpx would not send."""
    reader, writer = await asyncio.open_connection(client.base_url.host, client.base_url.port)
    writer.write(f"{head}connection: close\r\n\r\n".encode())
    answer = await reader.read()
    writer.close()
    return int(answer.split()[1])


async def test_health_and_metrics_are_open() -> None:
    gateway = Gateway()
    async with serving(gateway.source()) as client:
        for path in OPEN:
            assert (await client.get(path)).status_code == 200
            assert (await client.head(path)).status_code == 200
    assert gateway.calls == []  # probes and scrapes are no admin calls


async def test_ready_is_what_is_needed_and_no_dependency() -> None:
    gateway = Gateway()
    gateway.checks.append(Check("redis", ok=False, needed=False, detail="down for 3 s"))
    async with serving(gateway.source()) as client:
        assert (await client.get("/readyz")).text == "ready\n"
        verbose = (await client.get("/readyz?verbose")).text
        assert verbose == "[+] config\n[+] audit\n[!] redis: down for 3 s\nready\n"
        gateway.checks.append(Check("draining", ok=False))
        answer = await client.get("/readyz")
        assert (answer.status_code, answer.text) == (503, "not ready: draining\n")


async def test_metrics_are_prometheus_text() -> None:
    gateway = Gateway()
    gateway.metrics.requests.labels("r", "GET", "200").inc()
    async with serving(gateway.source()) as client:
        answer = await client.get("/metrics")
        assert answer.headers["content-type"].startswith("text/plain; version=")
        assert 'gateway_requests_total{method="GET",route="r",status="200"} 1.0' in answer.text


@pytest.mark.parametrize(("method", "path"), GUARDED)
@pytest.mark.parametrize(
    "headers",
    [
        pytest.param([], id="Z21-none"),
        pytest.param([("authorization", "Bearer wrong")], id="Z21-wrong"),
        pytest.param([("authorization", "Basic dDprZW4=")], id="Z21-another-scheme"),
        pytest.param([("authorization", BEARER["authorization"])] * 2, id="Z21-twice"),
    ],
)
async def test_without_the_token_nothing_is_told_or_done(method: str, path: str, headers: Any) -> None:
    gateway = Gateway()
    async with serving(gateway.source()) as client:
        answer = await client.request(method, path, headers=headers)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == 'Bearer realm="gateway admin"'
    assert answer.headers["content-type"] == "application/problem+json"
    assert {"type", "title", "status", "detail"} <= answer.json().keys()
    assert (gateway.reloads, gateway.drains) == (0, 0)
    assert gateway.calls == [AdminCall(path[1:], 401, "127.0.0.1")]


async def test_with_the_token_calls_are_done_and_recorded() -> None:
    gateway = Gateway()
    async with serving(gateway.source()) as client:
        status = await client.get("/status", headers=BEARER)
        assert status.json() == {"workers": [{"version": "0.1.0", "config": {"digest": "c0ffee"}}]}
        assert (await client.post("/reload", headers=BEARER)).json() == {"ok": True, "digest": "c0ffee", "errors": []}
        assert (await client.post("/drain", headers=BEARER)).status_code == 202
    assert (gateway.reloads, gateway.drains) == (1, 1)
    assert [(call.action, call.status) for call in gateway.calls] == [("status", 200), ("reload", 200), ("drain", 200)]


async def test_a_reload_that_fails_says_why() -> None:
    gateway = Gateway(reloaded=Reloaded(False, "c0ffee", ("routes.yaml:3:1: error: no",)))
    async with serving(gateway.source()) as client:
        answer = await client.post("/reload", headers=BEARER)
    assert answer.status_code == 422
    assert answer.json() == {"ok": False, "digest": "c0ffee", "errors": ["routes.yaml:3:1: error: no"]}


@pytest.mark.parametrize(("method", "path"), GUARDED)
async def test_Z21_without_a_token_only_the_open_paths_exist(method: str, path: str) -> None:
    gateway = Gateway()
    async with serving(gateway.source(), token=None) as client:
        assert (await client.request(method, path, headers={"authorization": "Bearer None"})).status_code == 404
        assert (await client.get("/livez")).status_code == 200
    assert (gateway.reloads, gateway.drains, gateway.calls) == (0, 0, [])


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/status/",
        "/livez/",
        "//livez",
        "/metrics/x",
        "/docs",
        "/status%2f",
        "/./status",
        "/x/../status",
        "/STATUS",
    ],
)
async def test_Z21_paths_are_exact(path: str) -> None:
    async with serving(Gateway().source()) as client:
        head = f"GET {path} HTTP/1.1\r\nhost: localhost\r\nauthorization: {BEARER['authorization']}\r\n"
        assert await raw(client, head) == 404


@pytest.mark.parametrize(
    ("method", "path"), [("POST", "/livez"), ("GET", "/reload"), ("PUT", "/reload"), ("GET", "/drain")]
)
async def test_methods_are_exact(method: str, path: str) -> None:
    gateway = Gateway()
    async with serving(gateway.source()) as client:
        assert (await client.request(method, path, headers=BEARER)).status_code == 405
    assert (gateway.reloads, gateway.drains) == (0, 0)


@pytest.mark.parametrize("path", [*OPEN, "/status"])
async def test_Z21_a_rebound_name_and_a_foreign_page_are_refused_on_every_path(path: str) -> None:
    gateway = Gateway()
    async with serving(gateway.source()) as client:
        rebound = await client.get(path, headers={**BEARER, "host": "evil.example"})
        foreign = await client.get(path, headers={**BEARER, "origin": "https://evil.example"})
        doubled = await raw(client, f"GET {path} HTTP/1.1\r\nhost: localhost\r\nhost: localhost\r\n")
        nameless = await raw(client, f"GET {path} HTTP/1.0\r\n")
        own = await client.get(path, headers={**BEARER, "origin": str(client.base_url).rstrip("/")})
    assert (rebound.status_code, foreign.status_code, own.status_code) == (421, 403, 200)
    assert (doubled, nameless) == (421, 421)
    assert len(gateway.calls) == (1 if path == "/status" else 0)


async def test_answers_are_never_stored() -> None:
    async with serving(Gateway().source()) as client:
        for path in [*OPEN, "/status", "/nowhere"]:
            answer = await client.get(path)
            assert answer.headers["cache-control"] == "no-store"
            assert answer.headers["x-content-type-options"] == "nosniff"
            assert "server" not in answer.headers


async def test_over_a_unix_socket_for_its_user_alone(tmp_path: Path) -> None:
    gateway, path = Gateway(), tmp_path / "admin.sock"
    async with serving(gateway.source(), unix=path) as client:
        assert (await client.get("/status", headers=BEARER)).status_code == 200
        assert path.stat().st_mode & 0o777 == 0o600
    assert gateway.calls == [AdminCall("status", 200, "unix")]


async def test_over_tls() -> None:
    ca = Authority("cluster.local")
    issued = ca.issue(dns=["localhost"], ips=["127.0.0.1"])
    async with serving(Gateway().source(), context=server_context(issued), trust=client_context([ca])) as client:
        assert (await client.get("/livez")).status_code == 200
        origin = str(client.base_url).rstrip("/")
        assert (await client.get("/livez", headers={"origin": origin})).status_code == 200
