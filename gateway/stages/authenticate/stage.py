"""The stage: what was sent, does it hold, and is it enough for this route.

Rule: a credential that is sent must be valid, on public routes too; when several fail, the token's reason is answered.
Invariant: nothing but a trusted certificate binds a token, and nothing of a token decides before it is verified.
"""

from collections.abc import Awaitable, Callable, Sequence
from copy import copy
from dataclasses import field

from gateway.kernel.cells import Counter
from gateway.model.credential import SentToken
from gateway.model.noun import noun
from gateway.model.principal import Principal, Workload
from gateway.model.reason import Effect, Reason
from gateway.model.refused import Challenge, Refused
from gateway.model.request import RequestContext
from gateway.model.route import Route
from gateway.model.shadow import Shadow
from gateway.stages.authenticate.bindings import dpop
from gateway.stages.authenticate.bindings.dpop import Proofs
from gateway.stages.authenticate.counters import UNCOUNTED, Counters
from gateway.stages.authenticate.credentials import read_authorization
from gateway.stages.authenticate.evidence import (
    NONE_HELD,
    CertificateJudge,
    Possession,
    Shadowed,
    TokenVerifier,
    VerifiedToken,
)
from gateway.stages.authenticate.issuer import TrustedIssuer
from gateway.stages.authenticate.revoked import RevokedTokens
from gateway.stages.authenticate.step_up import StepUp

_CERTIFICATE = Challenge(certificate=True)
_OF_CERTIFICATES = frozenset(  # counted where the certificate is judged, or no verdict on what was sent
    {
        Reason.CERTIFICATE_REQUIRED,
        Reason.CERTIFICATE_UNTRUSTED,
        Reason.CERTIFICATE_EXPIRED,
        Reason.CERTIFICATE_REVOKED,
        Reason.SPIFFE_ID_INVALID,
    }
)


@noun
class RouteCredentials:
    """What one route asks of credentials."""

    public: bool
    ignored: bool  # `ignore_credentials`: dropped unread
    certificate: bool  # requires.certificate
    audiences: frozenset[str] | None  # requires.audiences, in the place of the issuer's; None: the issuer's
    step_up: StepUp | None = None  # requires.acr and requires.max_auth_age
    usual: bool = field(init=False)  # whatever its issuer sends here is enough

    def __post_init__(self) -> None:
        asks = self.certificate or self.audiences is not None or self.step_up is not None
        object.__setattr__(self, "usual", not asks and not self.ignored)


