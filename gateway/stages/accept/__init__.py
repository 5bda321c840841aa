"""The first stage: a head and the facts of its connection into the one form that is judged."""

from gateway.stages.accept.accept import Accept, Covering, ListenerSettings
from gateway.stages.accept.trace_context import sampling, trace_context

__all__ = ["Accept", "Covering", "ListenerSettings", "sampling", "trace_context"]
