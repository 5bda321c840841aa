"""Nouns for tests of the deciding stages: a connection, a head, a context, callers."""

from collections.abc import Mapping
from ipaddress import ip_address

from gateway.model.connection import Connection, TlsFacts
from gateway.model.json import JSON
from gateway.model.principal import Principal, User, Workload
from gateway.model.request import Preflight, RequestContext, RequestHead, TraceContext
from gateway.model.trace import Trace

NOW = 1_800_000_000.0
ISSUER = "https://auth.example.com"


def connection(
    *, listener: str = "edge", peer: str = "203.0.113.9", sni: str | None = "api.example.com", served: int = 0
) -> Connection:
    """A TLS connection without a client certificate."""
    tls = TlsFacts("TLSv1.3", "TLS_AES_256_GCM_SHA384", sni, "http/1.1", False, served, ())
    return Connection(listener, ip_address(peer), 50000, ip_address("192.0.2.1"), 8443, tls)


def head(
    target: str = "/",
    *headers: tuple[str, str],
    method: str = "GET",
    host: str | None = "api.example.com",
    version: str = "1.1",
    content_length: int | None = None,
) -> RequestHead:
    """A head with a Host, and the fields given."""
    fields = [("host", host)] if host is not None else []
    raw = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in (*fields, *headers)]
    return RequestHead(method, target.encode("latin-1"), version, raw, content_length, content_length is not None)


def trace(of: RequestHead, over: Connection | None = None) -> Trace:
    """The trace of one request as a driver begins it."""
    return Trace(over or connection(), of, request_id="own-id", time=NOW, began=0.0)


def context(
    path: str = "/",
    *,
    method: str = "GET",
    host: str = "api.example.com",
    headers: Mapping[str, tuple[str, ...]] | None = None,
    over: Connection | None = None,
    client_ip: str | None = None,
    preflight: Preflight | None = None,
) -> RequestContext:
    """What accept would make."""
    conn = over or connection()
    return RequestContext(
        connection=conn,
        head=head(path, method=method, host=host),
        request_id="own-id",
        trace=TraceContext("1" * 32, None, "2" * 16, 0, ""),
        time=NOW,
        scheme="https",
        method=method,
        host=host,
        authority=host,
        port=None,
        path=path,
        query=None,
        client_ip=conn.peer_ip if client_ip is None else ip_address(client_ip),
        preflight=preflight,
        values=dict(headers or {}),
    )


def workload(spiffe: str = "spiffe://cluster.local/ns/default/sa/web", *, not_after: float = NOW + 3600) -> Workload:
    """A workload of a SPIFFE id, or of `dns:NAME`."""
    if spiffe.startswith("dns:"):
        return Workload(spiffe, None, None, None, "f", "t", not_after, "", (spiffe[4:],))
    domain, _, path = spiffe.removeprefix("spiffe://").partition("/")
    parts = path.split("/")
    named = len(parts) == 4 and parts[0] == "ns" and parts[2] == "sa"
    namespace, account = (parts[1], parts[3]) if named else (None, None)
    return Workload(spiffe, domain, namespace, account, "f", "t", not_after, "", ())


def user(subject: str = "alice", *, issuer_name: str = "corp", issuer: str = ISSUER, **claims: JSON) -> User:
    """A user of a verified token; its claims as given."""
    return User(issuer, issuer_name, subject, {"iss": issuer, "sub": subject, **claims}, NOW + 300)


def principal(
    a_workload: Workload | None = None, a_user: User | None = None, *, client_ip: str = "203.0.113.9"
) -> Principal:
    """A caller with these proofs."""
    return Principal(a_workload, a_user, ip_address(client_ip))
