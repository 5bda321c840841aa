"""What leaves beside the data path: the collector of spans, and the sinks of the audit log."""

from functools import partial
from urllib.parse import urlsplit

from gateway.config.checks.report import Report
from gateway.config.checks.urls import judge_host, judge_url
from gateway.config.schema import Config, Sink
from gateway.config.tree import Path

SYSLOG_SCHEMES = ("unix", "udp", "tcp", "tls")
_KINDS = ("to", "syslog", "file")


def check(config: Config, report: Report) -> None:
    """`telemetry` and `audit.sinks`."""
    if config.telemetry is not None:
        from gateway.kernel.export.otlp import missing_extra

        path: Path = ("telemetry", "otlp")
        report.one(path, config.telemetry.otlp, partial(_collector, report, path))
        if missing_extra():
            report.error_at_key(
                ("telemetry",), "telemetry needs OpenTelemetry's packages", "run `pip install 'gateway[otel]'`"
            )
    for index, sink in enumerate(config.audit.sinks):
        _sink(config, report, ("audit", "sinks", index), sink)


def _sink(config: Config, report: Report, path: Path, sink: Sink) -> None:
    named = [key for key in _KINDS if getattr(sink, key) is not None]
    if len(named) != 1 and not report.lost(sink.where, *_KINDS):
        report.error(path, "a sink is one of to, syslog and file", "write one of them")
    if sink.to == "otlp" and config.telemetry is None and not report.lost_in("telemetry"):
        report.error(path, "otlp sends to telemetry.otlp, which is not set", "add telemetry: {otlp: URL}")
    if sink.syslog is not None:
        report.one((*path, "syslog"), sink.syslog, partial(_syslog, report, (*path, "syslog")))


def _collector(report: Report, path: Path, text: str) -> None:
    """Raises ValueError."""
    url = judge_url(text, schemes=("http", "https"))
    if url.scheme == "http" and not url.loopback:
        report.warn(path, f"{text} is neither encrypted nor verified: spans name paths and addresses", "write https://")


def _syslog(report: Report, path: Path, text: str) -> None:
    """Raises ValueError."""
    scheme, _, rest = text.partition("://")
    if scheme == "unix":
        if not rest.startswith("/"):
            raise ValueError(f"{text!r}: write unix:///dev/log")
        return
    example = "tcp://logs.example.com:601"
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise ValueError(f"{text!r} is no syslog address: write one like {example}") from None
    if scheme not in SYSLOG_SCHEMES or not parts.hostname or not port or parts.path or parts.username is not None:
        raise ValueError(f"{text!r} is no syslog address: write one like {example} or unix:///dev/log")
    if not judge_host(parts.hostname) and scheme != "tls":
        report.warn(path, f"{text} is neither encrypted nor verified: records name callers and paths", "write tls://")
