"""Trailer sections: fields behind a chunked body (RFC 9110 section 6.5), in both directions.

Rule: what passes was declared ahead in `Trailer`, may stand in a trailer section at all, and is let through: of a
request by the route's own list, of an answer by a client that said `TE: trailers`.
Invariant: a trailer field is never merged into a head, on either side, and never judged for who somebody is (H12).
"""

from collections.abc import Callable, Iterable

from gateway.kernel.framing import names_token
from gateway.model.exchange import Exchange, Trailing
from gateway.model.request import RawHeaders

TE = b"te"
TRAILER = b"trailer"
LAST_CHUNK = b"0\r\n\r\n"
_MOST = 32  # names that a message may declare

# RFC 9110 section 6.5.1: what frames, routes, authenticates, modifies the request, controls the answer or says how the
# body is to be read has done so before the body; a recipient that merges it is led astray.
_FORBIDDEN = frozenset(
    b"connection content-length host keep-alive proxy-connection te trailer transfer-encoding upgrade http2-settings"
    b" cache-control expect max-forwards pragma range if-match if-none-match if-modified-since if-unmodified-since"
    b" if-range authorization proxy-authenticate proxy-authorization proxy-authentication-info www-authenticate"
    b" authentication-info dpop cookie set-cookie age expires date location retry-after vary warning"
    b" content-encoding content-type content-range content-language content-location content-security-policy"
    b" strict-transport-security x-request-id traceparent tracestate via forwarded x-real-ip client-cert"
    b" client-cert-chain ratelimit ratelimit-policy alt-svc clear-site-data refresh link origin".split()
)
_FORBIDDEN_UNDER = tuple(
    b"x-forwarded- x-auth-request- x-ssl-client- x-spiffe- x-envoy- x-gateway- x-http-method access-control-"
    b" sec- proxy- x-original- x-rewrite-".split()
)


def judge_trailer(name: bytes) -> None:
    """A field that may stand in a trailer section (lower case). Raises ValueError."""
    if not _may_trail(name):
        raise ValueError(f"{name.decode('latin-1')} can be no trailer field (RFC 9110 section 6.5.1)")


def _may_trail(name: bytes) -> bool:
    return not (name in _FORBIDDEN or name.startswith(_FORBIDDEN_UNDER) or b"_" in name or b"." in name)


def _declared(value: bytes) -> list[bytes]:
    """The names in one `Trailer` field, in order, once each."""
    names = [name.strip(b" \t").lower() for name in value.split(b",")]
    return list(dict.fromkeys(name for name in names if name))[:_MOST]


class RequestTrailers:
    """What of a request's trailer section reaches the backends of one route."""

    def __init__(self, names: Iterable[bytes] = ()) -> None:
        """Raises ValueError for a name that may not stand there."""
        self._names = frozenset(name.lower() for name in names)
        for name in self._names:
            judge_trailer(name)

    def lines(self, name: bytes, value: bytes) -> list[bytes]:
        """What a backend is told, ahead of the body, for a client's field `TE` or `Trailer`."""
        if name == TE:
            return [b"connection: te", b"te: trailers"] if names_token(value, b"trailers") else []
        passing = [declared for declared in _declared(value) if declared in self._names]
        return [b"trailer: " + b", ".join(passing)] if passing else []

    def last_chunk(self, exchange: Exchange) -> bytes:
        """The end of a chunked body, its trailer section included; the body was read to its end."""
        sent = exchange.trailers if isinstance(exchange, Trailing) else ()
        if not sent:
            return LAST_CHUNK
        declared = {
            name for field, value in exchange.head.headers if field == TRAILER for name in _declared(value)
        } & self._names
        fields = [name + b": " + value + b"\r\n" for name, value in sent if name in declared]
        return b"0\r\n" + b"".join(fields) + b"\r\n"


def trailing(declared: bytes, exchange: Exchange, passes: Callable[[bytes], bool]) -> list[bytes]:
    """Which of the trailer fields that an answer declared its client is told of. `passes`: by the route's rules."""
    if not isinstance(exchange, Trailing) or not exchange.takes_trailers or exchange.head.method == "HEAD":
        return []
    return [name for name in _declared(declared) if _may_trail(name) and passes(name)]


def behind(trailers: RawHeaders, names: list[bytes]) -> RawHeaders:
    """Of an answer's trailer section what was announced."""
    return [field for field in trailers if field[0] in names]
