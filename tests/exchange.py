"""A driver that records: requests made up in memory, answers kept as they were sent.

Rule: the nouns are made as `accept` would make them; what a test does not name is plain and harmless.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from ipaddress import ip_address

from gateway.model.answer import OwnFields, WrittenFields
from gateway.model.connection import Connection
from gateway.model.exchange import ClientGone
from gateway.model.limit import LimitPolicy, LimitStatus
from gateway.model.permit import Permit
from gateway.model.principal import Principal, User, Workload
from gateway.model.reason import Reason
from gateway.model.refused import Refused
from gateway.model.request import Preflight, RawHeaders, RequestContext, RequestHead, TraceContext
from gateway.model.route import Route
from gateway.model.trace import Trace

CONNECTION = Connection("edge", ip_address("203.0.113.7"), 40000, ip_address("192.0.2.1"), 8443, None)
TRACE_ID, SPAN_ID = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
WORKLOAD = Workload(
    id="spiffe://cluster.local/ns/default/sa/web",
    trust_domain="cluster.local",
    namespace="default",
    service_account="web",
    fingerprint="ab" * 32,
    thumbprint="x",
    not_after=2e9,
    subject="",
    dns_names=(),
)


def head(
    method: str = "GET",
    target: str = "/a",
    headers: Iterable[tuple[str, str]] = (),
    *,
    length: int | None = None,
    chunked: bool = False,
    fault: Reason | None = None,
) -> RequestHead:
    """A request head; `length` or `chunked` announce a body."""
    raw = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers]
    has_body = chunked or bool(length)
    return RequestHead(method, target.encode(), "1.1", raw, length, has_body, fault)


def context(
    request: RequestHead,
    *,
    client_ip: str = "203.0.113.7",
    authority: str = "api.example.com",
    state: str = "",
    preflight: Preflight | None = None,
) -> RequestContext:
    """What `accept` would make of the head."""
    path, mark, query = request.target.decode().partition("?")
    values: dict[str, tuple[str, ...]] = {}
    for name, value in request.headers:
        key = name.decode("latin-1")
        values[key] = (*values.get(key, ()), value.decode("latin-1"))
    return RequestContext(
        connection=CONNECTION,
        head=request,
        request_id="req-1",
        trace=TraceContext(TRACE_ID, None, SPAN_ID, 1, state),
        time=1.0,
        scheme="https",
        method=request.method,
        host=authority.partition(":")[0],
        authority=authority,
        port=None,
        path=path,
        query=query if mark else None,
        client_ip=ip_address(client_ip),
        preflight=preflight,
        values=values,
    )


def permit(
    ctx: RequestContext, *, index: int = 0, prefix: str = "", user: User | None = None, workload: Workload | None = None
) -> Permit:
    """A permit for the route with this index."""
    route = Route("r", index, False, None, prefix)
    return Permit(ctx, route, Principal(workload, user, ctx.client_ip), "r", None, (), (), None)


def user(**claims: object) -> User:
    """A user with these claims."""
    return User("https://issuer.example", "corp", "alice", {"sub": "alice", **claims}, 2e9)  # type: ignore[dict-item]


def trace(
    request: RequestHead,
    ctx: RequestContext | None = None,
    *,
    route: Route | None = None,
    limits: Iterable[LimitStatus] = (),
) -> Trace:
    """A trace as the pipeline would have filled it."""
    made = Trace(CONNECTION, request, request_id="req-1", time=1.0, began=0.0)
    made.ctx, made.route, made.limits = ctx, route, list(limits)
    return made


@dataclass
class Recorder:
    """An Exchange whose client is the test."""

    head: RequestHead
    pieces: "asyncio.Queue[bytes | Exception]" = field(
        default_factory=asyncio.Queue
    )  # of the request body, b"" ends it
    connection: Connection = field(default_factory=lambda: CONNECTION)
    status: int = 0
    headers: RawHeaders = field(default_factory=list)
    hints: list[RawHeaders] = field(default_factory=list)
    body: bytes = b""
    writes: int = 0
    reads: int = 0
    ended: bool = False
    aborted: bool = False
    gone: bool = False
    slow: bool = False  # the client takes nothing until `take` or it is gone
    at_hand: bool = False  # all of the body is in the first piece
    _on_gone: Callable[[], None] | None = None
    _unblocked: "asyncio.Future[None] | None" = None

    def give(self, *pieces: bytes) -> "Recorder":
        """Queue pieces of the request body; b"" ends it."""
        for piece in pieces:
            self.pieces.put_nowait(piece)
        return self

    @property
    def started(self) -> bool:
        return self.status != 0

    async def read(self) -> bytes:
        self.reads += 1
        if self.gone:
            raise ClientGone
        piece = await self.pieces.get()
        if isinstance(piece, Exception):
            raise piece
        return piece

    def hint(self, links: RawHeaders) -> None:
        assert not self.started, "a hint behind the head"
        self.hints.append(links)

    async def send_head(self, status: int, headers: RawHeaders, body: bytes = b"", *, end: bool) -> None:
        assert not self.started, "two heads"
        self.status, self.headers = status, headers
        await self.send(body, end=end)

    async def send_written(self, status: int, front: WrittenFields, own: OwnFields, body: bytes) -> None:
        await self.send_head(status, front.fields + own, body, end=True)

    async def send(self, data: bytes, *, end: bool) -> None:
        self._still_there()
        self.body += data
        self.writes += 1
        self.ended = end
        if self.slow:
            self._unblocked = asyncio.get_running_loop().create_future()
            await self._unblocked
            self._still_there()

    def abort(self) -> None:
        self.aborted = True
        self._unblock()

    def on_gone(self, callback: Callable[[], None] | None) -> None:
        self._on_gone = callback

    def leave(self) -> None:
        """The client goes away."""
        self.gone = True
        self.pieces.put_nowait(ClientGone())
        self._unblock()
        if self._on_gone is not None:
            self._on_gone()

    def take(self) -> None:
        """The slow client takes what waits for it."""
        self._unblock()

    @property
    def blocked(self) -> bool:
        """True while a send waits for the slow client."""
        return self._unblocked is not None and not self._unblocked.done()

    def values(self, name: str) -> list[str]:
        """Every value of an answer's header."""
        return [value.decode("latin-1") for key, value in self.headers if key == name.encode()]

    def value(self, name: str) -> str | None:
        """The one value of an answer's header; None when absent."""
        values = self.values(name)
        assert len(values) < 2, f"{name} stands {len(values)} times"
        return values[0] if values else None

    def _still_there(self) -> None:
        if self.gone or self.aborted:
            raise ClientGone

    def _unblock(self) -> None:
        if self._unblocked is not None and not self._unblocked.done():
            self._unblocked.set_result(None)


async def refusal(awaitable: Awaitable[object]) -> Refused:
    """What an awaitable is refused with."""
    try:
        await awaitable
    except Refused as refused:
        return refused
    raise AssertionError("not refused")


def limit_status(name: str, quota: int, window: int, remaining: int, reset: int) -> LimitStatus:
    """What is told of a limit."""
    return LimitPolicy(name, quota, window), remaining, reset
