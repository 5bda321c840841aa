"""`telemetry` and `audit.sinks`: what is refused, and what is unwise."""

import sys
from pathlib import Path

import pytest

from gateway.config.effective import Effective
from gateway.config.schema import Percent, Sink
from tests.config.sample import changed, judged, loaded

OTLP = 'telemetry: {otlp: "http://127.0.0.1:4318"}\nupstreams:'


def with_sinks(sinks: str) -> str:
    return changed(("upstreams:", f"audit: {{sinks: {sinks}}}\n{OTLP}"))


def test_what_is_not_said_has_its_default(folder: Path) -> None:
    telemetry = loaded(folder, changed(("upstreams:", OTLP))).telemetry
    assert telemetry is not None
    assert (telemetry.sample, telemetry.denials) == (Percent(10), False)
    assert loaded(folder, changed()).telemetry is None


def test_a_missing_extra_is_said_with_what_to_do(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.proto", None)
    errors, _ = judged(folder, changed(("upstreams:", OTLP)))
    assert errors == ["6:1 telemetry needs OpenTelemetry's packages (run `pip install 'gateway[otel]'`)"]
    assert judged(folder, changed())[0] == []  # who does not ask for it does not need it


@pytest.mark.parametrize(
    ("telemetry", "error"),
    [
        ("{otlp: collector}", "'collector' is not a URL here: write one like http://host:port"),
        (
            '{otlp: "grpc://collector:4317"}',
            "'grpc://collector:4317' is not a URL here: write one like http://host:port",
        ),
        ('{otlp: "http://u:p@collector"}', "a URL here holds no user and no password"),
        (
            '{otlp: "http://169.254.169.254"}',
            "169.254.169.254 is a link-local address: the gateway never connects there",
        ),
        ("{sample: 10%}", "'otlp' is missing"),
        ('{otlp: "https://c", sample: 0.1}', 'a text is wanted: write "0.1" in quotes'),
        ('{otlp: "https://c", denials: always}', "true or false is wanted"),
    ],
)
def test_a_collector_that_cannot_be_is_refused(folder: Path, telemetry: str, error: str) -> None:
    errors, _ = judged(folder, changed(("upstreams:", f"telemetry: {telemetry}\nupstreams:")))
    assert [line.split(" ", 1)[1].split(" (")[0] for line in errors] == [error]


def test_a_collector_elsewhere_without_tls_is_unwise(folder: Path) -> None:
    _, warnings = judged(folder, changed(("upstreams:", OTLP.replace("127.0.0.1", "collector.internal"))))
    assert len(warnings) == 1
    assert "neither encrypted nor verified" in warnings[0]
    assert judged(folder, changed(("upstreams:", OTLP)))[1] == []


def test_sinks_of_every_kind(folder: Path) -> None:
    text = with_sinks(
        '[stdout, otlp, {syslog: "tls://logs:6514", required: true}, {syslog: "unix:///dev/log"}, '
        "{file: anchors.jsonl, records: checkpoints}]"
    )
    sinks = loaded(folder, text).audit.sinks
    assert [(one.to, one.syslog, one.records, one.required) for one in sinks] == [
        ("stdout", None, "all", False),
        ("otlp", None, "all", False),
        (None, "tls://logs:6514", "all", True),
        (None, "unix:///dev/log", "all", False),
        (None, None, "checkpoints", False),
    ]
    assert sinks[4].file == folder / "anchors.jsonl"
    assert judged(folder, text) == ([], [])


def test_one_sink_needs_no_list_and_is_shown_in_short(folder: Path) -> None:
    config = loaded(folder, with_sinks("stdout"))
    assert config.audit.sinks == (Sink(to="stdout"),)
    assert "sinks: stdout" in "\n".join(Effective(config).lines())
    assert loaded(folder, with_sinks("[]")).audit.sinks == ()


@pytest.mark.parametrize(
    ("sink", "error"),
    [
        ("journald", "stdout or otlp is wanted"),
        ("{syslog: logs}", "'logs' is no syslog address"),
        ('{syslog: "tcp://logs"}', "'tcp://logs' is no syslog address"),
        ('{syslog: "unix://dev/log"}', "write unix:///dev/log"),
        ('{syslog: "udp://169.254.169.254:514"}', "link-local address"),
        ("{records: checkpoints}", "a sink is one of to, syslog and file"),
        ("{to: stdout, file: a}", "a sink is one of to, syslog and file"),
    ],
)
def test_a_sink_that_cannot_be_is_refused(folder: Path, sink: str, error: str) -> None:
    (line,) = judged(folder, with_sinks(f"[{sink}]"))[0]
    assert error in line


def test_otlp_without_a_collector_is_refused(folder: Path) -> None:
    errors, _ = judged(folder, changed(("upstreams:", "audit: {sinks: [otlp]}\nupstreams:")))
    assert errors == ["6:17 otlp sends to telemetry.otlp, which is not set (add telemetry: {otlp: URL})"]


def test_syslog_over_the_network_without_tls_is_unwise(folder: Path) -> None:
    _, warnings = judged(folder, with_sinks('[{syslog: "udp://logs.internal:514"}, {syslog: "tcp://127.0.0.1:601"}]'))
    assert len(warnings) == 1
    assert "udp://logs.internal:514 is neither encrypted nor verified" in warnings[0]


def test_what_is_kept_shorter_than_a_minute_is_refused(folder: Path) -> None:
    assert loaded(folder, changed(("upstreams:", "audit: {keep: 90d}\nupstreams:"))).audit.keep == 90 * 86400
    assert judged(folder, changed(("upstreams:", "audit: {keep: 5s}\nupstreams:")))[0]
