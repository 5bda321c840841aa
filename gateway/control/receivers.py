"""Where issuers say that something has ended: the addresses of back-channel logout and of shared signals.

Rule: what is acknowledged is in force here and written down for every other process; what is not is answered in the
words of its protocol, and an outage of ours (503) so that the issuer tries again.
Invariant: an address from which nothing good comes costs no more signatures than it has failures left.
"""

import json
from collections.abc import Awaitable, Callable
from typing import ClassVar, Protocol
from urllib.parse import parse_qsl

from gateway.control.feeds.revocations import RevocationFeed
from gateway.kernel.cells import CounterFamily
from gateway.kernel.patterns.blocks import address_text
from gateway.kernel.store import Buckets
from gateway.model.connection import IPAddress
from gateway.model.exchange import Exchange
from gateway.model.outcome import Outcome
from gateway.model.permit import Permit
from gateway.model.reason import Reason
from gateway.model.refused import Refused
from gateway.model.request import RawHeaders, RequestContext
from gateway.stages.authenticate.events.statement import Ended
from gateway.stages.record import AuditLog, record_admin

_LONGEST = 16 * 1024  # bytes of a body
_FAILURES = 30  # from one network, until it sends nothing bad for a minute
_CALM = 60.0  # seconds
_NETWORKS = 4096

Judge = Callable[[str, float], Awaitable[Ended]]  # a token and the time; raises Refused


class Dialect(Protocol):
    """How one protocol takes and answers a message."""

    name: str  # in records and metrics
    accepted: int  # status

    def token(self, ctx: RequestContext, body: bytes) -> str:
        """The token that was sent. Raises Refused(BAD_REQUEST)."""
        ...

    def error(self, reason: Reason) -> dict[str, str]:
        """The answer's members where it is not accepted."""
        ...

    def repeated(self) -> Refused | None:
        """What an event that was taken before is refused with; None where it is acknowledged again."""
        ...


class LogoutDialect:
    """OpenID Connect Back-Channel Logout 1.0, sections 2.5 and 2.8: a form in, 200 or 400 out."""

    name = "logout"
    accepted = 200

    def token(self, ctx: RequestContext, body: bytes) -> str:
        """See Dialect."""
        if _media_type(ctx) != "application/x-www-form-urlencoded":
            raise Refused(Reason.BAD_REQUEST, "a logout comes as a form")
        try:
            fields = parse_qsl(body.decode("ascii"), keep_blank_values=True, strict_parsing=True, max_num_fields=16)
        except ValueError:
            raise Refused(Reason.BAD_REQUEST, "the form cannot be read") from None
        tokens = [value for name, value in fields if name == "logout_token"]
        if len(tokens) != 1:
            raise Refused(Reason.BAD_REQUEST, "the form has not one logout_token")
        return tokens[0]

    def error(self, reason: Reason) -> dict[str, str]:
        """See Dialect."""
        return {"error": "invalid_request", "error_description": _WORDS.get(reason, "the logout token is not valid")}

    def repeated(self) -> Refused | None:
        """A logout token counts once (section 2.6)."""
        return Refused(Reason.TOKEN_MALFORMED, "its jti was used before")


class SignalDialect:
    """RFC 8935: the token as the body, 202 or 400 out."""

    name = "signals"
    accepted = 202
    _ERRORS: ClassVar[dict[Reason, str]] = {
        Reason.TOKEN_ISSUER: "invalid_issuer",
        Reason.TOKEN_AUDIENCE: "invalid_audience",
        Reason.TOKEN_SIGNATURE: "invalid_key",
        Reason.TOKEN_KEY_UNKNOWN: "invalid_key",
        Reason.TOKEN_ALGORITHM: "invalid_key",
    }

    def token(self, ctx: RequestContext, body: bytes) -> str:
        """See Dialect."""
        if _media_type(ctx) != "application/secevent+jwt":
            raise Refused(Reason.BAD_REQUEST, "an event comes as application/secevent+jwt")
        return body.decode("latin-1").strip()

    def error(self, reason: Reason) -> dict[str, str]:
        """See Dialect."""
        description = _WORDS.get(reason, "the security event token is not valid")
        return {"err": self._ERRORS.get(reason, "invalid_request"), "description": description}

    def repeated(self) -> Refused | None:
        """Sent again because our answer was lost: acknowledged again, and without effect (RFC 8935 section 2)."""
        return None


_WORDS = {  # about the class of failure, never a value (security.md J33)
    Reason.BAD_REQUEST: "the request is not one of this protocol",
    Reason.TOKEN_ISSUER: "the issuer, or whom it speaks of, is not expected here",
    Reason.TOKEN_AUDIENCE: "the audience is not this receiver",
    Reason.TOKEN_SIGNATURE: "the signature does not verify",
    Reason.TOKEN_KEY_UNKNOWN: "the signature does not verify",
    Reason.TOKEN_ALGORITHM: "the algorithm is not accepted",
    Reason.TOKEN_EXPIRED: "the token is too old",
    Reason.TOKEN_TYPE: "the type of the token is not accepted",
}