class Authenticate:
    """Credentials into a principal. Holds nothing that lives longer than its snapshot."""

    def __init__(
        self,
        tokens: TokenVerifier | None,
        certificates: CertificateJudge,
        routes: Sequence[RouteCredentials],
        proofs: Proofs,
        counters: Counters,
        revoked: RevokedTokens | None = None,
    ) -> None:
        """`tokens`: None where no issuer is configured; `routes`: by `Route.index`.

        `revoked`: None where no issuer ends tokens before their time.
        """
        self._tokens = tokens
        self._certificates = certificates
        self._routes = tuple(routes)
        self._proofs = proofs
        self._counters = counters
        # Of each route the tokens that are judged there by their time alone; none where it asks for more.
        self._held = tuple(tokens.held if tokens is not None and asked.usual else NONE_HELD for asked in routes)
        self._verified: Counter | None = None  # the cell of JWTs that held, once there was one
        self._challenge = _CERTIFICATE if tokens is None else None
        self._check_standing = _check_time if revoked is None else _and_revoked(revoked)

    def __call__(self, ctx: RequestContext, route: Route) -> Principal | Awaitable[Principal]:
        """Raises Refused: 400 BAD_REQUEST, 401, or 503 KEYS_, INTROSPECTION_ or STORE_UNAVAILABLE.

        At once where no token came, or one that was verified before: what need not wait pays for no coroutine.
        """
        section = ctx.head.section
        sent = section.token if section is not None else None
        if sent is None and "authorization" in ctx.values:
            sent = _sent(ctx)
        if sent is not None and not sent.dpop:
            held, now = self._held[route.index].get(sent.digest), ctx.time
            if held is not None and held.begins <= now < held.usual_until and held.source.current is held.keys:
                tls = ctx.connection.tls
                if tls is None or not tls.chain:  # all that the way below asks is answered, but for whom it proves
                    principal, client_ip = held.principal, ctx.client_ip
                    if principal is None or principal.client_ip is not client_ip:
                        principal = held.principal = Principal(None, held.token.user, client_ip)
                    cell = self._verified
                    if cell is None:
                        cell = self._verified = self._counters.verified()
                    cell.value += 1.0
                    return principal
        asked = self._routes[route.index]
        if asked.ignored:
            return Principal(None, None, ctx.client_ip)
        if sent is None:
            return self._without_token(ctx, asked, self._workload(ctx))
        tokens = self._tokens
        if tokens is None:
            raise Refused(Reason.TOKEN_ISSUER, "no issuer is configured", challenge=_CERTIFICATE)
        token = tokens.known(sent, ctx.time)
        if token is None or token.proofs or sent.dpop or token.issuer.shadow:
            return self._by_token(ctx, asked, sent, tokens)
        workload, refused = None, None
        try:
            workload = self._standing(ctx, asked, token)
            if asked.step_up is not None:
                asked.step_up.check(token.user.claims, ctx.time, token.issuer.clock_skew)
        except Refused as found:
            refused = found
        return self._settled(ctx, token, tokens.method(sent.text), workload, refused)

    async def _by_token(
        self, ctx: RequestContext, asked: RouteCredentials, sent: SentToken, tokens: TokenVerifier
    ) -> Principal:
        """A token that is yet to be verified, or that asks for a proof of possession."""
        method = tokens.method(sent.text)
        try:
            token = await tokens.verify(sent, ctx.time)
        except Shadowed as shadowed:
            return self._unsent(ctx, asked, self._workload(ctx), method, shadowed.issuer, shadowed.refused)
        except Refused as refused:
            self._counters.count(method, refused.reason)
            raise
        if token.issuer.shadow:
            workload = self._workload(ctx)
            found = await self._would_refuse(ctx, asked, sent, token, workload)
            return self._unsent(ctx, asked, workload, method, token.issuer, found)
        workload, reason = None, None
        try:
            workload = self._standing(ctx, asked, token)
            if sent.dpop or token.proofs:
                await self._check_possession(ctx, sent, token, workload)
            if asked.step_up is not None:
                asked.step_up.check(token.user.claims, ctx.time, token.issuer.clock_skew)
        except Refused as refused:
            reason = refused
        return self._settled(ctx, token, method, workload, reason)

    def again(self, proved: float) -> "Authenticate":
        """The stage for a request that was let in at `proved` (seconds since the epoch) and is judged once more.

        A proof of possession holds as of then and is not used up; nothing is counted.
        """
        stage = copy(self)
        stage._proofs = self._proofs.as_of(proved)  # noqa: SLF001 - its own kind
        stage._counters, stage._verified = UNCOUNTED, None  # noqa: SLF001
        return stage

    def _standing(self, ctx: RequestContext, asked: RouteCredentials, token: VerifiedToken) -> Workload | None:
        """Whom the certificate beside a token proves; raises Refused where either does not hold for this route."""
        self._check_standing(token, ctx.time)
        tls = ctx.connection.tls
        bare = tls is None or not tls.chain
        workload = None if bare else self._workload(ctx, lambda: _check_audience(token, asked))
        if workload is None and asked.certificate:
            raise Refused(
                Reason.CERTIFICATE_REQUIRED, "the route requires a client certificate", challenge=_CERTIFICATE
            )
        _check_audience(token, asked)
        return workload

    def _settled(
        self,
        ctx: RequestContext,
        token: VerifiedToken,
        method: str,
        workload: Workload | None,
        refused: Refused | None,
    ) -> Principal:
        """The end of a verified token's judgement: counted, and raised where it was refused."""
        if refused is None:
            self._counters.count(method, None)
            return Principal(workload, token.user, ctx.client_ip)
        if refused.reason is Reason.STEP_UP_REQUIRED:
            refused.principal = Principal(workload, token.user, ctx.client_ip)
        if refused.reason not in _OF_CERTIFICATES:
            self._counters.count(method, refused.reason)
        raise refused

    async def _check_possession(
        self, ctx: RequestContext, sent: SentToken, token: VerifiedToken, workload: Workload | None
    ) -> None:
        """Whatever binds the token must be proved by this request. Raises Refused."""
        issuer = token.issuer
        if sent.dpop and not token.key_bound:
            raise Refused(Reason.BINDING_MISSING, "a token that is not bound to a key came under the DPoP scheme")
        proof = None
        if sent.dpop and issuer.bindings[dpop.MEMBER] != "off":
            proof = self._proofs.read(ctx, sent.text, issuer)
        if token.proofs:
            possession = Possession(workload, proof.key if proof is not None else None)
            for confirm, expected in token.proofs:
                confirm(expected, possession)
        if proof is not None:
            await self._proofs.spend(proof, issuer, ctx.time)

    async def _would_refuse(
        self,
        ctx: RequestContext,
        asked: RouteCredentials,
        sent: SentToken,
        token: VerifiedToken,
        workload: Workload | None,
    ) -> Refused | None:
        """What a token of an issuer in shadow would have been refused with."""
        try:
            self._check_standing(token, ctx.time)
            _check_audience(token, asked)
            await self._check_possession(ctx, sent, token, workload)
            if asked.step_up is not None:
                asked.step_up.check(token.user.claims, ctx.time, token.issuer.clock_skew)
        except Refused as refused:
            return refused
        return None

    def _unsent(
        self,
        ctx: RequestContext,
        asked: RouteCredentials,
        workload: Workload | None,
        method: str,
        issuer: TrustedIssuer,
        refused: Refused | None,
    ) -> Principal:
        """A token of an issuer in shadow was judged, and counts as not sent, whatever became of it."""
        reason = refused.reason if refused is not None else None
        self._counters.count(method, reason, shadow=True)
        effect = reason.effect if reason is not None else Effect.ALLOW
        return self._without_token(ctx, asked, workload, (Shadow("issuer", issuer.name, effect, issuer.where),))

    def _without_token(
        self,
        ctx: RequestContext,
        asked: RouteCredentials,
        workload: Workload | None,
        shadows: tuple[Shadow, ...] = (),
    ) -> Principal:
        if workload is None and not asked.public:
            challenge = _CERTIFICATE if asked.certificate else self._challenge or _wanted(asked)
            detail = "neither a certificate nor a token was sent"
            raise Refused(Reason.CREDENTIALS_MISSING, detail, challenge=challenge, shadows=shadows)
        if asked.audiences is not None or asked.step_up is not None:
            wanted = "a token's audience" if asked.audiences is not None else "a login"
            detail = f"the route requires {wanted}, and no token was sent"
            refused = Refused(Reason.CREDENTIALS_MISSING, detail, challenge=_wanted(asked), shadows=shadows)
            refused.principal = Principal(workload, None, ctx.client_ip)
            raise refused
        return Principal(workload, None, ctx.client_ip, shadows)

    def _workload(self, ctx: RequestContext, before: Callable[[], None] | None = None) -> Workload | None:
        """Whom the connection's certificate proves; None where none was sent. Raises Refused.

        `before`: what is checked before a certificate is refused, for when several credentials fail, the token's
        reason is answered.
        """
        tls = ctx.connection.tls
        if tls is None or not tls.chain:
            return None
        try:
            workload = self._certificates.judge(tls.chain, ctx.time)
        except Refused as refused:
            self._counters.count("certificate", refused.reason)
            if before is not None:
                before()
            refused.challenge = refused.challenge or self._challenge
            raise
        self._counters.count("certificate", None)
        return workload


