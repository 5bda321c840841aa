"""Tokens of a backend's own (RFC 8693): the caller's verified token is exchanged, and the new one is sent instead.

Rule: one exchange in flight a token; a new token serves again until shortly before it or the caller's ends, and a "no"
for a moment.
Invariant: what was verified is what is exchanged, at its own issuer alone; the backend never sees the caller's token.
"""

from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from typing import Protocol

from gateway.kernel.answers import Flights, Remembered
from gateway.model.exchange import Exchange
from gateway.model.noun import noun
from gateway.model.outcome import Outcome
from gateway.model.permit import Permit
from gateway.model.principal import User
from gateway.model.reason import Reason
from gateway.model.refused import Refused
from gateway.model.request import RawHeaders, RequestContext
from gateway.stages.forward.head import RequestHead
from gateway.stages.forward.stage import Way

_MARGIN = 0.1  # of a new token's life, before whose end it is not sent any more
_LONGEST_MARGIN = 30.0  # seconds
_REFUSED = 10.0  # seconds that a "no" is remembered
_UNSAID = 60.0  # seconds that a token serves whose life its issuer does not tell


@noun
class NewToken:
    """What an exchange gave."""

    text: str
    life: float | None  # seconds; None: its issuer does not say


class Endpoint(Protocol):
    """Where tokens are exchanged; a client in the control plane fulfils it."""

    async def exchange(self, token: str) -> NewToken:
        """Raises Refused: EXCHANGE_UNAVAILABLE for an outage, else what the issuer's "no" means."""
        ...


class _Entry:
    """What an exchange came to, good for a while."""

    __slots__ = ("authorization", "detail", "reason", "until")

    def __init__(self, authorization: bytes, until: float, reason: Reason | None = None, detail: str = "") -> None:
        self.authorization = authorization
        self.until = until  # seconds since the epoch
        self.reason = reason  # of a "no"
        self.detail = detail


class Exchanger:
    """Exchanges tokens of one issuer for one upstream. Long-lived: two with equal settings are one over a reload."""

    def __init__(
        self,
        upstream: str,
        issuer: str,
        endpoint: Endpoint,
        *,
        cache: float,
        count: Callable[[str], None] = lambda result: None,
        clock: Callable[[], float],
        capacity: int = 4096,
    ) -> None:
        """`issuer`: its name in the file; `cache`: seconds, 0 for none; `count`: is told what questions came to.

        `clock`: wall clock, seconds since the epoch; `capacity`: tokens remembered.
        """
        self._upstream = upstream
        self._issuer = issuer
        self._endpoint = endpoint
        self._cache = cache
        self._count = count
        self._clock = clock
        self._entries: Remembered[_Entry] = Remembered(capacity)
        self._flights: Flights[_Entry] = Flights()
        self.trouble: str | None = None  # why nothing can be exchanged, for /readyz?verbose

    def __repr__(self) -> str:
        return f"Exchanger({self._upstream!r}, {len(self._entries)} tokens)"

    async def authorization(self, ctx: RequestContext, user: User) -> bytes:
        """The value of Authorization for the backend. Raises Refused: EXCHANGE_*, TOKEN_REVOKED."""
        if user.issuer_name != self._issuer:
            detail = f"{self._upstream} takes exchanged tokens of {self._issuer} alone"
            raise self._refusal(Reason.EXCHANGE_REFUSED, detail)
        token, digest = _sent(ctx)
        entry = self._entries.get(digest)
        if entry is None or not ctx.time < entry.until:
            entry = await self._anew(token, digest, user.expires)
        if entry.reason is not None:
            raise self._refusal(entry.reason, entry.detail)
        return entry.authorization

    async def _anew(self, token: str, digest: bytes, ends: float) -> _Entry:
        try:
            return await self._flights.ask(digest, lambda: self._ask(token, digest, ends))
        except Refused as refused:
            raise self._refusal(refused.reason, refused.detail, refused.retry_after) from None

    async def _ask(self, token: str, digest: bytes, ends: float) -> _Entry:
        try:
            new = await self._endpoint.exchange(token)
        except Refused as refused:
            if refused.reason is Reason.EXCHANGE_UNAVAILABLE:
                self._count("failure")
                self.trouble = refused.detail
                raise
            self._count("refused")
            self.trouble = None
            entry = _Entry(b"", self._clock() + min(self._cache, _REFUSED), refused.reason, refused.detail)
        else:
            self._count("success")
            self.trouble = None
            entry = _Entry(b"Bearer " + new.text.encode("ascii"), self._until(new, ends))
        if self._cache:
            self._entries.keep(digest, entry)
        return entry

    def _until(self, new: NewToken, ends: float) -> float:
        life = _UNSAID if new.life is None else new.life - min(new.life * _MARGIN, _LONGEST_MARGIN)
        return min(self._clock() + min(life, self._cache), ends)

    def _refusal(self, reason: Reason, detail: str, retry_after: int | None = None) -> Refused:
        refused = Refused(reason, detail, retry_after=retry_after)
        refused.upstream = self._upstream
        return refused


class Exchanging:
    """A way to an upstream that gets exchanged tokens. Who came without a token has none to exchange."""

    def __init__(self, way: Way, exchanger: Exchanger) -> None:
        """`way`: writes its heads with `ExchangedHead`."""
        self._way = way
        self._exchanger = exchanger

    async def __call__(self, permit: Permit, exchange: Exchange, answer_headers: RawHeaders) -> Outcome:
        """Raises Refused while no head was sent."""
        user = permit.principal.user
        if user is not None:
            authorization = await self._exchanger.authorization(permit.ctx, user)
            permit = replace(permit, authorization=authorization)
        return await self._way(permit, exchange, answer_headers)


class ExchangedHead(RequestHead):
    """Writes heads with the token that a permit was given."""

    def __call__(self, permit: Permit, exchange: Exchange) -> bytes:
        """Raises Refused as RequestHead does."""
        written = super().__call__(permit, exchange)
        if permit.authorization is None:
            return written
        return b"%sauthorization: %s\r\n\r\n" % (written[:-2], permit.authorization)


def _sent(ctx: RequestContext) -> tuple[str, bytes]:
    """The token that was verified, and its digest: a user is proved by this field alone."""
    section = ctx.head.section
    if section is not None and section.token is not None:
        return section.token.text, section.token.digest
    token = ctx.values["authorization"][0].partition(" ")[2].lstrip(" ")
    return token, sha256(token.encode()).digest()
