"""The request head that a backend gets, as bytes.

Rule: written from the permit's context, never copied from the wire; the path is the judged one, or its rewrite.
Invariant: the head holds as many lines as were meant: a line break inside any part refuses the request (H18).
"""

from collections.abc import Sequence
from typing import TypeAlias

from gateway.kernel.breaks import breaks
from gateway.kernel.memo import Memo
from gateway.kernel.patterns.blocks import address_text, unmapped
from gateway.model.connection import IPAddress
from gateway.model.exchange import Exchange
from gateway.model.permit import Permit
from gateway.model.reason import Reason
from gateway.model.refused import Refused
from gateway.model.request import RequestContext, Written
from gateway.model.request import RequestHead as Received
from gateway.stages.forward.assertion import Assertion
from gateway.stages.forward.claims import FieldValue
from gateway.stages.forward.fields import RequestFields, nominated_by
from gateway.stages.forward.rewrite import Rewrite
from gateway.stages.forward.xfcc import ClientCert

_USUAL_CONNECTION = frozenset([("keep-alive",), ("close",), ("Keep-Alive",)])
_CALLER_BREAKS = 6  # bytes of the line ends that `_meet` writes
_FLAGS = tuple(f"{flags:02x}" for flags in range(256))
_UNWRITABLE = "a part of the request cannot be written as one line"


class RequestHead:
    """Writes heads for one route and one of its upstreams."""

    def __init__(
        self,
        fields: RequestFields,
        *,
        via: str,
        own_id: str | None,
        rewrite: Rewrite | None = None,
        constant: Sequence[tuple[bytes, bytes]] = (),
        claims: Sequence[tuple[bytes, FieldValue]] = (),
        assertion: Assertion | None = None,
    ) -> None:
        """`via`: this gateway's pseudonym; `own_id`: its SPIFFE id; `constant`, `claims`: what the route sets.

        Raises ValueError for a constant or a host that is no one line.
        """
        self._fields = fields
        self._client_cert = ClientCert(own_id)
        self._rewrite = rewrite
        self._claims = tuple(claims)
        self._assertion = assertion
        written = [b"%b: %b\r\n" % field for field in ((b"via", b"1.1 " + via.encode("ascii")), *constant)]
        self._constant = b"".join(written)
        if breaks(self._constant) != 2 * len(written):
            raise ValueError("a request header that the route sets holds a line end or NUL")
        self._end = self._constant + b"\r\n"
        self._plain = assertion is None and not self._claims
        self._host = rewrite.host if rewrite is not None else None
        if self._host is not None and breaks(self._host.encode("latin-1")):
            raise ValueError("the host that the route writes holds a line end or NUL")

    def __call__(self, permit: Permit, exchange: Exchange) -> bytes:
        """The whole head with its empty line. Raises Refused(BAD_REQUEST | AMBIGUOUS_PATH | IDENTITY_UNAVAILABLE)."""
        ctx, head = permit.ctx, exchange.head
        known = head.again.written if head.again is not None else None
        if (
            known is None
            or known[0] is not self
            or known[1] is not ctx.client_ip
            or known[2] is not ctx.connection.peer_ip
            or known[3] != ctx.scheme
        ):
            known = self._begin(permit, head)
        _, _, _, _, front, passing, bare = known
        request_id, trace = ctx.request_id, ctx.trace
        trace_id, span_id = trace.trace_id, trace.span_id
        said = f"{request_id}{trace_id}{span_id}"
        if "\r" in said or "\n" in said or "\0" in said:
            raise Refused(Reason.BAD_REQUEST, _UNWRITABLE)
        start = (
            f"{front}x-request-id: {request_id}\r\ntraceparent: 00-{trace_id}-{span_id}-{_FLAGS[trace.flags]}\r\n"
            f"{trace.state and _state(trace.state)}"
        ).encode("latin-1")
        workload = permit.principal.workload
        if bare and workload is None:
            return start + passing + self._end
        lines = self._more(permit, head)
        if workload is not None:
            lines.append(b"x-forwarded-client-cert: %b\r\n" % self._client_cert(workload))
        more = b"".join(lines)
        if breaks(more) != 2 * len(lines):
            raise Refused(Reason.BAD_REQUEST, _UNWRITABLE)
        return b"%b%b%b%b\r\n" % (start, passing, self._constant, more)

    def _begin(self, permit: Permit, head: Received) -> Written:
        """What hangs on the head and its caller alone; kept where the head came before. Raises Refused as above."""
        ctx, method = permit.ctx, head.method
        path = ctx.path if self._rewrite is None else self._rewrite(ctx.path, permit.route.prefix)
        target = path if ctx.query is None else f"{path}?{ctx.query}"
        said = f"{method}{target}"
        if " " in said or "\r" in said or "\n" in said or "\0" in said:
            raise Refused(Reason.BAD_REQUEST, _UNWRITABLE)
        client, authority = ctx.client_ip, ctx.authority
        caller = _callers.get((id(client), authority))
        if caller is None or caller[1] is not ctx.connection.peer_ip or caller[2] != ctx.scheme:
            caller = _meet(ctx)
        section = head.section
        kept = section.passing if section is not None else None
        passing = kept[1] if kept is not None and kept[0] is self._fields else self._passing(ctx, head)
        _, peer, scheme, lines = caller
        front = f"{method} {target} HTTP/1.1\r\nhost: {self._host or authority}\r\n{lines}"
        if head.content_length is not None:
            front += f"content-length: {head.content_length}\r\n"
        bare = self._plain and (head.content_length is not None or not head.has_body) and method != "OPTIONS"
        written = self, client, peer, scheme, front, passing, bare
        if head.again is not None:
            head.again.written = written
        return written

    def _more(self, permit: Permit, head: Received) -> list[bytes]:
        """Lines that hang on this request."""
        lines = []
        if head.has_body and head.content_length is None:
            lines.append(b"transfer-encoding: chunked\r\n")
        if self._assertion is not None:
            lines.append(b"x-gateway-assertion: %b\r\n" % self._assertion(permit))
        user = permit.principal.user
        for name, value_of in self._claims:
            value = value_of(user.claims if user is not None else None)
            if value is not None:
                lines.append(b"%b: %b\r\n" % (name, value))
        if head.method == "OPTIONS" and "max-forwards" in permit.ctx.values:
            hops = int(permit.ctx.values["max-forwards"][0]) - 1  # RFC 9110 section 7.6.2
            lines.append(b"max-forwards: %d\r\n" % hops)
        return lines

    def _passing(self, ctx: RequestContext, head: Received) -> bytes:
        """The client's fields that pass, as lines; kept where the section is, unless its Connection names some."""
        connection = ctx.values.get("connection")
        nominated = None if connection is None or connection in _USUAL_CONNECTION else nominated_by(connection)
        fields = self._fields
        lines = fields.lines(head.headers, nominated)
        passing = b"".join([line + b"\r\n" for line in lines])
        if breaks(passing) != 2 * len(lines):
            raise Refused(Reason.BAD_REQUEST, _UNWRITABLE)
        if head.section is not None and nominated is None:
            head.section.passing = fields, passing
        return passing


