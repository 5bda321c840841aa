"""The stage where some client certificates are asked about (OCSP): what has to be asked is asked first.

Rule: a request waits only where nothing that counts is known of its certificate; then all is judged as everywhere.
Invariant: asking decides nothing; a responder that is down is told where the certificate is judged (503).
"""

from collections.abc import Awaitable, Sequence

from gateway.model.principal import Principal
from gateway.model.request import RequestContext
from gateway.model.route import Route
from gateway.stages.authenticate.authenticators.certificate import AskedCertificates
from gateway.stages.authenticate.bindings.dpop import Proofs
from gateway.stages.authenticate.counters import Counters
from gateway.stages.authenticate.evidence import TokenVerifier
from gateway.stages.authenticate.revoked import RevokedTokens
from gateway.stages.authenticate.stage import Authenticate, RouteCredentials


class AskingAuthenticate(Authenticate):
    """See Authenticate. In the place of it where an authority of the file has `ocsp`."""

    def __init__(
        self,
        tokens: TokenVerifier | None,
        certificates: AskedCertificates,
        routes: Sequence[RouteCredentials],
        proofs: Proofs,
        counters: Counters,
        revoked: RevokedTokens | None = None,
    ) -> None:
        super().__init__(tokens, certificates, routes, proofs, counters, revoked)
        self._asked = certificates

    def __call__(self, ctx: RequestContext, route: Route) -> Principal | Awaitable[Principal]:
        """Raises Refused as Authenticate does. At once where nothing has to be asked."""
        tls = ctx.connection.tls
        if tls is not None and tls.chain and not self._routes[route.index].ignored:
            asking = self._asked.asking(tls.chain, ctx.time)
            if asking is not None:
                return self._once_told(asking, ctx, route)
        return super().__call__(ctx, route)

    async def _once_told(self, asking: Awaitable[None], ctx: RequestContext, route: Route) -> Principal:
        await asking
        proved = super().__call__(ctx, route)
        return proved if isinstance(proved, Principal) else await proved
