"""W3C Trace Context: take over the caller's trace, or begin one.

A traceparent that is not exactly as the standard writes it is replaced, and its tracestate dropped with it.
Source: W3C Trace Context (Level 1) sections 3.2 and 3.3.
"""

from collections.abc import Callable
from itertools import repeat
from os import urandom
from typing import TypeAlias

from gateway.model.request import TraceContext

TakeTrace: TypeAlias = Callable[[tuple[str, ...], tuple[str, ...]], TraceContext]
"""Every value of traceparent and of tracestate into the trace of a request."""

_SAMPLED = 1  # trace flag
_KNOWN = 3  # sampled, and random-trace-id of Level 2: what else is set is not ours to pass on (section 3.2.2.5)
_HEX = "0123456789abcdef"
_NO_TRACE, _NO_PARENT = "0" * 32, "0" * 16
_LENGTH = 55  # version 00
_LONGEST_STATE = 512
_IDS = 256
_begun: list[TraceContext] = []  # by nobody yet


def trace_context(traceparent: tuple[str, ...], tracestate: tuple[str, ...]) -> TraceContext:
    """The trace of this request, with a span id of our own."""
    if len(traceparent) == 1:
        field = traceparent[0]
        if _well_formed(field):
            state = ",".join(tracestate) if tracestate else ""
            if len(state) > _LONGEST_STATE or not (state.isascii() and state.isprintable()):
                state = ""
            return TraceContext(field[3:35], field[36:52], _fresh().span_id, int(field[53:55], 16) & _KNOWN, state)
    return _begun.pop() if _begun else _fresh()


def sampling(part: float) -> TakeTrace:
    """`trace_context` that marks `part` (0 to 1) of the traces that begin here as sampled; a caller's mark stands.

    By the low 64 bits of the trace id, as OpenTelemetry's TraceIdRatioBased under ParentBased.
    """
    bound = round(part * (1 << 64))

    def sampled(traceparent: tuple[str, ...], tracestate: tuple[str, ...]) -> TraceContext:
        taken = trace_context(traceparent, tracestate)
        if taken.parent_id is None and int(taken.trace_id[16:], 16) < bound:
            return TraceContext(taken.trace_id, None, taken.span_id, _SAMPLED, "")
        return taken

    return sampled


def _fresh() -> TraceContext:
    """A trace that begins here. Many are made at once: their ids are random hex digits, of one call of the system's."""
    if not _begun:
        traces = urandom(16 * _IDS).hex(" ", 16).split(" ")
        spans = urandom(8 * _IDS).hex(" ", 8).split(" ")
        _begun.extend(map(TraceContext, traces, repeat(None), spans, repeat(0), repeat("")))
    return _begun.pop()


def _well_formed(field: str) -> bool:
    version, trace_id, parent_id = field[:2], field[3:35], field[36:52]
    if len(field) != _LENGTH and (version == "00" or field[_LENGTH : _LENGTH + 1] != "-"):
        return False
    return (
        len(field) >= _LENGTH
        and field[2] == field[35] == field[52] == "-"
        and not (version + trace_id + parent_id + field[53:55]).strip(_HEX)  # strip is the fastest "only of these"
        and version != "ff"
        and trace_id != _NO_TRACE
        and parent_id != _NO_PARENT
    )
