"""What happens on connections, into metrics and the audit log.

Rule: only refused handshakes are records; the audit log bounds their flood itself.
Invariant: never raises: the data path calls it.
"""

import logging
from collections.abc import Callable

from gateway.kernel.cells import Metrics
from gateway.kernel.x509.subject import claimed_subject
from gateway.stages.record import AuditLog, record_handshake

log = logging.getLogger(__name__)


class ConnectionObserver:
    """The `Observer` of every listener of one process."""

    def __init__(self, metrics: Metrics, audit: Callable[[], AuditLog]) -> None:
        """`audit`: the log at work now."""
        self._metrics = metrics
        self._audit = audit

    def connections(self, listener: str, change: int) -> None:
        """A connection opened (+1) or closed (-1)."""
        self._metrics.downstream_connections.labels(listener).inc(change)

    def resumed(self, listener: str) -> None:
        """A handshake was short."""
        self._metrics.tls_resumptions.labels(listener).inc()

    def handshake(
        self, listener: str, peer: str, reason: str, detail: str, sni: str | None = None, claimed: bytes = b""
    ) -> None:
        """A handshake ended well (no reason) or was refused."""
        self._metrics.tls_handshakes.labels(listener, "refused" if reason else "ok", reason).inc()
        if reason:
            log.debug("listener %s refused a handshake of %s: %s (%s)", listener, peer, reason, detail)
            record_handshake(
                self._audit(),
                listener=listener,
                client=peer,
                reason=reason,
                detail=detail,
                sni=sni,
                certificate=claimed_subject(claimed) if claimed else None,
            )