class Failures:
    """What each network has left, at all addresses together."""

    def __init__(self) -> None:
        self._failed: Buckets[int] = Buckets(_CALM, _NETWORKS)

    def check(self, client: IPAddress, now: float) -> None:
        """Raises Refused(RATE_LIMITED)."""
        if (self._failed.get(_network(client), now) or 0) >= _FAILURES:
            raise Refused(Reason.RATE_LIMITED, "too many messages that were no good", retry_after=int(_CALM))

    def count(self, client: IPAddress, now: float) -> None:
        """One more from there."""
        name = _network(client)
        self._failed.put(name, (self._failed.get(name, now) or 0) + 1, now)


class Receiver:
    """One issuer's address for one protocol: a Way of the forward stage."""

    def __init__(
        self,
        issuer: str,
        dialect: Dialect,
        judge: Judge,
        feed: RevocationFeed,
        failures: Failures,
        audit: AuditLog,
        events: CounterFamily,
    ) -> None:
        """`issuer`: its name in routes.yaml; `events`: `security_events_total{issuer,kind,result}`."""
        self._issuer = issuer
        self._dialect = dialect
        self._judge = judge
        self._feed = feed
        self._failures = failures
        self._audit = audit
        self._events = events

    async def __call__(self, permit: Permit, exchange: Exchange, answer_headers: RawHeaders) -> Outcome:
        """Raises Refused: 429, 413, or 503 where the message cannot be judged or kept now; ClientGone."""
        ctx, dialect = permit.ctx, self._dialect
        client, now = ctx.client_ip, ctx.time
        self._failures.check(client, now)
        body = await _read(exchange)
        try:
            ended = await self._judge(dialect.token(ctx, body), now)
            first = await self._feed.end(ended.revocations, ended.name, ended.life)
            repeated = None if first else dialect.repeated()
            if repeated is not None:
                raise repeated
        except Refused as refused:
            return await self._not_taken(refused, ctx, exchange, answer_headers, len(body))
        for kind in ended.kinds:
            self._events.labels(self._issuer, kind, "taken" if first else "repeated").inc()
        self._record(ctx, dialect.accepted, ended)
        return await _answer(exchange, dialect.accepted, answer_headers, None, len(body))

    async def _not_taken(
        self, refused: Refused, ctx: RequestContext, exchange: Exchange, answer_headers: RawHeaders, read: int
    ) -> Outcome:
        reason = refused.reason
        self._events.labels(self._issuer, self._dialect.name, reason.code).inc()
        if reason.status >= 500:
            self._record(ctx, reason.status, None)
            raise refused
        self._failures.count(ctx.client_ip, ctx.time)
        self._record(ctx, 400, None, refused)
        return await _answer(exchange, 400, answer_headers, self._dialect.error(reason), read)

    def _record(self, ctx: RequestContext, status: int, ended: Ended | None, refused: Refused | None = None) -> None:
        what = " ".join(ended.kinds) if ended is not None else (refused.reason.code if refused is not None else "")
        record_admin(
            self._audit,
            action=f"{self._dialect.name} {self._issuer}{': ' if what else ''}{what}",
            status=status,
            client=address_text(ctx.client_ip),
            subject=ended.subject if ended is not None else None,
        )


async def _read(exchange: Exchange) -> bytes:
    """The whole body. Raises Refused(BODY_TOO_LARGE)."""
    body = b""
    while (exchange.head.content_length or 0) <= _LONGEST and (piece := await exchange.read()):
        body += piece
        if len(body) > _LONGEST:
            break
    else:
        if (exchange.head.content_length or 0) <= _LONGEST:
            return body
    raise Refused(Reason.BODY_TOO_LARGE)


async def _answer(
    exchange: Exchange, status: int, headers: RawHeaders, members: dict[str, str] | None, read: int
) -> Outcome:
    body = json.dumps(members).encode() if members is not None else b""
    fields = [*headers, (b"cache-control", b"no-store"), (b"content-length", b"%d" % len(body))]
    if body:
        fields += [(b"content-type", b"application/json"), (b"content-language", b"en")]
    await exchange.send_head(status, fields, body, end=True)
    return Outcome(status, None, None, read, len(body))


def _media_type(ctx: RequestContext) -> str:
    values = ctx.header("content-type")
    return values[0].partition(";")[0].strip().lower() if len(values) == 1 else ""


def _network(address: IPAddress) -> bytes:
    """IPv4 whole, IPv6 by /64: what one client is given."""
    return address.packed if address.version == 4 else address.packed[:8]
