"""`issuers`, `trust_domains`, `client_authorities` and what routes ask of credentials, into the authenticate stage.

Rule: sources of keys and trust outlive a reload where their settings stay equal; the stage only refers to them.
Invariant: a reload that fails half-way has started nothing and closed nothing.
"""

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path

from gateway.config.schema import ClientAuthority, Config, Issuer, Requires, Route, TrustDomain
from gateway.control.build.lists import list_file, list_rules, list_settings, status_rules
from gateway.control.build.proofs import build_proofs
from gateway.control.build.token_exchange import client_settings
from gateway.control.build.workload import workload_settings
from gateway.control.feeds.bundle_endpoint import EndpointSettings
from gateway.control.feeds.feed import FeedError
from gateway.control.feeds.introspection import IntrospectionClient
from gateway.control.feeds.jwks import JwksFeed, JwksSettings, OnRefresh
from gateway.control.feeds.jwks_file import FileKeys
from gateway.control.feeds.ocsp import StatusFeed
from gateway.control.feeds.trust import AuthorityFiles, TrustFeed, TrustSettings
from gateway.control.feeds.watch import FileWatch
from gateway.control.feeds.workload_api import WorkloadApi, WorkloadSettings
from gateway.control.health import FileHealth
from gateway.kernel.cells import GaugeFamily, Metrics
from gateway.kernel.store import RedisStore
from gateway.stages.authenticate import Authenticate, RouteCredentials
from gateway.stages.authenticate.asking import AskingAuthenticate
from gateway.stages.authenticate.assumed import NothingUsed
from gateway.stages.authenticate.authenticators.certificate import AskedCertificates, CertificateAuthenticator
from gateway.stages.authenticate.authenticators.introspection import IntrospectingVerifier, Introspector
from gateway.stages.authenticate.authenticators.jwt import JwtVerifier
from gateway.stages.authenticate.bindings import dpop, mtls
from gateway.stages.authenticate.bindings.dpop import Proofs
from gateway.stages.authenticate.bindings.replays import MemoryReplays
from gateway.stages.authenticate.counters import Counters
from gateway.stages.authenticate.evidence import CertificateJudge, TokenVerifier
from gateway.stages.authenticate.issuer import KeySource, TrustedIssuer
from gateway.stages.authenticate.revoked import RevokedTokens
from gateway.stages.authenticate.step_up import step_up

_ANY = "*"
_CLAIM = "claims."


class CredentialSources:
    """Everything long-lived that authentication stands on: key feeds, a trust feed with its verdicts, used proofs.

    Made for a config by `credential_sources`; `start` it when its snapshot is swapped in, and `close` the one before,
    telling it which to keep.
    """

    def __init__(
        self,
        keys: Mapping[str, JwksFeed | FileKeys],
        trust: TrustFeed,
        certificates: CertificateAuthenticator,
        replays: MemoryReplays,
        introspection: Mapping[str, IntrospectionClient],
        statuses: StatusFeed,
    ) -> None:
        """`keys`, `introspection`: by the issuer's name in the file; `statuses`: of certificates, by OCSP."""
        self.keys = keys
        self.trust = trust
        self.certificates = certificates
        self.replays = replays
        self.introspection = introspection
        self.statuses = statuses

    def start(self) -> None:
        """Begin to refresh, on the running loop. Feeds that run already run on."""
        for feed in self.feeds():
            feed.start()
        for client in self.introspection.values():
            client.start()
        if isinstance(self.certificates, AskedCertificates):
            self.statuses.start()

    async def settle(self, seconds: float) -> None:
        """Wait, `seconds` at most, until each issuer was asked once for its keys: who asks next need not see a 503."""
        waiting = [asyncio.create_task(feed.tried()) for feed in self.keys.values() if isinstance(feed, JwksFeed)]
        waiting.append(asyncio.create_task(self.trust.tried()))
        _, late = await asyncio.wait(waiting, timeout=seconds)
        for task in late:
            task.cancel()

    def observe(self, ages: GaugeFamily) -> None:
        """Tell the age of every issuer's fetched keys as `jwks_age_seconds`, and no longer of issuers that are gone."""
        fetched = {name: feed for name, feed in self.keys.items() if isinstance(feed, JwksFeed)}
        ages.keep({(name,) for name in fetched})
        for name, feed in fetched.items():
            ages.labels(name).ask(feed.unconfirmed)

    def reload(self) -> None:
        """Look at every file now, for a SIGHUP under an unchanged config."""
        self.trust.reload()
        for feed in self.keys.values():
            if isinstance(feed, FileKeys):
                feed.reload()

    async def close(self, keep: "CredentialSources | None" = None) -> None:
        """Close every feed that is not also one of `keep`'s."""
        kept = keep.feeds() if keep is not None else []
        for feed in self.feeds():
            if not any(feed is other for other in kept):
                await feed.close()
        for name, client in self.introspection.items():
            if keep is None or keep.introspection.get(name) is not client:
                await client.close()
        if keep is None or keep.statuses is not self.statuses:
            await self.statuses.close()

    def feeds(self) -> list[JwksFeed | FileKeys | TrustFeed]:
        """Every feed of these sources."""
        return [*self.keys.values(), self.trust]


