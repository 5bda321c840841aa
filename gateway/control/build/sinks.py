"""`audit.sinks` of the config into the sinks of one worker's log. A line here is all that a new kind needs."""

from collections.abc import Callable
from pathlib import Path

from gateway.config.schema import Audit
from gateway.config.schema import Sink as Configured
from gateway.control.build.telemetry import resource
from gateway.kernel.cells import Metrics
from gateway.kernel.export import LogLine, Told
from gateway.stages.record import Deliver, Sink, SinkSettings
from gateway.stages.record.sinks.file import File
from gateway.stages.record.sinks.otlp import Otlp
from gateway.stages.record.sinks.stdout import Stdout
from gateway.stages.record.sinks.syslog import Syslog


def sink_settings(audit: Audit, collector: str | None) -> tuple[SinkSettings, ...]:
    """`collector`: telemetry.otlp."""
    return tuple(_settings(sink, collector) for sink in audit.sinks)


def open_sinks(settings: tuple[SinkSettings, ...], stream: str, metrics: Metrics) -> list[Sink]:
    """Nothing is connected or opened before the first line; what fails then is told in metrics and the log."""
    return [Sink(one, _DELIVER[one.kind](one.target, stream), _told(metrics, one.name)) for one in settings]


def _settings(sink: Configured, collector: str | None) -> SinkSettings:
    only = sink.records == "checkpoints"
    if sink.syslog is not None:
        return SinkSettings("syslog", sink.syslog, only, sink.required)
    if sink.file is not None:
        return SinkSettings("file", str(sink.file), only, sink.required)
    if sink.to == "otlp":
        return SinkSettings("otlp", collector or "", only, sink.required)
    return SinkSettings("stdout", "", only, sink.required)


def _told(metrics: Metrics, name: str) -> Told:
    records = metrics.audit_sink_records
    return Told(
        metrics.audit_sink_up.labels(name).set,
        records.labels(name, "delivered").inc,
        records.labels(name, "dropped").inc,
        records.labels(name, "rejected").inc,
    )


def _otlp(collector: str, stream: str) -> Deliver:
    from gateway.kernel.export.otlp import LOGS, Collector, encode_logs

    to, who = Collector(collector), resource(stream)

    def export(lines: list[LogLine]) -> None:
        to.post(LOGS, encode_logs(lines, who))

    return Otlp(export)


_DELIVER: dict[str, Callable[[str, str], Deliver]] = {
    "stdout": lambda _target, _stream: Stdout(),
    "file": lambda path, _stream: File(Path(path)),
    "syslog": lambda address, _stream: Syslog(address),
    "otlp": _otlp,
}
