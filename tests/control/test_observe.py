"""Connections and handshakes, in numbers and in records."""

import asyncio
import json
from pathlib import Path

from gateway.control.observe import ConnectionObserver
from gateway.kernel.cells import Metrics
from gateway.stages.record import AuditLog, LogSettings
from gateway.testing.ca import Authority


async def test_good_handshakes_are_counted_and_refused_ones_are_records_too(tmp_path: Path) -> None:
    metrics = Metrics()
    settings = LogSettings(tmp_path, "r-w0", None, 10.0, "written", 1 << 20, 3600.0)
    audit = AuditLog(settings, sign=None, clock=lambda: 1e9, records=metrics.audit_records, lag=metrics.audit_lag)
    audit.start()
    observer = ConnectionObserver(metrics, lambda: audit)
    observer.connections("edge", 1)
    observer.connections("edge", 1)
    observer.connections("edge", -1)
    observer.handshake("edge", "192.0.2.1", "", "")
    observer.resumed("edge")
    observer.handshake("edge", "192.0.2.2", "timeout", "the handshake took too long")
    stranger = Authority("other.example").issue(uri="spiffe://other.example/web")
    observer.handshake("edge", "192.0.2.3", "certificate_untrusted", "unable to", "a.example", stranger.der)
    await asyncio.sleep(0)
    await audit.close()
    assert metrics.downstream_connections.labels("edge").value == 1
    assert metrics.tls_resumptions.labels("edge").value == 1
    assert [row[0] for row in metrics.tls_handshakes.rows()] == [
        ("edge", "ok", ""),
        ("edge", "refused", "timeout"),
        ("edge", "refused", "certificate_untrusted"),
    ]
    lines = [json.loads(line) for path in tmp_path.glob("*.jsonl") for line in path.read_text().splitlines()]
    late, untrusted = [line for line in lines if line["type"] == "handshake"]
    assert (late["listener"], late["client_ip"], late["reason"]) == ("edge", "192.0.2.2", "timeout")
    assert (late["sni"], late["certificate"]) == (None, None)
    assert (untrusted["sni"], untrusted["certificate"]) == ("a.example", "spiffe://other.example/web")
    assert untrusted["detail"] == "unable to"
