"""The answer stage: fields on every answer, and refusals.

Rule: a refusal before the body was read ends the connection, for what follows on it cannot be told apart (H10).
Invariant: an answer to HEAD has no body; a refusal is never stored by a cache.
"""

from collections.abc import Sequence

from gateway.kernel.breaks import breaks
from gateway.model.answer import OwnFields
from gateway.model.exchange import Exchange
from gateway.model.limit import LimitStatus
from gateway.model.outcome import Outcome
from gateway.model.reason import Reason
from gateway.model.refused import Refused
from gateway.model.request import RawHeaders, RequestHead
from gateway.model.trace import Trace
from gateway.stages.answer import documents
from gateway.stages.answer.challenge import Challenges
from gateway.stages.answer.cors import Cors
from gateway.stages.answer.ratelimits import of_one, rate_limit_fields

_RETRYABLE = frozenset({429, 503})
_RETRY_AFTER = 5  # seconds, where the refusal does not know better
_CLOSING = frozenset({408, 413, 414, 417, 431})


class Answer:
    """See gateway.snapshot.AnswerStage."""

    def __init__(self, cors: Sequence[Cors | None], challenges: Challenges) -> None:
        """`cors`: of each route, by its index; None where it has none."""
        some = any(each is not None for each in cors)
        self._cors = tuple(cors) if some else ()  # where no route has any, no request looks for it
        self._challenges = challenges

    def headers(self, trace: Trace) -> RawHeaders:
        """The fields that stand on every answer: X-Request-Id, RateLimit, CORS."""
        limits, request_id = trace.limits, trace.request_id
        if len(limits) == 1 and not self._cors and request_id is trace.own_id:  # nearly always
            return of_one(request_id, limits[0])
        fields = OwnFields(self._common(trace, limits))
        fields.lines = lines = b"".join([b"%b: %b\r\n" % field for field in fields])
        return fields if breaks(lines) == 2 * len(fields) else list(fields)  # what is no line is refused as it is sent

    def _common(self, trace: Trace, limits: list[LimitStatus]) -> RawHeaders:
        fields: RawHeaders = [(b"x-request-id", trace.request_id.encode())]  # ASCII, also where it is a proxy's
        if limits:
            fields += rate_limit_fields(limits)
        if not self._cors:
            return fields
        route, ctx = trace.route, trace.ctx
        if route is not None and ctx is not None and route.index >= 0:
            cors = self._cors[route.index]
            if cors is not None:
                origin = ctx.values.get("origin")
                sent = origin[0].encode("latin-1") if origin is not None and len(origin) == 1 else None
                fields += cors.fields(sent, ctx.preflight)
        return fields

    async def refuse(self, exchange: Exchange, trace: Trace, refused: Refused) -> Outcome:
        """Answer a refusal. Raises ClientGone."""
        reason = refused.reason
        if not reason.status:
            exchange.abort()
            return Outcome(0, refused.upstream, refused.endpoint, 0, 0, reason, attempts=refused.attempts)
        head = exchange.head
        fields = self._fields(trace, refused)
        if head.has_body or head.fault is not None or reason.status in _CLOSING:
            fields.append((b"connection", b"close"))
        status, body = reason.status, b""
        if _is_grpc(head):
            status = 200
            fields += [(b"content-type", documents.GRPC_TYPE), *documents.grpc_fields(refused)]
        elif documents.prefers_html(_accept(head)):
            body = documents.page(refused, trace.request_id)
            fields += [(b"content-type", documents.HTML_TYPE), (b"content-security-policy", b"default-src 'none'")]
        else:
            body = documents.problem(refused, trace.request_id)
            fields.append((b"content-type", documents.JSON_TYPE))
        fields.append((b"content-length", b"%d" % len(body)))
        if head.method == "HEAD":
            body = b""
        await exchange.send_head(status, fields, body, end=True)
        return Outcome(status, refused.upstream, refused.endpoint, 0, len(body), reason, attempts=refused.attempts)

    def _fields(self, trace: Trace, refused: Refused) -> RawHeaders:
        reason = refused.reason
        fields = self._common(trace, [*trace.limits, *refused.limits])
        if reason is Reason.CORS_REFUSED:
            fields = [field for field in fields if not field[0].startswith(b"access-control-")]
        fields.append((b"cache-control", b"no-store"))
        challenge = self._challenges.of(refused, dpop=_is_dpop(trace.head))
        if challenge is not None:
            fields.append((b"www-authenticate", challenge))
        if refused.challenge is not None and refused.challenge.nonce is not None:
            fields.append((b"dpop-nonce", refused.challenge.nonce.encode("ascii")))
        wait = refused.retry_after
        if wait is None and reason.status in _RETRYABLE:
            wait = _RETRY_AFTER
        if wait is not None:
            fields.append((b"retry-after", b"%d" % wait))
        if reason is Reason.METHOD_NOT_ALLOWED and trace.route is not None:
            fields.append((b"allow", ", ".join(trace.route.allowed_methods).encode("ascii")))
        return fields


def _accept(head: RequestHead) -> str:
    return ",".join(value.decode("latin-1") for name, value in head.headers if name == b"accept")


def _is_dpop(head: RequestHead) -> bool:
    """True when a token came under the DPoP scheme (RFC 9449 section 7.1)."""
    return any(name == b"authorization" and value[:5].lower() == b"dpop " for name, value in head.headers)


def _is_grpc(head: RequestHead) -> bool:
    """By its content type: `application/grpc`, or that with `+` or `;` behind it; grpc-web is another protocol."""
    for name, value in head.headers:
        if name == b"content-type":
            media = value.split(b";", 1)[0].strip().lower()
            return media == documents.GRPC_TYPE or media.startswith(documents.GRPC_TYPE + b"+")
    return False
