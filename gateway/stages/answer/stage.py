"""The answer stage: fields on every answer, and refusals.

Rule: a refusal before the body was read ends the connection, for what follows on it cannot be told apart (H10).
Invariant: an answer to HEAD has no body; a refusal is never stored by a cache.
"""

from collections.abc import Awaitable, Sequence
from typing import TypeAlias

from gateway.kernel.breaks import breaks
from gateway.kernel.memo import Memo
from gateway.model.answer import ComposedFields, OwnFields
from gateway.model.exchange import DONE, Exchange
from gateway.model.limit import LimitStatus
from gateway.model.outcome import Outcome
from gateway.model.reason import Reason
from gateway.model.refused import Refused
from gateway.model.request import Form, RawHeaders
from gateway.model.route import Route
from gateway.model.trace import Trace
from gateway.stages.answer import documents
from gateway.stages.answer.challenge import Challenges
from gateway.stages.answer.cors import Cors
from gateway.stages.answer.ratelimits import of_none, of_one, rate_limit_fields
from gateway.stages.answer.said import ID, Said, form_of

_RETRYABLE = frozenset({429, 503})
_RETRY_AFTER = 5  # seconds, where the refusal does not know better
_CLOSING = frozenset({408, 413, 414, 417, 431})
_LONGEST = 4096  # bytes of what is said to one kind of refusal, where it is kept
_BESIDE = 400  # characters' worth of its objects
_ROOM = 1 << 20  # bytes of them all: some 450 kinds
_NO_METHOD = Reason.METHOD_NOT_ALLOWED  # to look one up in its enum takes as long as a call

_Kind: TypeAlias = tuple[Reason, Form, int | None, str | None, tuple[object, ...] | None]
"""All that `Said` hangs on: reason, form, seconds to wait, remediation, and what else would do."""


class Answer:
    """See gateway.snapshot.AnswerStage."""

    def __init__(self, cors: Sequence[Cors | None], challenges: Challenges) -> None:
        """`cors`: of each route, by its index; None where it has none."""
        some = any(each is not None for each in cors)
        self._cors = tuple(cors) if some else ()  # where no route has any, no request looks for it
        self._challenges = challenges
        self._kinds: Memo[_Kind, Said] = Memo(_LONGEST, _ROOM)

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
        cors, ctx = self._cors_of(trace.route) if self._cors else None, trace.ctx
        if cors is not None and ctx is not None:
            origin = ctx.values.get("origin")
            sent = origin[0].encode("latin-1") if origin is not None and len(origin) == 1 else None
            fields += cors.fields(sent, ctx.preflight)
        return fields

    def _cors_of(self, route: Route | None) -> Cors | None:
        """Where some route has any."""
        return self._cors[route.index] if route is not None and route.index >= 0 else None

    def refuse(self, exchange: Exchange, trace: Trace, refused: Refused) -> Outcome | Awaitable[Outcome]:
        """Answer a refusal: at once where nothing waits for the client. Raises ClientGone, now or when awaited."""
        reason = refused.reason
        if not reason.status:
            exchange.abort()
            return Outcome(0, refused.upstream, refused.endpoint, 0, 0, reason, attempts=refused.attempts)
        head, request_id = exchange.head, trace.request_id
        limits = [*trace.limits, *refused.limits] if refused.limits else trace.limits
        section = head.section
        form = (section.form if section is not None else None) or form_of(head)
        usual = refused.challenge is None and reason is not _NO_METHOD
        wanted = None if usual else _wanted(trace, refused)
        kind = reason, form, refused.retry_after, refused.remediation, wanted
        said = self._kinds.get(kind) or self._say(trace, refused, kind)
        ends = head.has_body or head.fault is not None or reason.status in _CLOSING
        if (
            not (ends or len(limits) > 1 or head.method == "HEAD" or (self._cors and self._cors_of(trace.route)))
            and request_id is trace.own_id
            and len(request_id) == ID
        ):
            own = of_one(request_id, limits[0]) if limits else of_none(request_id)
            fields = ComposedFields(own)
            fields += said.taken
            fields.lines, fields.length = own.lines + said.lines, said.length
            body = own[0][1].join(said.parts)  # hex, which stands for itself in each form
            sent = exchange.send_head(said.status, fields, body, end=True)
        else:
            body = documents.named(said.parts, said.form, request_id)
            others = self._others(trace, refused, limits, said)
            others.append((b"content-length", b"%d" % len(body)))
            if ends:
                others.append((b"connection", b"close"))
            if head.method == "HEAD":
                body = b""
            sent = exchange.send_head(said.status, others, body, end=True)
        outcome = said.outcome
        upstream, endpoint = refused.upstream, refused.endpoint
        if len(body) != outcome.bytes_out or upstream is not None or endpoint is not None or refused.attempts != 1:
            outcome = Outcome(said.status, upstream, endpoint, 0, len(body), reason, attempts=refused.attempts)
        return outcome if sent is DONE else _sent(sent, outcome)

    def _others(self, trace: Trace, refused: Refused, limits: list[LimitStatus], said: Said) -> RawHeaders:
        """The fields of a refusal that is more than what is usual of its kind."""
        fields = self._common(trace, limits)
        if refused.reason is Reason.CORS_REFUSED:
            fields = [field for field in fields if not field[0].startswith(b"access-control-")]
        return fields + said.fields

    def _say(self, trace: Trace, refused: Refused, kind: _Kind) -> Said:
        """What is said to a refusal of a kind that did not come lately; kept unless it is said once."""
        reason, (form, dpop), *_ = kind
        fields: RawHeaders = [(b"cache-control", b"no-store")]
        challenge = self._challenges.of(refused, dpop=dpop)
        if challenge is not None:
            fields.append((b"www-authenticate", challenge))
        nonce = refused.challenge.nonce if refused.challenge is not None else None
        if nonce is not None:
            fields.append((b"dpop-nonce", nonce.encode("ascii")))
        wait = refused.retry_after
        if wait is None and reason.status in _RETRYABLE:
            wait = _RETRY_AFTER
        if wait is not None:
            fields.append((b"retry-after", b"%d" % wait))
        if reason is _NO_METHOD and trace.route is not None:
            fields.append((b"allow", ", ".join(trace.route.allowed_methods).encode("ascii")))
        said = Said(refused, form, fields)
        if nonce is None:
            self._kinds.keep(kind, said, said.size + len(said.lines) + _BESIDE)
        return said


def _wanted(trace: Trace, refused: Refused) -> tuple[object, ...] | None:
    """What the client is told would do."""
    challenge = refused.challenge
    if challenge is not None:
        return challenge.scopes, challenge.acr, challenge.max_age, challenge.certificate, challenge.nonce
    return trace.route.allowed_methods if trace.route is not None else None


async def _sent(sent: Awaitable[None], outcome: Outcome) -> Outcome:
    await sent
    return outcome
