"""Accept: from a parsed head to the context that every later stage judges.

Target, host, client and trace are read once, here; nothing later looks at the raw head to decide.
What can be read in two ways is refused (security rules H6, H7, H14 to H19, M20, P1 to P7).
"""

from collections.abc import Callable, Collection, Mapping
from ipaddress import IPv4Address
from typing import TypeAlias

from gateway.kernel.memo import Memo
from gateway.kernel.patterns.blocks import InBlocks, unmapped
from gateway.kernel.patterns.hosts import parse_authority
from gateway.kernel.patterns.paths import AmbiguousPath, Normalise
from gateway.model.connection import Connection
from gateway.model.methods import KNOWN_METHODS
from gateway.model.noun import noun
from gateway.model.reason import Reason
from gateway.model.refused import Refused
from gateway.model.request import HeaderSection, Preflight, RawHeaders, Read, RequestContext, RequestHead, Values
from gateway.model.route import Route
from gateway.model.trace import Trace
from gateway.stages.accept.forwarded import client_address, client_scheme, request_id
from gateway.stages.accept.target import parse_target
from gateway.stages.accept.trace_context import TakeTrace, trace_context

Covering: TypeAlias = Callable[[str], Collection[int]]
"""Which entries of a listener's `certificates` cover a host."""

_Targets: TypeAlias = Memo[bytes, tuple[str | None, str, str | None]]
_VERSIONS = frozenset({"1.0", "1.1", "2"})
_NONE: tuple[str, ...] = ()
_SELDOM = frozenset({"expect", "via", "max-forwards", "upgrade"})  # what `_judge_fields` looks at
_LOOKED_AT = _SELDOM | {"traceparent", "tracestate"}
_MAX_DIGITS = 9  # of Max-Forwards: it is made a number again where it is forwarded


@noun
class ListenerSettings:
    """What accept needs to know of one listener."""

    normalise: Normalise
    trusted: InBlocks | None  # peers whose X-Forwarded-* are believed; None: nobody's
    covering: Covering | None  # None where the listener has fewer than two certificates
    max_body: int | None  # bytes; None: unlimited


class Accept:
    """The stage. Holds no state of a request."""

    def __init__(
        self,
        listeners: Mapping[str, ListenerSettings],
        max_body: Mapping[int, int | None],
        pseudonym: str,
        take_trace: TakeTrace = trace_context,
    ) -> None:
        """`max_body`: bytes by route index where a route overrides its listener's; None there means unlimited.

        `pseudonym`: the name under which this gateway stands in Via, the same in every worker and replica.
        """
        self._take_trace = take_trace
        self._listeners = dict(listeners)
        self._targets: dict[str, _Targets] = {name: Memo() for name in listeners}
        # what is kept with a head is marked with an object that holds nothing: it may outlive this stage
        self._judging = {name: (object(), each.covering, each.trusted) for name, each in listeners.items()}
        self._max_body = dict(max_body)
        self._pseudonym = pseudonym

    def __call__(self, trace: Trace) -> RequestContext:
        """Raises Refused: the head's own fault, 400, 417, 421 or 508."""
        head, connection = trace.head, trace.connection
        mark, covering, trusted = self._judging[connection.listener]
        again = head.again
        read = None if again is None else again.read
        if read is None or read[0] is not mark:
            read = self._read(head, connection.listener, mark)
            if again is not None:
                again.read = read
        _, plain, host, port, authority, path, query, values = read
        if covering is not None:
            _judge_sni(connection, host, covering)
        preflight = None
        if plain:
            of_trace = self._take_trace(_NONE, _NONE)
        else:
            if not _SELDOM.isdisjoint(values):
                self._judge_fields(head, values)
            of_trace = self._take_trace(values.get("traceparent", _NONE), values.get("tracestate", _NONE))
            if head.method == "OPTIONS":
                preflight = _preflight(values)
        scheme = "http" if connection.tls is None else "https"
        client_ip = connection.peer_ip
        if type(client_ip) is not IPv4Address:
            client_ip = unmapped(client_ip)
        own_id = trace.request_id
        if trusted is not None and trusted(client_ip):
            client_ip = client_address(client_ip, values.get("x-forwarded-for", _NONE), trusted)
            scheme = client_scheme(scheme, values.get("x-forwarded-proto", _NONE))
            own_id = request_id(own_id, values.get("x-request-id", _NONE))
        return RequestContext(
            connection,
            head,
            own_id,
            of_trace,
            trace.time,
            scheme,
            head.method,
            host,
            authority,
            port,
            path,
            query,
            client_ip,
            preflight,
            values,
        )

    def _read(self, head: RequestHead, listener: str, mark: object) -> Read:
        """What hangs on the head alone, and on the settings of its listener. Raises Refused, as all of it does."""
        if head.fault is not None:
            raise Refused(head.fault, "the head could not be read to its end")
        if head.version not in _VERSIONS:
            raise Refused(Reason.BAD_REQUEST, "the HTTP version is not spoken here")
        if head.method not in KNOWN_METHODS:
            raise Refused(Reason.BAD_REQUEST, "the method is not known")
        section = head.section
        if section is None:
            values, plain = _by_name(head.headers), False
        else:
            values = section.values or _of_section(section, head.headers)
            plain = section.plain and head.method != "OPTIONS"
        of_target, path, query = self._targets[listener].get(head.target) or self._target(listener, head)
        try:
            if section is not None and of_target is None:
                authority, host, port = section.authority or _of_host(values, section)
            else:
                authority = _authority(values, of_target)
                host, port = parse_authority(authority)
        except ValueError:
            raise Refused(Reason.BAD_REQUEST, "Host is not a valid authority") from None
        return mark, plain, host, port, authority, path, query, values

    def _target(self, listener: str, head: RequestHead) -> tuple[str | None, str, str | None]:
        """Authority (None: Host says it), normalised path, and query; kept for the next request with this target.

        Raises Refused(BAD_REQUEST | AMBIGUOUS_PATH).
        """
        target = head.target
        authority, raw_path, query = parse_target(head.method, target)
        try:
            path = "*" if raw_path == b"*" else self._listeners[listener].normalise(raw_path)
        except AmbiguousPath as found:
            raise Refused(Reason.AMBIGUOUS_PATH, str(found)) from None
        found_in = authority, path, query
        if target[:1] == b"/":  # in this form it means the same whatever the method
            self._targets[listener].keep(target, found_in, len(target))
        return found_in

    def body(self, ctx: RequestContext, route: Route) -> None:
        """Raises Refused(BODY_TOO_LARGE) when the declared length is over the limit of the route, else the listener."""
        length = ctx.head.content_length
        if length is None:
            return
        index = route.index
        limit = self._max_body[index] if index in self._max_body else self._listeners[ctx.connection.listener].max_body
        if limit is not None and length > limit:
            raise Refused(Reason.BODY_TOO_LARGE, f"the body of {length} bytes is over the limit of {limit}")

    def _judge_fields(self, head: RequestHead, values: Values) -> None:
        if "expect" in values and head.version != "1.0":  # HTTP/1.0 knows no Expect (RFC 9110 section 10.1.1)
            for expectation in values["expect"]:
                if expectation.lower() != "100-continue":
                    raise Refused(Reason.EXPECTATION_FAILED, "an expectation other than 100-continue")
        if "via" in values:
            for hop in ",".join(values["via"]).split(","):
                if self._pseudonym in hop.split()[1:2]:  # received-protocol received-by (RFC 9110 section 7.6.3)
                    raise Refused(Reason.LOOP_DETECTED, "Via names this gateway already")
        if head.method == "OPTIONS" and "max-forwards" in values:
            left = values["max-forwards"]
            if len(left) != 1 or len(left[0]) > _MAX_DIGITS or not (left[0].isascii() and left[0].isdigit()):
                raise Refused(Reason.BAD_REQUEST, "Max-Forwards is not a number")
            if not left[0].strip("0"):
                raise Refused(Reason.LOOP_DETECTED, "Max-Forwards is used up")
        if "upgrade" in values:
            self._judge_upgrade(head)

    def _judge_upgrade(self, head: RequestHead) -> None:
        """Nobody leaves HTTP here. RFC 9110 section 7.8 would let it be ignored; a front proxy may not (H27)."""
        raise Refused(Reason.UPGRADE_REFUSED, "no route takes another protocol")


