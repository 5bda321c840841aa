"""What happens on connections, into metrics and the audit log.

Rule: only refused handshakes are records; the audit log bounds their flood itself.
Invariant: never raises: the data path calls it.
"""

import logging
from collections.abc import Callable
from functools import cache

from gateway.kernel.cells import Metrics
from gateway.kernel.x509.subject import claimed_subject
from gateway.stages.record import AuditLog, record_handshake

log = logging.getLogger(__name__)


class ConnectionObserver:
    """The `Observer` of every listener of one process."""

    def __init__(self, metrics: Metrics, audit: Callable[[], AuditLog]) -> None:
        """`audit`: the log at work now."""
        self._refused = metrics.tls_handshakes
        self._audit = audit
        # the cells of a listener: there are as many as listeners, and none is ever dropped
        self._open = cache(metrics.downstream_connections.labels)
        self._resumed = cache(metrics.tls_resumptions.labels)
        self._shaken = cache(lambda listener: metrics.tls_handshakes.labels(listener, "ok", ""))

    def connections(self, listener: str, change: int) -> None:
        """A connection opened (+1) or closed (-1)."""
        self._open(listener).stored += change

    def resumed(self, listener: str) -> None:
        """A handshake was short."""
        self._resumed(listener).value += 1

    def handshake(
        self, listener: str, peer: str, reason: str, detail: str, sni: str | None = None, claimed: bytes = b""
    ) -> None:
        """A handshake ended well (no reason) or was refused."""
        if not reason:
            self._shaken(listener).value += 1
            return
        self._refused.labels(listener, "refused", reason).inc()
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
