"""The stage: what was sent, does it hold, and is it enough for this route.

Rule: a credential that is sent must be valid, on public routes too; when several fail, the token's reason is answered.
Invariant: nothing but a trusted certificate binds a token, and nothing of a token decides before it is verified.
"""

from collections.abc import Sequence

from gateway.model.noun import noun
from gateway.model.principal import Principal, Workload
from gateway.model.reason import Reason
from gateway.model.refused import Challenge, Refused
from gateway.model.request import RequestContext
from gateway.model.route import Route
from gateway.stages.authenticate.credentials import read_authorization
from gateway.stages.authenticate.evidence import CertificateJudge, TokenVerifier, VerifiedToken

_CERTIFICATE = Challenge(certificate=True)


@noun
class RouteCredentials:
    """What one route asks of credentials."""

    public: bool
    ignored: bool  # `ignore_credentials`: dropped unread
    certificate: bool  # requires.certificate
    audiences: frozenset[str] | None  # requires.audiences, in the place of the issuer's; None: the issuer's


class Authenticate:
    """Credentials into a principal. Holds nothing that lives longer than its snapshot."""

    def __init__(
        self, tokens: TokenVerifier | None, certificates: CertificateJudge, routes: Sequence[RouteCredentials]
    ) -> None:
        """`tokens`: None where no issuer is configured; `routes`: by `Route.index`."""
        self._tokens = tokens
        self._certificates = certificates
        self._routes = tuple(routes)
        self._challenge = _CERTIFICATE if tokens is None else None

    async def __call__(self, ctx: RequestContext, route: Route) -> Principal:
        """Raises Refused: 400 BAD_REQUEST, 401, or 503 KEYS_UNAVAILABLE."""
        asked = self._routes[route.index]
        values = ctx.values.get("authorization")
        sent = read_authorization(values) if values is not None else None
        if asked.ignored:
            return Principal(None, None, ctx.client_ip)
        now = ctx.time
        tls = ctx.connection.tls
        chain = tls.chain if tls is not None else ()
        if sent is None:
            workload = self._judge(chain, asked, None, now) if chain else None
            return self._without_token(ctx, asked, workload)
        if self._tokens is None:
            raise Refused(Reason.TOKEN_ISSUER, "no issuer is configured", challenge=_CERTIFICATE)
        token = await self._tokens.verify(sent.token, now)
        if now >= token.ends:
            raise Refused(Reason.TOKEN_EXPIRED, "exp has passed")
        if now < token.begins:
            raise Refused(Reason.TOKEN_NOT_YET_VALID, "nbf or iat lies in the future")
        workload = self._judge(chain, asked, token, now) if chain else None
        if workload is None and asked.certificate:
            raise Refused(
                Reason.CERTIFICATE_REQUIRED, "the route requires a client certificate", challenge=_CERTIFICATE
            )
        _check_audience(token, asked)
        for confirm, expected in token.proofs:
            confirm(expected, workload)
        if sent.dpop:
            raise Refused(Reason.BINDING_MISSING, "the DPoP scheme needs a proof, and none is accepted here")
        return Principal(workload, token.user, ctx.client_ip)

    def _without_token(self, ctx: RequestContext, asked: RouteCredentials, workload: Workload | None) -> Principal:
        if workload is None and not asked.public:
            challenge = _CERTIFICATE if asked.certificate else self._challenge
            raise Refused(Reason.CREDENTIALS_MISSING, "neither a certificate nor a token was sent", challenge=challenge)
        if asked.audiences is not None:
            raise Refused(Reason.CREDENTIALS_MISSING, "the route requires a token's audience, and none was sent")
        return Principal(workload, None, ctx.client_ip)

    def _judge(
        self, chain: tuple[bytes, ...], asked: RouteCredentials, token: VerifiedToken | None, now: float
    ) -> Workload:
        try:
            return self._certificates.judge(chain, now)
        except Refused as refused:
            if token is not None:
                _check_audience(token, asked)  # when several credentials fail, the token's reason is answered
            refused.challenge = refused.challenge or self._challenge
            raise


def _check_audience(token: VerifiedToken, asked: RouteCredentials) -> None:
    wanted = asked.audiences if asked.audiences is not None else token.issuer.audiences
    if wanted is not None and wanted.isdisjoint(token.audiences):
        raise Refused(Reason.TOKEN_AUDIENCE, "aud names none of the audiences that are accepted here")