def _sent(ctx: RequestContext) -> SentToken | None:
    """The token of a header section that did not come before, kept for when it does. Raises Refused."""
    values, section = ctx.values.get("authorization"), ctx.head.section
    sent = read_authorization(values) if values is not None else None
    if section is not None:
        section.token = sent
    return sent


def _wanted(asked: RouteCredentials) -> Challenge | None:
    """What a token would have to say, for who has none yet."""
    return asked.step_up.challenge if asked.step_up is not None else None


def _check_time(token: VerifiedToken, now: float) -> None:
    if now >= token.ends:
        raise Refused(Reason.TOKEN_EXPIRED, "exp has passed")
    if now < token.begins:
        raise Refused(Reason.TOKEN_NOT_YET_VALID, "nbf or iat lies in the future")


def _and_revoked(revoked: RevokedTokens) -> Callable[[VerifiedToken, float], None]:
    """The same, and that nobody has ended the token."""

    def check(token: VerifiedToken, now: float) -> None:
        _check_time(token, now)
        revoked.check(token)

    return check


def _check_audience(token: VerifiedToken, asked: RouteCredentials) -> None:
    wanted = asked.audiences if asked.audiences is not None else token.issuer.audiences
    if wanted is not None and wanted.isdisjoint(token.audiences):
        raise Refused(Reason.TOKEN_AUDIENCE, "aud names none of the audiences that are accepted here")
