"""A request's head: as it came, and as it is judged."""

from typing import TypeAlias

from gateway.model.connection import Connection, IPAddress
from gateway.model.credential import SentToken
from gateway.model.noun import noun
from gateway.model.reason import Reason
from gateway.model.route import Route

RawHeaders: TypeAlias = list[tuple[bytes, bytes]]
Values: TypeAlias = dict[str, tuple[str, ...]]


Form: TypeAlias = tuple[str, bool]
"""How a refusal is to be written: as "json", "html" or "grpc", and whether a token came under the DPoP scheme."""


class HeaderSection:
    """What a header section says by its bytes alone, for all requests that repeat it byte for byte.

    Each part is written once, by the stage that reads it; a stage that finds it None reads for itself. Nothing of a
    request, a connection or a verdict is ever kept here.
    """

    __slots__ = ("authority", "form", "passing", "plain", "token", "values")

    def __init__(self) -> None:
        self.values: Values | None = None
        self.plain = False  # read with `values`: true where no field asks more of `accept` than Host does
        self.authority: tuple[str, str, int | None] | None = None  # of Host: as sent, host, port
        self.token: SentToken | None = None  # of Authorization
        self.form: Form | None = None  # of Accept, Content-Type and Authorization
        self.passing: tuple[object, bytes] | None = None  # who judged, the lines that may pass


Read: TypeAlias = tuple[object, bool, str, int | None, str, str, str | None, Values]
"""What `accept` read out of a head: its mark, whether it asks no more of it than Host does, host, port,
authority, path, query and values. A bare tuple: it is taken apart at once."""

Written: TypeAlias = tuple[object, IPAddress, IPAddress, str, str, bytes, bool]
"""What `forward` writes to a backend of a head: who wrote it, for which client and peer and scheme; how it begins, the
client's fields that pass, and whether that is all but what each request has anew. A bare tuple, as above."""


Told: TypeAlias = tuple[object, Read | None, Route, str | None, tuple[str, str] | None, str | None, IPAddress, str]
"""What `record` writes of an allowed request with a head: who wrote it, what `accept` had read, then route, rule, key
of the user, id of the workload, and client; and the text. A bare tuple, as above."""


class RepeatedHead:
    """What a whole head says by its bytes alone, for all requests of its listener that repeat it byte for byte.

    As HeaderSection. What is kept holds under one mark alone, an object of the stage whose settings it hangs on.
    """

    __slots__ = ("read", "routed", "told", "written")

    def __init__(self) -> None:
        self.read: Read | None = None
        self.routed: tuple[object, str, Route] | None = None  # mark, path
        self.written: Written | None = None
        self.told: Told | None = None


@noun
class RequestHead:
    """The head as the driver read it; framing is already judged, nothing else is.

    A driver that could not read a head to its end still makes one, of what it has, with the `fault` that it found: the
    refusal then takes the way of every other, to the record and to a problem document.
    Names are lower case; order and repeats are kept; trailers never join it (RFC 9110 section 6.5.1).
    """

    method: str
    target: bytes  # the request target as on the wire: origin-form, absolute-form or "*"
    version: str  # "1.0", "1.1" or "2"
    headers: RawHeaders
    content_length: int | None  # None: no body, or chunked
    has_body: bool
    fault: Reason | None = None
    section: HeaderSection | None = None  # of a header section that came before
    again: RepeatedHead | None = None  # of a head that came before, from its first byte to its last


@noun
class UpgradeHead(RequestHead):
    """The opening handshake of a WebSocket, in order (RFC 6455 section 4.2.1); it has no body."""


@noun
class Preflight:
    """A CORS preflight: the method and the headers that it asks about (Fetch, CORS-preflight request)."""

    origin: str
    method: str
    headers: tuple[str, ...]  # lower case


@noun
class TraceContext:
    """W3C trace context, taken over from the caller or begun here."""

    trace_id: str  # 32 hex digits
    parent_id: str | None  # the caller's span, 16 hex digits; None when the trace begins here
    span_id: str  # of the span that calls the backend, 16 hex digits
    flags: int
    state: str  # tracestate as received; "" when absent


@noun
class RequestContext:
    """What `accept` made of a head: the only form in which a request is judged and forwarded."""

    connection: Connection
    head: RequestHead
    request_id: str
    trace: TraceContext
    time: float  # wall clock, seconds since the epoch; every stage judges by this one reading
    scheme: str  # as the client sees it, through trusted proxies: "https" or "http"
    method: str  # for a preflight still OPTIONS; `judged_method` is what routes and rules see
    host: str  # lower case, without port and trailing dot: what routes and rules see
    authority: str  # as sent (Host, or the target's authority in absolute-form): DPoP and X-Forwarded-Host need it
    port: int | None  # the port in the authority, if one was sent
    path: str  # the normalised path: what routes, rules and backends see
    query: str | None  # after "?", as sent; None when there is no "?"
    client_ip: IPAddress  # behind trusted proxies; else the peer
    preflight: Preflight | None
    values: Values  # headers by lower-case name, every value, latin-1

    @property
    def judged_method(self) -> str:
        """The method that routes see: for a preflight the one that it asks about."""
        return self.preflight.method if self.preflight is not None else self.method

    def header(self, name: str) -> tuple[str, ...]:
        """Every value of header `name` (lower case), in order; () when absent."""
        return self.values.get(name, ())
