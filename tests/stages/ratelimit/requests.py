"""Requests and callers for the tests of limits: only what limits look at is filled in with care."""

from collections.abc import Mapping
from ipaddress import ip_address

from gateway.model.connection import Connection, TlsFacts
from gateway.model.json import Claims
from gateway.model.principal import Principal, User, Workload
from gateway.model.request import Preflight, RequestContext, RequestHead, TraceContext
from gateway.model.route import Route
from gateway.model.trace import Trace

NOW = 1_800_000_000.0
NO_ROUTE = Route("none", -1, False, None, "")


def route(index: int = 0, name: str = "r") -> Route:
    return Route(name, index, False, None, "")


def request(
    ip: str = "192.0.2.1",
    *,
    headers: Mapping[str, str | tuple[str, ...]] | None = None,
    at: float = NOW,
    chain: tuple[bytes, ...] = (),
    listener: str = "edge",
    preflight: Preflight | None = None,
) -> RequestContext:
    values = {name: (value,) if isinstance(value, str) else value for name, value in (headers or {}).items()}
    address = ip_address(ip)
    tls = TlsFacts("TLSv1.3", "TLS_AES_128_GCM_SHA256", None, "http/1.1", False, 0, chain)
    return RequestContext(
        connection=Connection(listener, address, 40000, ip_address("127.0.0.1"), 8443, tls),
        head=RequestHead("GET", b"/", "1.1", [], None, False),
        request_id="id",
        trace=TraceContext("0" * 32, None, "0" * 16, 0, ""),
        time=at,
        scheme="https",
        method="GET",
        host="api.example.com",
        authority="api.example.com",
        port=None,
        path="/",
        query=None,
        client_ip=address,
        preflight=preflight,
        values=values,
    )


def user(
    subject: str = "alice", issuer: str = "https://issuer.example", claims: Claims | None = None, ip: str = "192.0.2.1"
) -> Principal:
    return Principal(None, User(issuer, "corp", subject, claims or {}, NOW + 300), ip_address(ip))


def workload(spiffe_id: str = "spiffe://cluster.local/ns/default/sa/web", ip: str = "192.0.2.1") -> Principal:
    found = Workload(spiffe_id, "cluster.local", "default", "web", "", "", NOW + 300, "", ())
    return Principal(found, None, ip_address(ip))


def anonymous(ip: str = "192.0.2.1") -> Principal:
    return Principal(None, None, ip_address(ip))


def trace() -> Trace:
    """What a gate tells of limits in shadow."""
    ctx = request()
    return Trace(ctx.connection, ctx.head, request_id="id", time=NOW, began=0.0)