def credential_sources(
    config: Config,
    previous: CredentialSources | None,
    *,
    clock: Callable[[], float],
    on_refresh: OnRefresh | None = None,
    watch: FileWatch | None = None,
    health: FileHealth | None = None,
    workload: WorkloadApi | None = None,
    metrics: Metrics | None = None,
) -> CredentialSources:
    """The sources for `config`: those of `previous` whose settings are equal, and fresh ones that are not started yet.

    `clock`: wall clock, seconds since the epoch. Raises FeedError for a file that cannot be used.
    """
    settings = TrustSettings(
        tuple(_files(config, domain) for domain in config.trust_domains.values()),
        tuple(_files(config, authority) for authority in config.client_authorities.values()),
    )
    statuses = previous.statuses if previous is not None else StatusFeed(metrics, clock=clock)
    if previous is not None and previous.trust.settings == settings:
        trust, certificates = previous.trust, previous.certificates
    else:
        held = previous.trust if previous is not None else None
        given = workload if any(isinstance(domain.bundle, WorkloadSettings) for domain in settings.domains) else None
        trust = TrustFeed(settings, before=held, workload=given, health=health, watch=watch, clock=clock)
        asked = any(held.status is not None for held in (*settings.domains, *settings.client_authorities))
        certificates = AskedCertificates(trust, statuses) if asked else CertificateAuthenticator(trust)
    keys: dict[str, JwksFeed | FileKeys] = {}
    for name, issuer in config.issuers.items():
        before = previous.keys.get(name) if previous is not None else None
        keys[name] = _keys(issuer, config.state_dir, before, clock, on_refresh, watch)
    replays = previous.replays if previous is not None else MemoryReplays()
    return CredentialSources(keys, trust, certificates, replays, _introspection(config, previous), statuses)


def build_authenticate(
    config: Config,
    sources: CredentialSources,
    store: RedisStore | None,
    metrics: Metrics,
    revoked: RevokedTokens | None = None,
) -> Authenticate:
    """The stage that serves `config`.

    `store`: where all replicas remember used proofs; None: in this process. `revoked`: None where no issuer ends any.
    """
    tokens = _tokens(config, sources) if config.issuers else None
    proofs = build_proofs(config, sources.replays, store)
    return _stage(config, tokens, sources.certificates, proofs, metrics, revoked)


def authenticate_with(config: Config, tokens: TokenVerifier | None, certificates: CertificateJudge) -> Authenticate:
    """The stage of `config` over other evidence, for `explain` and `test`."""
    return _stage(config, tokens, certificates, Proofs(NothingUsed()), Metrics())


def _tokens(config: Config, sources: CredentialSources) -> TokenVerifier:
    issuers = build_issuers(config, sources.keys)
    jwts = JwtVerifier(issuers.values())
    for name, client in sources.introspection.items():  # one at most
        asked = config.issuers[name].introspection
        if asked is not None:
            introspector = Introspector(issuers[name], client, cache=asked.cache, all_tokens=asked.all)
            return IntrospectingVerifier(jwts, introspector)
    return jwts


def _introspection(config: Config, previous: CredentialSources | None) -> dict[str, IntrospectionClient]:
    """The clients that ask issuers about tokens: those of `previous` whose settings are equal, and fresh ones."""
    clients: dict[str, IntrospectionClient] = {}
    for name, issuer in config.issuers.items():
        asked = issuer.introspection
        if asked is None:
            continue
        settings = client_settings(issuer, asked)
        before = previous.introspection.get(name) if previous is not None else None
        clients[name] = before if before is not None and before.settings == settings else IntrospectionClient(settings)
    return clients


