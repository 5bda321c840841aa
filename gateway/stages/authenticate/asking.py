"""The stage where some client certificates are asked about (OCSP): what has to be asked is asked first.

Rule: a request waits only where nothing that counts is known of its certificate; then all is judged as everywhere.
Invariant: asking decides nothing; a responder that is down is told where the certificate is judged (503).
"""

from collections.abc import Sequence

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

    async def __call__(self, ctx: RequestContext, route: Route) -> Principal:
        """Raises Refused as Authenticate does. Waits for a responder."""
        tls = ctx.connection.tls
        if tls is not None and tls.chain and not self._routes[route.index].ignored:
            asking = self._asked.asking(tls.chain, ctx.time)
            if asking is not None:
                await asking
        return await super().__call__(ctx, route)