def _by_name(headers: RawHeaders) -> Values:
    """Every value of every field, so that a rule sees all of them (H17)."""
    values: Values = {name.decode("latin-1"): (value.decode("latin-1"),) for name, value in headers}
    if len(values) == len(headers):
        return values
    values.clear()
    for raw_name, raw_value in headers:
        name = raw_name.decode("latin-1")
        if name in values:
            values[name] += (raw_value.decode("latin-1"),)
        else:
            values[name] = (raw_value.decode("latin-1"),)
    return values


def _of_section(section: HeaderSection, headers: RawHeaders) -> Values:
    """The values of a section's fields; the section keeps them."""
    section.values = values = _by_name(headers)
    section.plain = _LOOKED_AT.isdisjoint(values)
    return values


def _authority(values: Values, of_target: str | None) -> str:
    """The one authority that counts: exactly one valid Host is due, and absolute-form overrides it (H6, H7)."""
    hosts = values.get("host", _NONE)
    if len(hosts) != 1:
        raise Refused(Reason.BAD_REQUEST, "exactly one Host is due")
    if of_target is None:
        return hosts[0]
    try:
        parse_authority(hosts[0])
    except ValueError:
        raise Refused(Reason.BAD_REQUEST, "Host is not a valid authority") from None
    return of_target


def _of_host(values: Values, section: HeaderSection) -> tuple[str, str, int | None]:
    """The authority that Host names, its host and port; the section keeps them."""
    authority = _authority(values, None)
    host, port = parse_authority(authority)
    section.authority = found = authority, host, port
    return found


def _judge_sni(connection: Connection, host: str, covering: Covering) -> None:
    """421 where SNI and host are covered by different certificates (RFC 9110 section 7.4, M20)."""
    tls = connection.tls
    if tls is None or tls.sni is None:
        return
    for_host = covering(host)
    if for_host and tls.served not in for_host and tls.served in covering(tls.sni):
        raise Refused(Reason.MISDIRECTED, "the SNI and the host belong to different certificates")


def _preflight(values: Values) -> Preflight | None:
    """A CORS preflight is an OPTIONS with both fields; every other OPTIONS is a request like any (H29)."""
    origin, method = values.get("origin", _NONE), values.get("access-control-request-method", _NONE)
    if not origin or not method:
        return None
    if len(origin) != 1 or len(method) != 1:
        raise Refused(Reason.BAD_REQUEST, "a preflight has one origin and asks about one method")
    asked = ",".join(values.get("access-control-request-headers", _NONE)).lower().split(",")
    return Preflight(origin[0], method[0], tuple(name for name in map(str.strip, asked) if name))
