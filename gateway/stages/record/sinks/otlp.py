"""Audit lines as log records of a collector (OTLP): the line is the body, its type and place are attributes."""

import json
from collections.abc import Callable
from datetime import datetime

from gateway.kernel.export import LogLine

Export = Callable[[list[LogLine]], None]
"""Sends log lines. Raises OSError, Rejected."""


class Otlp:
    """Hands lines over as they were sealed."""

    def __init__(self, export: Export) -> None:
        self._export = export

    def __call__(self, lines: list[bytes]) -> None:
        """Raises OSError, Rejected."""
        self._export([_log_line(line) for line in lines])
        lines.clear()


def _log_line(line: bytes) -> LogLine:
    record = json.loads(line)
    kind, trace = record["type"], record.get("trace_id")
    return LogLine(
        round(datetime.fromisoformat(record["time"]).timestamp() * 1e6) * 1000,
        line.decode("ascii").rstrip("\n"),
        {
            "event.name": f"gateway.audit.{kind}",
            "gateway.audit.stream": record["stream"],
            "gateway.audit.seq": record["seq"],
        },
        trace if isinstance(trace, str) else None,
    )
