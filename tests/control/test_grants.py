"""Grants at work: taken up whole when their file changes, kept when it is no good, gone with their signer."""

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from gateway.config.load import load
from gateway.control.build.listeners import build_contexts, listener_limits
from gateway.control.reload import Reloader
from gateway.control.runtime import Runtime
from gateway.model.reason import Reason
from gateway.model.refused import Refused
from gateway.pipeline import decide, handle
from gateway.server.listener import Listener
from gateway.testing.issuer import Issuer
from gateway.testing.wait import until
from tests.control.policy_config import ISSUER, write
from tests.exchange import Recorder, head
from tests.granting import Signer, write_grants
from tests.serving import Gateway

ROUTES = """
- name: api
  match: {paths: ["/api"]}
  respond: {status: 200, body: ok}
  allow: [{name: readers, to: {methods: [GET]}}]
"""
NOW = time.time()


@dataclass
class Scene:
    """One worker's runtime over a folder, and bob, who may read."""

    folder: Path
    runtime: Runtime
    reloader: Reloader
    token: str

    async def post(self) -> tuple[int, str | None]:
        """What bob's POST is answered, and the rule in its record."""
        fields = [("host", "api.example.com"), ("authorization", f"Bearer {self.token}")]
        before = len(self.records("decision"))
        await handle(exchange := Recorder(head("POST", "/api", fields)), self.runtime.parts.snapshot)
        await until(lambda: len(self.records("decision")) > before)
        return exchange.status, self.records("decision")[-1]["rule"]

    def records(self, kind: str) -> list[dict[str, Any]]:
        lines = [line for file in (self.folder / "audit").glob("*.jsonl") for line in file.read_bytes().splitlines()]
        return [record for record in map(json.loads, lines) if record["type"] == kind]

    def write(self, *signers: str) -> Path:
        named = ", ".join(f"{name}: {name}.pub" for name in signers)
        grants = f"grants: {{signers: {{{named}}}}}\n" if signers else ""
        issuers = f'corp: {{issuer: "{ISSUER}", audiences: [api], jwks: jwks.json}}'
        return write(self.folder, routes=ROUTES, issuers=issuers, more=grants)


@pytest.fixture
def alice(tmp_path: Path) -> Signer:
    return Signer(tmp_path, "alice")


@contextlib.asynccontextmanager
async def at_work(folder: Path) -> AsyncGenerator[Scene]:
    issuer = Issuer(ISSUER)
    (folder / "jwks.json").write_text(json.dumps(issuer.jwks()), encoding="utf-8")
    runtime = Runtime()
    listeners: dict[str, Listener] = {}
    reloader = Reloader(lambda: load(folder / "routes.yaml"), runtime, listeners)
    scene = Scene(folder, runtime, reloader, issuer.token(aud="api", sub="bob"))
    config = load(scene.write("alice"))
    parts = runtime.prepare(config)
    await runtime.adopt(parts)
    contexts = build_contexts(config, parts.sources.trust.current)
    for name, listener in config.listeners.items():
        listeners[name] = Listener(name, listener_limits(listener, 1), Gateway(), contexts=contexts[name])
    reloader.started()
    reloader.grants.take()
    watch = asyncio.create_task(reloader.grants.watch())
    try:
        yield scene
    finally:
        watch.cancel()
        await asyncio.gather(watch, return_exceptions=True)
        await runtime.close()


def granted(scene: Scene) -> list[str]:
    return [each.rule.name for each in scene.runtime.parts.config.granted]


async def test_a_grant_is_taken_up_and_given_back_with_its_file(tmp_path: Path, alice: Signer) -> None:
    async with at_work(tmp_path) as scene:
        assert await scene.post() == (403, None)
        accept = scene.runtime.parts.snapshot.accept
        write_grants(tmp_path, alice.grant(NOW, NOW + 600))
        await until(lambda: granted(scene) == ["grant:g1"])
        assert await scene.post() == (200, "grant:g1")
        assert scene.runtime.parts.snapshot.accept is accept
        await until(lambda: bool(scene.records("config")))
        (record,) = scene.records("config")
        (told,) = record["grants"]
        assert (record["result"], told["by"], told["reason"]) == ("success", "alice", "INC-1")
        assert (told["rule"], told["routes"], told["until"]) == ("grant:g1", ["api"], float(int(NOW + 600)))
        (tmp_path / "grants.yaml").unlink()
        await until(lambda: granted(scene) == [])
        assert await scene.post() == (403, None)