def _stage(
    config: Config,
    tokens: TokenVerifier | None,
    certificates: CertificateJudge,
    proofs: Proofs,
    metrics: Metrics,
    revoked: RevokedTokens | None = None,
) -> Authenticate:
    routes, counters = [_route(route) for route in config.routes], Counters(metrics.authentications)
    if isinstance(certificates, AskedCertificates):
        return AskingAuthenticate(tokens, certificates, routes, proofs, counters, revoked)
    return Authenticate(tokens, certificates, routes, proofs, counters, revoked)


def build_issuers(config: Config, keys: Mapping[str, KeySource]) -> dict[str, TrustedIssuer]:
    """The issuers of `config` by name, with their `keys` by name."""
    known = dict.fromkeys(posture.device or "" for posture in config.posture.values())
    devices = tuple(device.removeprefix(_CLAIM) for device in known if device.startswith(_CLAIM))
    return {name: _issuer(issuer, keys[name], devices) for name, issuer in config.issuers.items()}


def _issuer(issuer: Issuer, keys: KeySource, devices: tuple[str, ...]) -> TrustedIssuer:
    algorithms: frozenset[str] = frozenset(issuer.algorithms)
    if "EdDSA" in algorithms:
        algorithms |= {"Ed25519"}  # RFC 9864: the same algorithm under its fully specified name
    return TrustedIssuer(
        issuer.name,
        issuer.issuer,
        _audiences(issuer.audiences),
        algorithms,
        issuer.clock_skew,
        issuer.token_type == "at+jwt",
        {mtls.MEMBER: issuer.binding.mtls, dpop.MEMBER: issuer.binding.dpop},
        keys,
        dpop_age=issuer.dpop_age,
        dpop_nonce=issuer.dpop_nonce == "on",
        shadow=issuer.mode == "shadow",
        where=issuer.where,
        revocable=issuer.revocable,
        device_claims=devices,
    )


def _route(route: Route) -> RouteCredentials:
    requires = route.requires or Requires()
    return RouteCredentials(
        public=route.public,
        ignored=route.public and route.ignore_credentials,
        certificate=requires.certificate,
        audiences=frozenset(requires.audiences) if requires.audiences else None,
        step_up=step_up(requires.acr, requires.max_auth_age, requires.stated("acr"), requires.stated("max_auth_age")),
    )


def _audiences(names: tuple[str, ...]) -> frozenset[str] | None:
    return None if _ANY in names else frozenset(names)


def _keys(
    issuer: Issuer,
    state: Path,
    before: JwksFeed | FileKeys | None,
    clock: Callable[[], float],
    on_refresh: OnRefresh | None,
    watch: FileWatch | None,
) -> JwksFeed | FileKeys:
    if issuer.jwks.file is not None:
        if isinstance(before, FileKeys) and before.path == issuer.jwks.file:
            return before
        return FileKeys(issuer.name, issuer.jwks.file, on_refresh=on_refresh, watch=watch)
    settings = JwksSettings(
        issuer.name, issuer.issuer, issuer.jwks_uri, issuer.ca, issuer.jwks.refresh, issuer.jwks.max_stale, state
    )
    if isinstance(before, JwksFeed) and before.settings == settings:
        return before
    return JwksFeed(settings, clock=clock, on_refresh=on_refresh, watch=watch)


def _files(config: Config, held: TrustDomain | ClientAuthority) -> AuthorityFiles:
    names = held.names if isinstance(held, ClientAuthority) else ()
    bundle = held.bundle if isinstance(held, ClientAuthority) else _bundle(config, held)
    lists = held.crl
    return AuthorityFiles(
        held.name,
        bundle,
        list_file(config, lists),
        names,
        list_rules(lists),
        list_settings(config, lists),
        status_rules(held.ocsp),
    )


def _bundle(config: Config, domain: TrustDomain) -> Path | EndpointSettings | WorkloadSettings:
    """Where the bundle of a trust domain comes from. Raises FeedError."""
    bundle, workload = domain.bundle, workload_settings(config)
    source: Path | EndpointSettings | WorkloadSettings | None = bundle.file
    if bundle.workload_api:
        source = workload
    elif bundle.url is not None:
        source = EndpointSettings(bundle.url, bundle.ca, bundle.endpoint_spiffe_id, bundle.bootstrap, config.state_dir)
    if source is None:
        raise FeedError(f"trust domain {domain.name}: nothing says where its bundle is")
    return source
