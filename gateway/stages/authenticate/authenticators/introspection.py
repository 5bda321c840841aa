"""Tokens that only their issuer can read: introspection (RFC 7662).

Rule: one question in flight a token; an answer counts for `cache` seconds and never past exp, a "no" too.
Invariant: that the issuer cannot be asked, or will not answer us, is never a verdict on a token (503).
"""

from collections.abc import Mapping
from typing import Protocol

from gateway.kernel.answers import Flights, Remembered
from gateway.kernel.strict import NotStrict, decode_base64url, parse_object
from gateway.model.credential import SentToken
from gateway.model.json import JSON, Claims
from gateway.model.reason import Reason
from gateway.model.refused import Refused
from gateway.stages.authenticate.authenticators.jwt import JwtVerifier
from gateway.stages.authenticate.claims import judge_answer
from gateway.stages.authenticate.evidence import NONE_HELD, VerifiedToken, judged_for
from gateway.stages.authenticate.issuer import TrustedIssuer
from gateway.stages.authenticate.jose import MAX_TOKEN

_RETRY_AFTER = 1  # seconds
_OPENED = ("ey", "ew")  # what an opening brace becomes before a quote or a space, and before a line's end
_TOKEN68 = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~+/")


class Unanswered(Exception):  # noqa: N818 - a state of affairs
    """The issuer gave no answer. The text says why, for the log, without the token."""


class Endpoint(Protocol):
    """Where to ask; a client in the control plane fulfils it."""

    async def ask(self, token: str) -> Mapping[str, JSON]:
        """The members of the answer (RFC 7662 section 2.2). Raises Unanswered."""
        ...


class _Entry:
    """An answer, good for a while."""

    __slots__ = ("claims", "token", "until")

    def __init__(self, claims: Claims | None, until: float) -> None:
        self.claims = claims  # None: the token is not active
        self.until = until
        self.token: VerifiedToken | None = None  # once judged


class Introspector:
    """Asks one issuer about tokens. Lives as long as its settings: a reload begins with an empty cache."""

    def __init__(
        self, issuer: TrustedIssuer, endpoint: Endpoint, *, cache: float, all_tokens: bool = False, capacity: int = 4096
    ) -> None:
        """`cache`: seconds, 0 for none; `all_tokens`: its JWTs are asked about too; `capacity`: answers remembered."""
        self.issuer = issuer
        self.all_tokens = all_tokens
        self._endpoint = endpoint
        self._cache = cache
        self._entries: Remembered[_Entry] = Remembered(capacity)
        self._flights: Flights[_Entry] = Flights()

    async def verify(self, sent: SentToken, now: float) -> VerifiedToken:
        """What an opaque token proves. Raises Refused: 401, or 503 INTROSPECTION_UNAVAILABLE."""
        token = sent.text
        if len(token) > MAX_TOKEN or not _TOKEN68.issuperset(token.rstrip("=")):
            raise Refused(Reason.TOKEN_MALFORMED, "neither a JWT nor an opaque token (RFC 6750 section 2.1)")
        with judged_for(self.issuer):
            entry = await self._answer(sent, now)
            if entry.token is None:
                if entry.claims is None:
                    raise _revoked(self.issuer)
                entry.token = judge_answer(self.issuer, entry.claims)
            return entry.token

    async def confirm(self, sent: SentToken, now: float) -> None:
        """Is this JWT, which verified, still active? Raises Refused: TOKEN_REVOKED, INTROSPECTION_UNAVAILABLE."""
        with judged_for(self.issuer):
            if (await self._answer(sent, now)).claims is None:
                raise _revoked(self.issuer)

    async def _answer(self, sent: SentToken, now: float) -> _Entry:
        digest = sent.digest
        entry = self._entries.get(digest)
        if entry is not None and now < entry.until:
            return entry
        try:
            return await self._flights.ask(digest, lambda: self._ask(sent.text, digest, now))
        except Unanswered as error:
            detail = f"{self.issuer.name} gives no answer: {error}"
            raise Refused(Reason.INTROSPECTION_UNAVAILABLE, detail, retry_after=_RETRY_AFTER) from None

    async def _ask(self, token: str, digest: bytes, now: float) -> _Entry:
        answer = await self._endpoint.ask(token)
        active = answer.get("active")
        if not isinstance(active, bool):
            raise Unanswered("its answer does not say whether the token is active")
        until = now + self._cache
        exp = answer.get("exp")
        if active and isinstance(exp, int | float) and not isinstance(exp, bool):
            until = min(until, float(exp))
        entry = _Entry({name: value for name, value in answer.items() if name != "active"} if active else None, until)
        if self._cache:
            self._entries.keep(digest, entry)
        return entry


class IntrospectingVerifier:
    """Proves JWTs by their issuers' keys, and what is none by asking: see TokenVerifier."""

    def __init__(self, jwts: JwtVerifier, introspector: Introspector) -> None:
        self._jwts = jwts
        self._introspector = introspector
        self.held = NONE_HELD if introspector.all_tokens else jwts.held

    def method(self, token: str) -> str:
        return "jwt" if is_jwt(token) else "introspection"

    def known(self, sent: SentToken, now: float) -> VerifiedToken | None:
        """A JWT that verified before, and that nobody has to be asked about."""
        known = self._jwts.known(sent, now)
        introspector = self._introspector
        if known is not None and introspector.all_tokens and known.issuer is introspector.issuer:
            return None
        return known

    async def verify(self, sent: SentToken, now: float) -> VerifiedToken:
        """Waits where its issuer has to be asked."""
        introspector = self._introspector
        if not is_jwt(sent.text):
            return await introspector.verify(sent, now)
        verified = await self._jwts.verify(sent, now)
        if introspector.all_tokens and verified.issuer is introspector.issuer:
            await introspector.confirm(sent, now)
        return verified


def is_jwt(token: str) -> bool:
    """True when it begins like a JWS or JWE: with a header in JSON that names an algorithm (RFC 7515 section 4.1.1)."""
    first, dot, _ = token.partition(".")
    if not dot or first[:2] not in _OPENED or len(token) > MAX_TOKEN or not first.isascii():
        return False
    try:
        return "alg" in parse_object(decode_base64url(first.encode("ascii")))
    except NotStrict:
        return True  # it means to be one, and is refused as one


def _revoked(issuer: TrustedIssuer) -> Refused:
    return Refused(Reason.TOKEN_REVOKED, f"{issuer.name} says that the token is not active")