async def test_a_grant_ends_without_anybody_doing_anything(tmp_path: Path, alice: Signer) -> None:
    write_grants(tmp_path, alice.grant(NOW - 600, NOW - 1))
    async with at_work(tmp_path) as scene:
        assert granted(scene) == ["grant:g1"]
        assert await scene.post() == (403, None)


@pytest.mark.parametrize("kind", ["forged", "no-yaml", "half"])
async def test_a_bad_file_never_replaces_a_good_one_and_is_told(
    tmp_path: Path, alice: Signer, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    good = alice.grant(NOW, NOW + 600)
    write_grants(tmp_path, good)
    async with at_work(tmp_path) as scene:
        if kind == "forged":
            write_grants(tmp_path, good, {**good, "name": "g2", "routes": ["*"]})
        else:
            (tmp_path / "grants.yaml").write_text("grants: [" if kind == "no-yaml" else "grants:\n  - {name: g1}\n")
        await until(lambda: scene.reloader.grants.trouble is not None)
        assert granted(scene) == ["grant:g1"]
        assert await scene.post() == (200, "grant:g1")
        await until(lambda: bool(scene.records("config")))
        assert scene.records("config")[-1]["result"] == "failure"
        assert "grants refused" in caplog.text
        write_grants(tmp_path)
        await until(lambda: scene.reloader.grants.trouble is None)
        assert granted(scene) == []


async def test_a_bad_file_at_the_start_grants_nothing(tmp_path: Path, alice: Signer) -> None:
    write_grants(tmp_path, {**alice.grant(NOW, NOW + 600), "reason": "x"})
    async with at_work(tmp_path) as scene:
        assert granted(scene) == []
        assert "does not hold" in (scene.reloader.grants.trouble or "")
        assert await scene.post() == (403, None)


async def test_a_reload_keeps_grants_while_their_signer_may_grant(
    tmp_path: Path, alice: Signer, caplog: pytest.LogCaptureFixture
) -> None:
    Signer(tmp_path, "bob")
    write_grants(tmp_path, alice.grant(NOW, NOW + 600))
    async with at_work(tmp_path) as scene:
        scene.write("alice", "bob")
        assert (await scene.reloader()).ok
        assert await scene.post() == (200, "grant:g1")
        scene.write("bob")
        assert (await scene.reloader()).ok  # a bad file of grants does not hold up the config
        assert granted(scene) == []
        assert await scene.post() == (403, None)
        assert "alice" in (scene.reloader.grants.trouble or "")
        scene.write()
        assert (await scene.reloader()).ok
        assert (granted(scene), scene.reloader.grants.trouble) == ([], None)
        assert "nobody is named who may grant: the file is not read" in caplog.text


async def test_what_a_grant_reads_of_a_request_is_recorded(tmp_path: Path, alice: Signer) -> None:
    rule = {"from": {"request_principals": ["*/bob"]}, "when": [{"key": "request.headers[x-ticket]", "values": ["1"]}]}
    async with at_work(tmp_path) as scene:
        write_grants(tmp_path, alice.grant(NOW, NOW + 600, rule=rule))
        await until(lambda: granted(scene) == ["grant:g1"])
        assert await scene.post() == (403, None)
        assert scene.records("config")[-1]["inputs"]["api"]["headers"] == ["x-ticket"]


@pytest.mark.parametrize("how", ["revoked", "ended"])
async def test_what_a_grant_opened_ends_with_it(tmp_path: Path, alice: Signer, how: str) -> None:
    begins = int(time.time())
    write_grants(tmp_path, alice.grant(begins, begins + (600 if how == "revoked" else 3)))
    async with at_work(tmp_path) as scene:
        snapshot = scene.runtime.parts.snapshot
        fields = [("host", "api.example.com"), ("authorization", f"Bearer {scene.token}")]
        trace = snapshot.record.begin(Recorder(head("POST", "/api", fields)))
        permit = await decide(snapshot.accept(trace), snapshot, trace)
        assert permit.rule == "grant:g1"
        ended: list[Refused] = []
        scene.runtime.streams.enter(permit, ended.append)
        if how == "revoked":
            (tmp_path / "grants.yaml").unlink()
        await until(lambda: bool(ended))
        assert ended[0].reason is Reason.NO_RULE_ALLOWS
        assert how == "revoked" or time.time() >= begins + 3
