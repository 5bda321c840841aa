"""The first stage: a head and the facts of its connection into the one form that is judged."""

from gateway.stages.accept.accept import Accept, Covering, ListenerSettings
from gateway.stages.accept.trace_context import sampling, trace_context
from gateway.stages.accept.upgrade import AcceptUpgrades, WebSockets

__all__ = [
    "Accept",
    "AcceptUpgrades",
    "Covering",
    "ListenerSettings",
    "WebSockets",
    "sampling",
    "trace_context",
]
