"""Which header fields pass, in both directions.

Rule: names are judged once and remembered, so a request pays one dictionary look-up a field.
Invariant: what the gateway sets on any route is taken from clients on all routes (contract section 6, H13-H16, M26).
"""

from collections.abc import Iterable
from collections.abc import Set as AbstractSet

from gateway.kernel.breaks import breaks
from gateway.model.answer import AnswerSection, WrittenFields, passed
from gateway.model.request import RawHeaders
from gateway.stages.forward.trailers import TE, TRAILER, RequestTrailers

_HOP_BY_HOP = frozenset(
    b"connection keep-alive proxy-connection proxy-authenticate proxy-authorization te trailer transfer-encoding"
    b" upgrade http2-settings".split()
)
_MADE_ANEW = frozenset(b"host content-length expect x-request-id traceparent tracestate max-forwards".split())
_CLIENTS_CLAIMS = frozenset(b"forwarded x-real-ip client-cert client-cert-chain".split())
_CLIENTS_CLAIMS_UNDER = tuple(
    b"x-forwarded- x-auth-request- x-ssl-client- x-spiffe- x-envoy- x-gateway-".split()
)  # X-Forwarded-Client-Cert is under the first
OVERRIDES = frozenset(
    b"x-original-url x-rewrite-url x-original-method x-http-method x-http-method-override x-method-override".split()
)
_GATEWAYS = frozenset(
    b"x-forwarded-for x-forwarded-proto x-forwarded-host x-forwarded-client-cert x-gateway-assertion via".split()
)
_CREDENTIALS = frozenset([b"authorization", b"dpop"])
_NOT_NOMINATED = _CREDENTIALS | {b"cookie"}  # end to end, whatever a Connection field says of them (H13)
_PLAIN = frozenset(b"abcdefghijklmnopqrstuvwxyz0123456789-")
_BOTH_MAY_SEND = frozenset([b"ratelimit", b"ratelimit-policy"])  # of the gateway's own answer fields
_USUAL_CONNECTION = frozenset([b"keep-alive", b"close", b"Keep-Alive", b"Close"])
_OF_TRAILERS = frozenset([TE, TRAILER])
_REMEMBERED = 1024  # names; beyond it a flood of made-up names is judged again each time


def fold(name: bytes) -> bytes:
    """Lower case, and everything but letters, digits and hyphens as a hyphen: as CGI and its heirs confuse them."""
    return bytes(byte if byte in _PLAIN else 0x2D for byte in name.lower())


def judge_set(name: bytes) -> None:
    """A field that a route may set (lower case). Raises ValueError for what the gateway writes by itself."""
    if name in _HOP_BY_HOP or name in _MADE_ANEW or name in _GATEWAYS:
        raise ValueError(f"the gateway sets {name.decode('latin-1')} itself")


class RequestFields:
    """What of a client's fields reaches the backend of one route."""

    def __init__(
        self,
        reserved: Iterable[bytes],
        *,
        keep_authorization: bool = False,
        keep: Iterable[bytes] = (),
        remove: Iterable[bytes] = (),
        trailers: RequestTrailers | None = None,
    ) -> None:
        """`reserved`: what some route of the file sets; `keep`: of OVERRIDES, nothing else is ever let through.

        `trailers`: what is said of trailer sections; None: nothing.
        """
        removed = {name.lower() for name in remove}
        self._dropped = _HOP_BY_HOP | _MADE_ANEW | _CLIENTS_CLAIMS | removed | (OVERRIDES - {n.lower() for n in keep})
        if not keep_authorization:
            self._dropped |= _CREDENTIALS
        self._reserved = frozenset(map(fold, reserved))
        if keep_authorization:
            self._reserved -= _CREDENTIALS  # here the client's own was judged
        self._known: dict[bytes, bool] = {}
        self._trailers = trailers

    def lines(self, fields: RawHeaders, nominated: frozenset[bytes] | None) -> list[bytes]:
        """The fields that pass, as lines without their ends. `nominated`: named by the client's Connection field."""
        known = self._known
        lines = []
        for name, value in fields:
            passes = known.get(name)
            if passes is None:
                passes = self._learn(name)
            if passes:
                if nominated is None or name not in nominated:
                    lines.append(name + b": " + value)
            elif name in _OF_TRAILERS and self._trailers is not None:
                lines += [line for line in self._trailers.lines(name, value) if line not in lines]
        return lines

    def _learn(self, name: bytes) -> bool:
        passes = self._passes(name)
        if len(self._known) < _REMEMBERED:
            self._known[name] = passes
        return passes

    def _passes(self, name: bytes) -> bool:
        if b"_" in name or b"." in name:
            return False
        folded = fold(name)
        return not (folded in self._dropped or folded in self._reserved or folded.startswith(_CLIENTS_CLAIMS_UNDER))


