"""What it means that a connection ended.

Rule: whether a request may be sent again hangs on one thing only: that not a byte of an answer had come.
Invariant: an end in the middle of an answer is never a clean end (RFC 9112 section 8).
"""

import ssl

from gateway.model.reason import Reason
from gateway.model.refused import Refused
from gateway.upstreams.response import ResponseReader


class Lost(Refused):
    """The connection ended before the head of an answer. `untouched`: not a byte of one had come."""

    def __init__(self, reason: Reason, detail: str, *, untouched: bool) -> None:
        super().__init__(reason, detail)
        self.untouched = untouched


def why_lost(answer: ResponseReader, error: Exception | None, *, first: bool) -> Refused:
    """`error`: what the transport ended with; `first`: it was the connection's first request."""
    if answer.head_done:
        return Refused(Reason.UPSTREAM_RESET, "the backend broke off its answer")
    untouched = bool(answer.awaits)
    if isinstance(error, ssl.SSLError) and first and untouched:
        # in TLS 1.3 a backend refuses our certificate after our side of the handshake is done
        return Lost(Reason.UPSTREAM_CONNECT, f"the backend ended TLS: {error.reason}", untouched=True)
    return Lost(Reason.UPSTREAM_PROTOCOL, "the backend closed before its answer", untouched=untouched)