_Caller: TypeAlias = tuple[IPAddress, IPAddress, str, str]  # client, peer, scheme, and the lines that tell of them

# by the id of the client's address, which is held so that no other one gets it, and the authority that was asked for
_callers: Memo[tuple[int, str], _Caller] = Memo()


def _meet(ctx: RequestContext) -> _Caller:
    """Who calls, through whom and how. Raises Refused(BAD_REQUEST)."""
    client, peer, scheme, authority = ctx.client_ip, ctx.connection.peer_ip, ctx.scheme, ctx.authority
    forwarded = address_text(client)
    if client is not peer and client != unmapped(peer):
        forwarded = f"{forwarded}, {address_text(unmapped(peer))}"
    lines = f"x-forwarded-for: {forwarded}\r\nx-forwarded-proto: {scheme}\r\nx-forwarded-host: {authority}\r\n"
    if breaks(lines.encode("latin-1")) != _CALLER_BREAKS:
        raise Refused(Reason.BAD_REQUEST, _UNWRITABLE)
    caller = client, peer, scheme, lines
    _callers.keep((id(client), authority), caller, len(lines))
    return caller


def _state(state: str) -> str:
    """The line of tracestate. Raises Refused(BAD_REQUEST)."""
    if breaks(state.encode("latin-1")):
        raise Refused(Reason.BAD_REQUEST, _UNWRITABLE)
    return f"tracestate: {state}\r\n"
