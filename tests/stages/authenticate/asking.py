"""A request with credentials, and what the authenticate stage says to it."""

from collections.abc import Mapping, Sequence
from ipaddress import ip_address
from typing import Any

from gateway.kernel.cells import Metrics
from gateway.kernel.x509.trust import Trust, make_authority
from gateway.model.connection import Connection, TlsFacts
from gateway.model.principal import Principal
from gateway.model.reason import Reason
from gateway.model.refused import Refused
from gateway.model.request import RequestContext, RequestHead, TraceContext
from gateway.model.route import Route
from gateway.stages.authenticate import Authenticate, RouteCredentials
from gateway.stages.authenticate.authenticators.certificate import CertificateAuthenticator
from gateway.stages.authenticate.authenticators.jwt import JwtVerifier
from gateway.stages.authenticate.bindings.dpop import Proofs
from gateway.stages.authenticate.bindings.replays import MemoryReplays
from gateway.stages.authenticate.counters import Counters
from gateway.stages.authenticate.evidence import CertificateJudge, TokenVerifier
from gateway.stages.authenticate.issuer import KeySource, TrustedIssuer
from gateway.stages.authenticate.keys import KeySet, parse_key_set
from gateway.stages.authenticate.revoked import RevokedTokens
from gateway.testing.ca import Authority
from gateway.testing.issuer import Issuer
from tests.due import due

NO_TRUST = Trust({}, ())
NOW = 1_800_000_000.0
ROUTE = Route("inventory", 0, False, None, "")
PLAIN = RouteCredentials(public=False, ignored=False, certificate=False, audiences=None)
ALGORITHMS = frozenset({"RS256", "PS256", "ES256", "EdDSA", "Ed25519"})
_HERE = ip_address("192.0.2.7")


class Held:
    """A source of keys or trust whose value a test sets."""

    def __init__(self, value: Any) -> None:
        self.current = value
        self.refetched = 0
        self.answers = True  # whether there is anybody to ask

    async def refetch(self) -> bool:
        self.refetched += 1
        return self.answers


def key_set(issuer: Issuer) -> KeySet:
    import json

    return parse_key_set(json.dumps(issuer.jwks()).encode())


def trusted(issuer: Issuer, *, keys: KeySource | None = None, **settings: Any) -> TrustedIssuer:
    """The entry of routes.yaml for `issuer`, with the contract's defaults."""
    values: dict[str, Any] = {
        "name": "corp",
        "issuer": issuer.url,
        "audiences": frozenset({"api-service"}),
        "algorithms": ALGORITHMS,
        "clock_skew": 60.0,
        "profile": False,
        "bindings": {"x5t#S256": "optional", "jkt": "optional"},
        "keys": keys or Held(key_set(issuer)),
        **settings,
    }
    return TrustedIssuer(**values)


def trust(*authorities: Authority) -> Trust:
    """Trust domains with the bundles of these roots."""
    return Trust({a.trust_domain: make_authority(a.trust_domain, a.pem(), None) for a in authorities}, ())


def request(
    authorization: str | Sequence[str] | None = None,
    chain: tuple[bytes, ...] = (),
    *,
    now: float = NOW,
    resumed: bool = False,
    headers: Mapping[str, tuple[str, ...]] | None = None,
) -> RequestContext:
    """A request as `accept` makes it; `authorization` is one field value or several."""
    values = dict(headers or {})
    if authorization is not None:
        values["authorization"] = (authorization,) if isinstance(authorization, str) else tuple(authorization)
    tls = TlsFacts("TLSv1.3", "TLS_AES_128_GCM_SHA256", "api.example.com", "http/1.1", resumed, 0, chain)
    connection = Connection("edge", _HERE, 40000, _HERE, 8443, tls)
    head = RequestHead("GET", b"/api", "1.1", [], None, False)
    trace = TraceContext("0" * 32, None, "0" * 16, 0, "")
    return RequestContext(
        connection, head, "r1", trace, now, "https", "GET", "api.example.com", "api.example.com", None,
        "/api", None, _HERE, None, values,
    )  # fmt: skip


def stage(
    issuers: Sequence[TrustedIssuer] = (),
    certificates: Trust = NO_TRUST,
    route: RouteCredentials = PLAIN,
    *,
    tokens: TokenVerifier | None = None,
    judge: CertificateJudge | None = None,
    proofs: Proofs | None = None,
    metrics: Metrics | None = None,
    revoked: RevokedTokens | None = None,
) -> Authenticate:
    verifier = tokens or (JwtVerifier(issuers) if issuers else None)
    certificate = judge or CertificateAuthenticator(Held(certificates))
    counters = Counters((metrics or Metrics()).authentications)
    return Authenticate(verifier, certificate, [route], proofs or Proofs(MemoryReplays()), counters, revoked)


async def ask(stage: Authenticate, ctx: RequestContext) -> Principal | Refused:
    """The principal, or the refusal."""
    try:
        return await due(stage(ctx, ROUTE))
    except Refused as refused:
        return refused


async def reason(stage: Authenticate, ctx: RequestContext) -> Reason | None:
    """Why it was refused; None when it was not."""
    answer = await ask(stage, ctx)
    return answer.reason if isinstance(answer, Refused) else None
