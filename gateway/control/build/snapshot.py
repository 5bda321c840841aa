"""The config into a snapshot, over what outlives it.

In a module of its own because it needs every stage, and offline commands only some.
"""

from collections.abc import Mapping

from gateway.config.schema import Config
from gateway.control.build.accept import build_accept
from gateway.control.build.answer import build_answer
from gateway.control.build.authenticate import CredentialSources, build_authenticate
from gateway.control.build.authorize import build_authorize
from gateway.control.build.forward import build_forward
from gateway.control.build.own import own_ways
from gateway.control.build.posture import PostureSources, serving_posture
from gateway.control.build.ratelimit import LimitStore, build_ratelimit
from gateway.control.build.receivers import build_receivers, revoked_of
from gateway.control.build.record import AuditKeys, build_record
from gateway.control.build.route import build_routes
from gateway.control.build.telemetry import Telemetry
from gateway.control.build.token_exchange import TokenExchanges
from gateway.control.feeds.assertion import AssertionKeys
from gateway.control.feeds.revocations import RevocationFeed
from gateway.control.feeds.svid import Svid
from gateway.kernel.cells import Metrics
from gateway.snapshot import Snapshot
from gateway.stages.forward.streams import Streams
from gateway.stages.record import AuditLog
from gateway.upstreams.cluster import Cluster


def build_snapshot(
    config: Config,
    metrics: Metrics,
    store: LimitStore,
    sources: CredentialSources,
    posture: PostureSources,
    clusters: Mapping[str, Cluster],
    audit: AuditLog,
    keys: AuditKeys,
    streams: Streams,
    revocations: RevocationFeed | None = None,
    telemetry: Telemetry | None = None,
    assertion: AssertionKeys | None = None,
    svid: Svid | None = None,
    exchanges: TokenExchanges | None = None,
) -> Snapshot:
    """The snapshot of `config` over what outlives it. Raises OSError or ValueError for a file that cannot be used."""
    judging = serving_posture(config, posture)
    return Snapshot(
        digest=config.digest,
        accept=build_accept(config),
        route=build_routes(config),
        ratelimit=build_ratelimit(config, store, metrics),
        authenticate=build_authenticate(config, sources, store.redis, metrics, revoked_of(revocations)),
        posture=judging if judging.asked else None,
        authorize=build_authorize(config, metrics),
        record=build_record(config, keys, audit, metrics, telemetry),
        answer=build_answer(config),
        forward=build_forward(
            config,
            clusters,
            streams,
            own_ways(config, build_receivers(config, sources.keys, revocations, audit, metrics), assertion),
            assertion,
            svid,
            exchanges.exchangers if exchanges is not None else {},
        ),
    )