def nominated_by(values: Iterable[str]) -> frozenset[bytes] | None:
    """The fields that Connection names besides the usual (RFC 9110 section 7.6.1); None when there are none."""
    names = {name.strip().lower() for value in values for name in value.split(",")}
    found = frozenset(name.encode("latin-1") for name in names if name) - _HOP_BY_HOP - _NOT_NOMINATED
    return found - {b"close"} or None


class AnswerFields:
    """What of a backend's fields reaches the client of one route.

    No Via is added on the way back: RFC 9110 section 7.6.3 leaves that to gateways, and clients need not know of us.
    """

    def __init__(self, remove: Iterable[bytes] = (), replace: Iterable[tuple[bytes, bytes]] = ()) -> None:
        """`replace`: fields that the route sets."""
        self._set = [(name.lower(), value) for name, value in replace]
        self._own = {name for name, _ in self._set}
        self._dropped = _HOP_BY_HOP | {b"x-request-id"} | self._own | {name.lower() for name in remove}
        self._passes = _Passes(self._dropped)

    def __call__(self, fields: RawHeaders, ours: RawHeaders) -> RawHeaders:
        """A new list: the backend's fields (names in lower case) that pass, then `ours`, then what the route sets."""
        if type(fields) is AnswerSection:
            front = self.written(fields)
            if front is not None:
                return passed(front, ours)
        return self._judged(fields, ours)

    def written(self, fields: AnswerSection) -> WrittenFields | None:
        """What passes whatever the gateway adds, written; None where that is to be judged each time."""
        kept = fields.passing
        if kept is None or kept[0] is not self:
            kept = fields.passing = self, self._written(fields)
        return kept[1]

    def _judged(self, fields: RawHeaders, ours: RawHeaders) -> RawHeaders:
        passes = self._passes
        passed = [field for field in fields if passes[field[0]]]
        if len(passed) != len(fields):
            passed = self._weighed(passed, fields, ours)
        passed += ours
        if self._set:
            passed = [field for field in passed if field[0] not in self._own] + self._set
        return passed

    def passes(self, name: bytes) -> bool:
        """Whether a field of a trailer section would pass if it stood in the head; the name in lower case."""
        return self._passes[name]

    def _written(self, fields: RawHeaders) -> WrittenFields | None:
        """What passes whatever `ours` is; None where that is not known, or where framing is not plain."""
        if self._set or not _BOTH_MAY_SEND.isdisjoint(dict(fields)):
            return None
        passed = self._judged(fields, [])
        names = [name for name, _ in passed]
        lengths = [value for name, value in passed if name == b"content-length"]
        lines = b"".join([b"%b: %b\r\n" % field for field in passed])
        if names.count(b"date") != 1 or len(lengths) != 1 or breaks(lines) != 2 * len(passed):
            return None
        return WrittenFields(passed, lines, int(lengths[0]))

    def _weighed(self, passed: RawHeaders, fields: RawHeaders, ours: RawHeaders) -> RawHeaders:
        """As `passed`, but for fields that pass or not by more than their name, and those that Connection names."""
        nominating = False
        for name, value in fields:
            if name == b"connection":
                nominating = nominating or value not in _USUAL_CONNECTION
            elif name in _BOTH_MAY_SEND and name not in self._dropped and name not in dict(ours):
                passed.append((name, value))
        return _without_nominated(passed, fields) if nominating else passed


class _Passes(dict[bytes, bool]):
    """Whether a backend's field of this name reaches the client whatever it says; a new name is judged."""

    def __init__(self, dropped: AbstractSet[bytes]) -> None:
        super().__init__()
        self._dropped = dropped

    def __missing__(self, name: bytes) -> bool:
        passes = not (name in self._dropped or name in _BOTH_MAY_SEND or name.startswith(b"access-control-"))
        if len(self) < _REMEMBERED:
            self[name] = passes
        return passes


def _without_nominated(passed: RawHeaders, fields: RawHeaders) -> RawHeaders:
    nominated = nominated_by(value.decode("latin-1") for name, value in fields if name == b"connection")
    return [field for field in passed if nominated is None or field[0] not in nominated]
