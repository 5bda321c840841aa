"""Sinks of a real gateway: a stuck one stops nobody, what arrives is what the files say; and proofs after a crash."""

import asyncio
import json
import os
import signal
import socket
import ssl
from pathlib import Path

import httpx2

from gateway.cli.main import main
from gateway.testing.wait import until, wait_for
from tests.flows.gateway_process import Served, prepared, serving

REST = """
routes: [{{name: health, match: {{paths: [/health]}}, public: true, respond: {{status: 200, body: ok}}}}]
audit:
  directory: audit
  replica: here
  signing_key: certs/audit.key
  checkpoint: 500ms
  sinks:
    - stdout
    - {{syslog: "tcp://127.0.0.1:{port}"}}
    - {{file: anchors.jsonl, records: checkpoints}}
"""


def written(folder: Path) -> list[bytes]:
    return [
        line for path in sorted((folder / "audit").glob("*.jsonl")) for line in path.read_bytes().splitlines() if line
    ]


def on_stdout(gateway: Served) -> list[bytes]:
    return [line for line in gateway.process.log.read_bytes().splitlines() if line.startswith(b'{"type":"')]


async def test_a_sink_that_takes_nothing_stops_nobody_and_copies_anchor_the_log(tmp_path: Path) -> None:
    trust = ssl.create_default_context(cafile=str(prepared(tmp_path).path / "cluster-ca.pem"))
    with socket.create_server(("127.0.0.1", 0)) as stuck:  # takes the connection and reads nothing
        port = stuck.getsockname()[1]
        with serving(tmp_path, REST.format(port=port)) as gateway:
            async with httpx2.AsyncClient(verify=trust, base_url=gateway.url, trust_env=False) as client:
                answers = await asyncio.gather(*(client.get("/health") for _ in range(50)))
                assert {answer.status_code for answer in answers} == {200}
                await until(lambda: sum(b'"type":"outcome"' in line for line in on_stdout(gateway)) == 50)
                await until((tmp_path / "anchors.jsonl").exists)
    assert on_stdout(gateway) == written(tmp_path)
    checkpoints = [line for line in written(tmp_path) if line.startswith(b'{"type":"checkpoint"')]
    assert (tmp_path / "anchors.jsonl").read_bytes().splitlines() == checkpoints
    verify = ["-c", str(tmp_path / "routes.yaml"), "audit", "verify", str(tmp_path / "audit")]
    assert main([*verify, "--anchors", str(tmp_path / "anchors.jsonl")]) == 0
    last = max((tmp_path / "audit").glob("*.jsonl"))
    last.write_bytes(b"".join(last.read_bytes().splitlines(keepends=True)[:-2]))
    assert main([*verify, "--anchors", str(tmp_path / "anchors.jsonl")]) == 1


async def test_A5_what_was_written_before_a_crash_is_proved_after_it(tmp_path: Path) -> None:
    trust = ssl.create_default_context(cafile=str(prepared(tmp_path).path / "cluster-ca.pem"))
    rest = REST.format(port=1).replace("checkpoint: 500ms", "checkpoint: 1h")
    with serving(tmp_path, rest) as gateway:
        async with httpx2.AsyncClient(verify=trust, base_url=gateway.url, trust_env=False) as client:
            request = (await client.get("/health")).headers["x-request-id"]
        await until(lambda: any(b'"type":"outcome"' in line for line in written(tmp_path)))
        os.kill(gateway.process.popen.pid, signal.SIGKILL)
        wait_for(lambda: gateway.process.popen.poll() is not None)
    with serving(tmp_path, rest):
        pass
    config, proof = str(tmp_path / "routes.yaml"), tmp_path / "proof.json"
    assert (
        main(["-c", config, "audit", "prove", str(tmp_path / "audit"), "--request-id", request, "-o", str(proof)]) == 0
    )
    held = json.loads(proof.read_text())
    assert "chain" in held  # no tree covers what the crashed process wrote
    assert json.loads(held["record"])["request_id"] == request
    assert main(["-c", config, "audit", "verify", str(proof)]) == 0
    assert main(["-c", config, "audit", "verify", str(tmp_path / "audit")]) == 0
