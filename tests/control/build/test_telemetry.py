"""`telemetry` of the config: nothing without it, one sender over reloads with it."""

from pathlib import Path

from gateway.config.load import load
from gateway.config.schema import Config
from gateway.control.build.accept import build_accept
from gateway.control.build.record import build_record, open_audit_log, read_audit_keys
from gateway.control.build.telemetry import Telemetry
from gateway.kernel.cells import Metrics
from gateway.model.outcome import Outcome
from gateway.stages.accept.trace_context import trace_context
from gateway.stages.record import Record, TracedRecord
from gateway.testing.clock import Clock
from tests.otlp_collector import receiving, taken
from tests.stages.record.scene import NOW, Asked, allowed

CONFIG = """\
version: 1
listeners: {edge: {address: "127.0.0.1:8080"}}
routes:
  - {name: one, match: {paths: ["/one/*"]}, public: true, respond: {status: 200}}
  - {name: two, match: {paths: [/two, /zwei]}, public: true, respond: {status: 200}}
"""


def config(folder: Path, more: str = "") -> Config:
    (folder / "routes.yaml").write_text(CONFIG + more)
    return load(folder / "routes.yaml", now=NOW)


def stage(made: Config, telemetry: Telemetry | None) -> Record:
    metrics = Metrics()
    keys = read_audit_keys(made.audit)
    log = open_audit_log(made.audit, keys, 0, metrics, clock=Clock(NOW))
    log.start()
    return build_record(made, keys, log, metrics, telemetry)


async def test_without_it_the_stage_and_the_trace_are_the_plain_ones(tmp_path: Path) -> None:
    made = config(tmp_path)
    assert Telemetry.of(made, Metrics(), 0) is None
    assert type(stage(made, None)) is Record
    assert build_accept(made)._take_trace is trace_context


async def test_with_it_a_request_becomes_spans_of_this_worker(tmp_path: Path) -> None:
    with receiving(tmp_path) as receiver:
        made = config(tmp_path, f'telemetry: {{otlp: "{receiver.url}", sample: 100%}}\naudit: {{replica: edge-1}}')
        metrics = Metrics()
        telemetry = Telemetry.of(made, metrics, 3)
        assert telemetry is not None
        record = stage(made, telemetry)
        assert type(record) is TracedRecord
        telemetry.outbox.start()
        trace = allowed(record, asked=Asked())
        assert build_accept(made)._take_trace((), ()).flags == 1
        record.outcome(trace, Outcome(200, None, None, 0, 0))
        await telemetry.close()
        server = taken(tmp_path)[0]
    assert server["name"] == "GET /one/*"
    assert server["resource"]["service.name"] == "gateway"
    assert server["resource"]["service.instance.id"] == "edge-1-w3"
    assert dict(metrics.telemetry_requests.rows())[("delivered",)] == 1
    assert dict(metrics.telemetry_up.rows())[("traces",)] == 1


async def test_a_reload_keeps_the_sender_while_the_collector_is_the_same(tmp_path: Path) -> None:
    telemetry = Telemetry.of(config(tmp_path, 'telemetry: {otlp: "http://127.0.0.1:4318"}'), Metrics(), 0)
    assert telemetry is not None
    assert telemetry.serves(config(tmp_path, 'telemetry: {otlp: "http://127.0.0.1:4318", sample: 1%, denials: true}'))
    assert not telemetry.serves(config(tmp_path, 'telemetry: {otlp: "http://127.0.0.1:4319"}'))
    assert not telemetry.serves(config(tmp_path))
