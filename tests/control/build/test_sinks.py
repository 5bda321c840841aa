"""`audit.sinks` of the config into sinks that carry a real log's lines."""

import socket
from pathlib import Path

from gateway.config.load import load
from gateway.config.schema import Config
from gateway.control.build.record import log_settings, open_audit_log, read_audit_keys
from gateway.control.build.sinks import sink_settings
from gateway.kernel.cells import Metrics
from gateway.stages.record import record_config
from gateway.testing.clock import Clock
from tests.otlp_collector import receiving, taken
from tests.stages.record.scene import NOW, lines

CONFIG = """\
version: 1
listeners: {{edge: {{address: "127.0.0.1:8080"}}}}
routes: [{{name: one, match: {{paths: [/one]}}, public: true, respond: {{status: 200}}}}]
telemetry: {{otlp: "{otlp}"}}
audit:
  directory: audit
  replica: here
  keep: 1d
  sinks:
    - otlp
    - {{syslog: "unix://{folder}/log", required: true}}
    - {{file: anchors.jsonl, records: checkpoints}}
"""


def config(folder: Path, otlp: str = "http://127.0.0.1:4318") -> Config:
    (folder / "routes.yaml").write_text(CONFIG.format(folder=folder, otlp=otlp))
    return load(folder / "routes.yaml", now=NOW)


async def test_each_sink_gets_what_it_asked_for(tmp_path: Path) -> None:
    metrics = Metrics()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as syslog, receiving(tmp_path) as collector:
        syslog.bind(str(tmp_path / "log"))
        made = config(tmp_path, collector.url)
        log = open_audit_log(
            made.audit, read_audit_keys(made.audit), 0, metrics, collector=collector.url, clock=Clock(NOW)
        )
        log.start()
        record_config(log, digest="ab", ok=True)
        await log.close()
        syslog.settimeout(5)
        told = [syslog.recv(65536) for _ in range(3)]
    records = lines(tmp_path / "audit")
    assert [record["type"] for record in records] == ["segment", "config", "checkpoint"]
    written = (tmp_path / "audit" / "here-w0-000001.jsonl").read_bytes().splitlines()
    assert [one.partition(b" - {")[2] for one in told] == [line[1:] for line in written]
    assert [one["body"].encode() for one in taken(tmp_path, "logs")] == written
    assert taken(tmp_path, "logs")[0]["resource"]["service.instance.id"] == "here-w0"
    assert (tmp_path / "anchors.jsonl").read_bytes().splitlines() == written[-1:]
    counts = dict(metrics.audit_sink_records.rows())
    assert counts["otlp", "delivered"] == counts[f"syslog unix://{tmp_path}/log", "delivered"] == 3
    assert counts[f"file {tmp_path}/anchors.jsonl", "delivered"] == 1
    assert set(dict(metrics.audit_sink_up.rows()).values()) == {1}


def test_other_sinks_another_keep_or_another_collector_make_other_settings(tmp_path: Path) -> None:
    made = config(tmp_path)
    keys = read_audit_keys(made.audit)
    settings = log_settings(made.audit, keys, 0, "http://a")
    assert settings == log_settings(made.audit, keys, 0, "http://a")
    assert settings != log_settings(made.audit, keys, 0, "http://b")
    assert settings != log_settings(made.audit.replace(keep=None), keys, 0, "http://a")
    assert settings != log_settings(made.audit.replace(sinks=()), keys, 0, "http://a")
    assert [one.required for one in sink_settings(made.audit, "http://a")] == [False, True, False]


def test_without_sinks_there_are_none(tmp_path: Path) -> None:
    (tmp_path / "routes.yaml").write_text(CONFIG.format(folder=tmp_path, otlp="http://c").partition("  sinks:")[0])
    made = load(tmp_path / "routes.yaml", now=NOW)
    assert sink_settings(made.audit, None) == ()
