"""Traces as a collector and a backend meet them: a real gateway, a real OTLP receiver, its death and its return."""

import asyncio
import contextlib
import ssl
from pathlib import Path
from typing import Any

import httpx2

from gateway.model.trace import Stage
from gateway.testing.process import free_port
from gateway.testing.upstream import Upstream
from gateway.testing.wait import until
from tests.flows.gateway_process import Served, prepared, serving
from tests.otlp_collector import collector_process, taken
from tests.plain import NO_TLS

REST = """
upstreams: {{stock: {{endpoints: ["{stock}"]}}}}
routes:
  - {{name: api, match: {{paths: ["/api/*"]}}, upstream: stock, public: true}}
  - name: shut
    match: {{paths: [/shut]}}
    upstream: stock
    public: true
    deny: [{{name: nobody, to: {{methods: ["*"]}}}}]
audit: {{directory: audit}}
telemetry: {{otlp: "http://127.0.0.1:{port}", sample: 0%, denials: true}}
"""
TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
STAGES = [stage.value for stage in Stage]


def sampled(trace: str = TRACE, mark: str = "01") -> dict[str, str]:
    return {"traceparent": f"00-{trace}-{PARENT}-{mark}", "tracestate": "vendor=x"}


async def spans_of(folder: Path, trace: str, count: int = 1) -> list[dict[str, Any]]:
    """Those of one trace, once so many are there."""

    def found() -> list[dict[str, Any]]:
        return [span for span in taken(folder) if span["traceId"] == trace]

    await until(lambda: len(found()) >= count, what=f"{count} spans of {trace}")
    return found()


async def test_a_trace_goes_through_and_a_collector_that_dies_stops_nothing(tmp_path: Path) -> None:
    trust = ssl.create_default_context(cafile=str(prepared(tmp_path).path / "cluster-ca.pem"))
    port = free_port()
    async with Upstream() as backend:
        with contextlib.ExitStack() as stack:
            collector = collector_process(tmp_path, port)
            process = collector.__enter__()
            gateway = await asyncio.to_thread(
                stack.enter_context, serving(tmp_path, REST.format(stock=backend.url, port=port))
            )
            async with httpx2.AsyncClient(verify=trust, base_url=gateway.url, trust_env=False) as client:
                assert (await client.get("/api/x?secret=1", headers=sampled())).status_code == 200
                server, *children = await spans_of(tmp_path, TRACE, 1 + len(STAGES))
                assert (server["kind"], server["parentSpanId"]) == ("SPAN_KIND_SERVER", PARENT)
                assert (server["name"], server["traceState"]) == ("GET /api/*", "vendor=x")
                assert [child["name"] for child in children] == STAGES
                assert {child["parentSpanId"] for child in children} == {server["spanId"]}
                assert server["start"] <= children[0]["start"] <= children[-1]["end"] == server["end"]
                assert _traceparent(backend) == f"00-{TRACE}-{children[-1]['spanId']}-01"

                # neither what the caller does not sample nor a bad context is recorded, and the trace goes on or begins
                assert (await client.get("/api/x", headers=sampled("1" * 32, "00"))).status_code == 200
                assert _traceparent(backend).startswith(f"00-{'1' * 32}-")
                assert (await client.get("/api/x", headers=sampled("2" * 31))).status_code == 200
                assert "2" * 31 not in _traceparent(backend)
                assert _traceparent(backend).endswith("-00")

                # a denial is, though nobody sampled it
                assert (await client.get("/shut", headers=sampled("3" * 32, "00"))).status_code == 403
                denied = (await spans_of(tmp_path, "3" * 32))[0]
                (event,) = denied["events"]
                assert (event["name"], event["security.decision"]) == ("security.event", "deny")
                assert (event["security.reason"], event["security.rule"]) == ("denied_by_rule", "nobody")
                assert event["security.principal_hash"].startswith("hmac-sha256:")
                assert {span["traceId"] for span in taken(tmp_path)} == {TRACE, "3" * 32}
                assert "secret" not in (tmp_path / "traces.jsonl").read_text()

                process.popen.kill()
                await asyncio.to_thread(collector.__exit__, None, None, None)
                (tmp_path / "listening").unlink()
                for _ in range(3):
                    assert (await client.get("/api/x", headers=sampled("4" * 32))).status_code == 200
                await until(lambda: _up(gateway) == 0, what="the metric to fall")
                with collector_process(tmp_path, port):
                    whole = 3 * (len(STAGES) + 1)
                    assert len(await spans_of(tmp_path, "4" * 32, whole)) == whole
                    await until(lambda: _up(gateway) == 1, what="the metric to rise")
                said = [line for line in gateway.process.output.splitlines() if "traces" in line]
                assert len(said) == 2, said
                assert "cannot send" in said[0]
                assert "sends again" in said[1]


def _traceparent(backend: Upstream) -> str:
    return dict(backend.calls[-1].headers)[b"traceparent"].decode()


def _up(gateway: Served) -> float:
    text = httpx2.get(f"http://127.0.0.1:{gateway.admin}/metrics", verify=NO_TLS, trust_env=False).text
    (row,) = [line for line in text.splitlines() if line.startswith('gateway_telemetry_up{signal="traces"}')]
    return float(row.rpartition(" ")[2])
