"""`telemetry` of the config into what sends spans, and what makes them.

The sender outlives reloads while the collector stays the same; the sample and the names belong to a snapshot.
"""

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from gateway import __version__
from gateway.config.schema import Config
from gateway.kernel.cells import Metrics
from gateway.kernel.export import Outbox, Span, Told, Values
from gateway.stages.record import Ended, Redaction, SpanMaker, Tracing

_CAPACITY = 2048  # requests that wait to be sent
_BATCH = 64
_GATHER = 0.5  # seconds in which a batch may grow

Recorded = tuple[SpanMaker, Ended]


def resource(stream: str) -> Values:
    """Who sends, in the semantic conventions' words. `stream`: REPLICA-wN."""
    return {"service.name": "gateway", "service.version": __version__, "service.instance.id": stream}


@dataclass(frozen=True, slots=True)
class Telemetry:
    """Sends spans to one collector."""

    url: str
    outbox: Outbox[Recorded]
    disconnect: Callable[[], None]

    @staticmethod
    def of(config: Config, metrics: Metrics, worker: int) -> "Telemetry | None":
        """None where nothing is configured. Sends nothing before it is started."""
        if config.telemetry is None:
            return None
        from gateway.kernel.export.otlp import TRACES, Collector, encode_spans

        collector, who = Collector(config.telemetry.otlp), resource(f"{config.audit.replica}-w{worker}")

        def deliver(batch: list[Recorded]) -> None:
            collector.post(TRACES, encode_spans(_spans(batch), who))

        spans = metrics.telemetry_requests
        told = Told(
            metrics.telemetry_up.labels("traces").set,
            spans.labels("delivered").inc,
            spans.labels("dropped").inc,
            spans.labels("rejected").inc,
        )
        outbox = Outbox("traces", deliver, told, capacity=_CAPACITY, batch=_BATCH, gather=_GATHER)
        return Telemetry(config.telemetry.otlp, outbox, collector.close)

    def serves(self, config: Config) -> bool:
        """Whether a reload may keep it."""
        return config.telemetry is not None and config.telemetry.otlp == self.url

    async def close(self) -> None:
        """Send what waits, for a little while."""
        with contextlib.suppress(RuntimeError):  # no more threads: the interpreter ends
            await asyncio.to_thread(self.outbox.close)
        self.disconnect()


def _spans(batch: list[Recorded]) -> Iterator[Span]:
    for make, one in batch:
        yield from make(one)


def build_tracing(config: Config, telemetry: Telemetry, redaction: Redaction) -> Tracing:
    """What the record stage of `config` needs to send spans."""
    assert config.telemetry is not None  # noqa: S101 - without it there is no Telemetry
    pseudonym: Callable[[str], str] = lambda who: redaction.digest(who).strip('"')  # noqa: E731
    make = SpanMaker(
        tuple(route.name for route in config.routes),
        tuple(route.match.paths[0] if len(route.match.paths) == 1 else None for route in config.routes),
        pseudonym,
    )
    return Tracing(make, telemetry.outbox.offer, config.telemetry.denials)
