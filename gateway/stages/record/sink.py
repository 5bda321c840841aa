"""A second place for audit lines, beside the files that are the evidence.

Rule: a sink never holds the log up: what it has no room for is dropped and counted, unless it is `required`; then the
log counts as failed while it has none. Invariant: a line leaves as it was sealed: a copy proves what the file says.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from errno import ENOBUFS
from typing import Literal, TypeAlias

from gateway.kernel.export import Outbox, Told

CAPACITY = 10_000  # lines that wait for a slow sink
_BATCH = 500
_CHECKPOINT = b'{"type":"checkpoint"'

Deliver: TypeAlias = Callable[[list[bytes]], None]
"""Sends lines, from the thread of the sink, and takes out of the list what it sent. Raises OSError, Rejected."""


@dataclass(frozen=True, slots=True)
class SinkSettings:
    """One sink. Equal settings mean the same sink."""

    kind: Literal["stdout", "otlp", "syslog", "file"]
    target: str  # the collector, the syslog address, the path; "" for stdout
    checkpoints_only: bool = False
    required: bool = False

    @property
    def name(self) -> str:
        """How metrics and the log call it."""
        return self.kind if not self.target or self.kind == "otlp" else f"{self.kind} {self.target}"


class Sink:
    """Made once, with the log that feeds it."""

    def __init__(self, settings: SinkSettings, deliver: Deliver, told: Told, *, capacity: int = CAPACITY) -> None:
        """`capacity`: lines."""
        self.name = settings.name
        self.required = settings.required
        self._only_checkpoints = settings.checkpoints_only
        self._outbox = Outbox(f"audit sink {self.name}", deliver, told, capacity=capacity, batch=_BATCH)

    @property
    def failing(self) -> bool:
        """True while it takes nothing."""
        return self._outbox.failing

    def start(self) -> None:
        """Begin to send."""
        self._outbox.start()

    def take(self, lines: Sequence[bytes]) -> None:
        """Lines that were written, each with its newline."""
        if self._only_checkpoints:
            lines = [line for line in lines if line.startswith(_CHECKPOINT)]
        if lines:
            self._outbox.offer(lines)

    def demand(self, lines: int) -> None:
        """Raises OSError where the sink is required and has no room for so many lines."""
        if self.required and self._outbox.room < lines:
            raise OSError(ENOBUFS, f"the sink {self.name} takes nothing more")

    def close(self) -> None:
        """Send what waits, for a little while. Blocks."""
        self._outbox.close()
