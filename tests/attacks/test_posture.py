"""Ways around postures: one request through everything that serves, to its answer and its record."""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from gateway.control.runtime import Runtime
from gateway.pipeline import handle
from gateway.testing.issuer import Issuer
from gateway.testing.upstream import Upstream, answer
from gateway.testing.wait import until
from tests.control.policy_config import config
from tests.exchange import Recorder, head

ISSUER = "https://auth.example.com"
ROUTES = """
- name: asks
  match: {paths: ["/*"]}
  respond: {status: 200, body: ok}
  requires: {posture: managed}
  allow: [{name: owners, when: ['device.owner == claims.sub']}]
"""
GOOD = b'{"encrypted": true, "owner": "alice"}'


@pytest.fixture
async def runtime() -> AsyncIterator[Runtime]:
    it = Runtime()
    yield it
    await it.close()


@dataclass
class Asked:
    """An answer and its decision's record."""

    status: int
    body: bytes
    decision: dict[str, Any]


def decisions(folder: Path) -> list[dict[str, Any]]:
    lines = [line for file in (folder / "audit").glob("*.jsonl") for line in file.read_bytes().splitlines()]
    return [record for record in map(json.loads, lines) if record["type"] == "decision"]


async def ask(runtime: Runtime, folder: Path, inventory: Upstream, *, mode: str = "enforce", **claims: Any) -> Asked:
    issuer = Issuer(ISSUER)
    (folder / "jwks.json").write_text(json.dumps(issuer.jwks()), encoding="utf-8")
    posture = (
        f"posture:\n  managed: {{source: {{http: '{inventory.url}/devices/{{device}}'}}, device: claims.device_id,\n"
        f"    require: [device.encrypted], remediation: https://help.example.com, mode: {mode}}}\n"
    )
    issuers = f'corp: {{issuer: "{ISSUER}", audiences: [api], jwks: jwks.json}}'
    loaded = config(folder, routes=ROUTES, issuers=issuers, more=posture)
    await runtime.adopt(runtime.prepare(loaded))
    token = issuer.token(aud="api", sub="alice", **claims)
    fields = [("host", "api.example.com"), ("authorization", f"Bearer {token}")]
    exchange = Recorder(head("GET", "/x", fields))
    before = len(decisions(folder))
    await handle(exchange, runtime.parts.snapshot)
    await until(lambda: len(decisions(folder)) > before)
    return Asked(exchange.status, exchange.body, decisions(folder)[-1])


async def test_a_good_device_is_let_in_and_recorded(runtime: Runtime, tmp_path: Path) -> None:
    async with Upstream(answer(body=GOOD)) as inventory:
        found = await ask(runtime, tmp_path, inventory, device_id="laptop-1")
    assert (found.status, found.decision["effect"], found.decision["rule"]) == (200, "allow", "owners")
    assert found.decision["device"] == "laptop-1"
    assert found.decision["inputs"]["device"] == {"encrypted": True, "owner": "alice"}


async def test_a_refused_device_is_told_how_to_become_good(runtime: Runtime, tmp_path: Path) -> None:
    async with Upstream(answer(body=b'{"encrypted": false, "owner": "alice"}')) as inventory:
        found = await ask(runtime, tmp_path, inventory, device_id="laptop-1")
    problem = json.loads(found.body)
    assert (found.status, problem["reason"]) == (403, "posture_failed")
    assert problem["remediation"] == "https://help.example.com"
    assert b"encrypted" not in found.body
    assert (found.decision["device"], found.decision["reason"]) == ("laptop-1", "posture_failed")
    assert found.decision["inputs"]["device"] == {"encrypted": False, "owner": "alice"}


@pytest.mark.parametrize(
    "device",
    [
        pytest.param("../admin/laptop-1", id="Z17-up-and-elsewhere"),
        pytest.param("laptop-1?as=admin", id="Z17-a-query-of-its-own"),
        pytest.param("laptop-1#", id="Z17-a-fragment"),
        pytest.param("laptop-1\r\nx-admin: 1", id="Z17-a-field-of-its-own"),
        pytest.param("laptop-1/extra", id="Z17-two-segments"),
    ],
)
async def test_a_device_reaches_no_other_resource_of_the_inventory(
    runtime: Runtime, tmp_path: Path, device: str
) -> None:
    async with Upstream(answer(404)) as inventory:
        found = await ask(runtime, tmp_path, inventory, device_id=device)
        (call,) = inventory.calls
    assert found.status == 403
    segment = call.target.removeprefix(b"/devices/")
    assert segment != call.target
    assert not set(segment) & set(b"/?# \r\n")
    assert call.value("x-admin") is None


@pytest.mark.parametrize("device", [pytest.param("..", id="Z17-dot-segment"), pytest.param("x" * 300, id="Z17-long")])
async def test_what_no_segment_can_hold_is_not_asked_about(runtime: Runtime, tmp_path: Path, device: str) -> None:
    async with Upstream(answer(body=GOOD)) as inventory:
        found = await ask(runtime, tmp_path, inventory, device_id=device)
        assert inventory.calls == []
    assert (found.status, found.decision["reason"], found.decision["device"]) == (403, "posture_failed", None)


async def test_Z17_an_inventory_that_is_down_is_503_and_never_403(runtime: Runtime, tmp_path: Path) -> None:
    async with Upstream() as inventory:
        pass
    found = await ask(runtime, tmp_path, inventory, device_id="laptop-1")
    assert (found.status, found.decision["reason"]) == (503, "posture_unavailable")
    assert "remediation" not in json.loads(found.body)


async def test_Z19_a_posture_in_shadow_is_recorded_and_its_facts_grant_nothing(
    runtime: Runtime, tmp_path: Path
) -> None:
    async with Upstream(answer(body=GOOD)) as inventory:
        found = await ask(runtime, tmp_path, inventory, mode="shadow", device_id="laptop-1")
    assert (found.status, found.decision["reason"]) == (403, "no_rule_allows")
    assert (found.decision["shadow"], found.decision["device"]) == ([], "laptop-1")
    async with Upstream(answer(body=b"{}")) as inventory:
        found = await ask(runtime, tmp_path, inventory, mode="shadow", device_id="laptop-1")
    assert found.decision["reason"] == "no_rule_allows"
    assert found.decision["shadow"] == [{"kind": "posture", "name": "managed", "effect": "deny"}]
