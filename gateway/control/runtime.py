"""What outlives a reload in one worker: metrics, store, key and trust feeds, backends' pools, the audit log.

Rule: `prepare` makes all that a config needs and starts none of it; `adopt` starts what is new, then drops the old.
Invariant: a config that cannot be prepared leaves everything as it was.
"""

import logging
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from gateway.config.schema import Config
from gateway.control.build.assertion import assertion_keys
from gateway.control.build.authenticate import CredentialSources, credential_sources
from gateway.control.build.authorize import build_authorize
from gateway.control.build.forward import build_forward
from gateway.control.build.posture import PostureSources, posture_sources
from gateway.control.build.ratelimit import LimitStore
from gateway.control.build.receivers import revocation_feed
from gateway.control.build.record import AuditKeys, build_record, log_settings, open_audit_log, read_audit_keys
from gateway.control.build.snapshot import build_snapshot
from gateway.control.build.telemetry import Telemetry
from gateway.control.build.token_exchange import TokenExchanges, token_exchanges
from gateway.control.build.upstreams import Given, Upstreams, build_upstreams
from gateway.control.build.workload import workload_source
from gateway.control.feeds.assertion import AssertionKeys
from gateway.control.feeds.feed import FeedError
from gateway.control.feeds.revocations import RevocationFeed
from gateway.control.feeds.watch import FileWatch
from gateway.control.feeds.workload_api import WorkloadApi
from gateway.control.health import FileHealth
from gateway.control.streams import OpenStreams
from gateway.control.uncounted import judged_before
from gateway.kernel.cells import Metrics
from gateway.snapshot import AcceptStage, Snapshot
from gateway.stages.forward.stage import Forward
from gateway.stages.record import AuditError, AuditLog, record_store

log = logging.getLogger(__name__)

_SETTLE_SECONDS = 1.0  # that new issuers have to give their keys before the config that names them serves


class Unusable(Exception):  # noqa: N818 - what became of the config
    """The config is valid and still cannot be put to work. The text is one line that says what to do."""


@dataclass(frozen=True, slots=True)
class Parts:
    """All that one config stands on."""

    config: Config
    snapshot: Snapshot
    store: LimitStore
    sources: CredentialSources
    posture: PostureSources
    upstreams: Upstreams
    audit: AuditLog
    keys: AuditKeys
    revocations: RevocationFeed | None  # None where no issuer ends tokens
    telemetry: Telemetry | None
    assertion: AssertionKeys | None  # None where backends are told nothing
    workload: WorkloadApi | None  # None where the gateway's identity lies in files, or it has none
    exchanges: TokenExchanges


class Runtime:
    """The long-lived parts of one worker."""

    def __init__(self, worker: int = 0, clock: Callable[[], float] = time.time, *, loud: bool = True) -> None:
        """`worker`: the number that names its audit stream; `clock`: wall clock, seconds since the epoch.

        `loud`: log what is wrong with files; of several workers that read the same ones, one is enough.
        """
        self.metrics = Metrics()
        self.watch = FileWatch()
        self.health = FileHealth(self.metrics)
        self.health.loud = loud
        self._worker = worker
        self._clock = clock
        self._parts: Parts | None = None
        self.streams = OpenStreams(
            lambda proved: judged_before(self.parts.snapshot, proved), lambda: _facts(self.parts), clock=clock
        )
        self.streams.observe(self.metrics.streams_open)

    @property
    def parts(self) -> Parts:
        """What is at work. Raises RuntimeError before the first `adopt`."""
        if self._parts is None:
            raise RuntimeError("no config is at work yet")
        return self._parts

    def current(self) -> Snapshot:
        """What a request that begins now is judged by; asked once a request. Raises RuntimeError, as `parts`."""
        parts = self._parts
        return (parts if parts is not None else self.parts).snapshot

    def prepare(self, config: Config) -> Parts:
        """Everything for `config`, kept or made, nothing new started. Raises Unusable."""
        before = self._parts
        try:
            keys = read_audit_keys(config.audit)
            workload = self._workload(config)
            sources = credential_sources(
                config,
                before.sources if before is not None else None,
                clock=self._clock,
                on_refresh=self._refreshed,
                watch=self.watch,
                health=self.health,
                workload=workload,
                metrics=self.metrics,
            )
            given = _given(sources, workload)
            store = before.store if before is not None and before.store.serves(config) else None
            store = store or LimitStore.of(config, self.metrics)
            posture = posture_sources(config, before.posture if before is not None else None, store.redis)
            upstreams = build_upstreams(config, before.upstreams if before is not None else None, self.metrics, given)
            audit = self._audit(config, keys)
            revocations = revocation_feed(
                config,
                before.revocations if before is not None else None,
                store.redis,
                clock=self._clock,
                on_change=lambda: self.streams.rejudge("tokens were revoked"),
            )
            telemetry = self._telemetry(config)
            assertion = self._assertion(config)
            held = before.exchanges if before is not None else None
            exchanges = token_exchanges(config, held, self.metrics, self._clock)
            snapshot = build_snapshot(
                config,
                self.metrics,
                store,
                sources,
                posture,
                upstreams.clusters,
                audit,
                keys,
                self.streams,
                revocations,
                telemetry,
                assertion,
                given.svid,
                exchanges,
            )
        except (FeedError, AuditError, OSError, ssl.SSLError, ValueError) as error:
            raise Unusable(f"{config.path}: {error}") from error
        feeds = revocations, telemetry, assertion, workload, exchanges
        return Parts(config, snapshot, store, sources, posture, upstreams, audit, keys, *feeds)

    async def adopt(self, parts: Parts) -> None:
        """Put `parts` to work. Requests that began under the old ones keep them to their end."""
        before = self._parts
        if before is None or parts.audit is not before.audit:
            parts.audit.start()
        if parts.telemetry is not None and (before is None or parts.telemetry is not before.telemetry):
            parts.telemetry.outbox.start()
        if before is None or parts.store is not before.store:
            await parts.store.start(_told_of(parts.store, parts.audit))
        parts.posture.start()
        if parts.assertion is not None:
            parts.assertion.start()
        if parts.workload is not None:
            parts.workload.start()
        parts.sources.start()
        parts.exchanges.start()
        if parts.revocations is not None:
            parts.revocations.start()
            await parts.revocations.tried()
        await parts.sources.settle(_SETTLE_SECONDS)
        if parts.workload is not None:
            await parts.workload.settle(_SETTLE_SECONDS)
        self._parts = parts
        parts.sources.observe(self.metrics.jwks_age)
        for name in parts.sources.keys:
            for result in ("success", "failure"):
                self.metrics.jwks_refresh.labels(name, result)  # a count of none is told too
        parts.upstreams.swap_in(self.metrics)
        if before is not None:
            await self._let_go(before, parts)
            self.streams.rejudge("another config is at work")

    def given(self) -> Given:
        """What the Workload API and bundle endpoints gave so far."""
        return _given(self.parts.sources, self.parts.workload)

    def rename(self) -> None:
        """The Workload API gave the gateway another name: backends are told so from the next request on."""
        parts = self.parts
        forward = parts.snapshot.forward
        own = forward.own if isinstance(forward, Forward) else {}
        clusters, svid = parts.upstreams.clusters, self.given().svid
        exchangers = parts.exchanges.exchangers
        fresh = build_forward(parts.config, clusters, self.streams, own, parts.assertion, svid, exchangers)
        self._parts = replace(parts, snapshot=replace(parts.snapshot, forward=fresh))

    def replace_stages(self, accept: AcceptStage) -> None:
        """Put a stage in the place of one that hangs on a file besides the config. Requests under way keep theirs."""
        parts = self.parts
        self._parts = replace(parts, snapshot=replace(parts.snapshot, accept=accept))

    def grant(self, config: Config) -> None:
        """Put other grants to work: `config` is the one at work but for them. Requests under way keep theirs."""
        parts = self.parts
        snapshot = replace(
            parts.snapshot,
            authorize=build_authorize(config, self.metrics),
            # what grants read is recorded
            record=build_record(config, parts.keys, parts.audit, self.metrics, parts.telemetry),
        )
        self._parts = replace(parts, config=config, snapshot=snapshot)
        self.streams.rejudge("other grants are at work")

    async def close(self) -> None:
        """The clean end, after the last request."""
        if self._parts is None:
            return
        self.streams.close()
        self._parts.upstreams.abort()
        await self._parts.sources.close()
        if self._parts.revocations is not None:
            await self._parts.revocations.close()
        await self.watch.close()
        await self._parts.posture.close()
        await self._parts.exchanges.close()
        if self._parts.assertion is not None:
            await self._parts.assertion.close()
        if self._parts.workload is not None:
            await self._parts.workload.close()
        await self._parts.store.close()
        await self._parts.audit.close()
        if self._parts.telemetry is not None:
            await self._parts.telemetry.close()

    async def _let_go(self, before: Parts, now: Parts) -> None:
        before.upstreams.close(keep=now.upstreams)
        await before.sources.close(keep=now.sources)
        await before.posture.close(keep=now.posture)
        await before.exchanges.close(keep=now.exchanges)
        if before.revocations is not None and before.revocations is not now.revocations:
            await before.revocations.close()
        if before.assertion is not None and before.assertion is not now.assertion:
            await before.assertion.close()
        if before.workload is not None and before.workload is not now.workload:
            await before.workload.close()
        if before.store is not now.store:
            await before.store.close()
        if before.telemetry is not None and before.telemetry is not now.telemetry:
            await before.telemetry.close()

    def _workload(self, config: Config) -> WorkloadApi | None:
        at_work = self._parts.workload if self._parts is not None else None
        return workload_source(config, at_work, self.health, self.watch, self._clock)

    def _assertion(self, config: Config) -> AssertionKeys | None:
        at_work = self._parts.assertion if self._parts is not None else None
        return assertion_keys(config, at_work, self.health, self.watch, self._clock)

    def _telemetry(self, config: Config) -> Telemetry | None:
        at_work = self._parts.telemetry if self._parts is not None else None
        if at_work is not None and at_work.serves(config):
            return at_work
        return Telemetry.of(config, self.metrics, self._worker)

    def _audit(self, config: Config, keys: AuditKeys) -> AuditLog:
        collector = config.telemetry.otlp if config.telemetry is not None else None
        if self._parts is None:
            return open_audit_log(
                config.audit, keys, self._worker, self.metrics, collector=collector, clock=self._clock
            )
        at_work = self._parts.audit
        if at_work.settings != log_settings(config.audit, keys, self._worker, collector):
            raise AuditError("audit: where and how the log is kept changes only with a restart")
        return at_work

    def _refreshed(self, issuer: str, good: bool) -> None:
        self.metrics.jwks_refresh.labels(issuer, "success" if good else "failure").inc()


def _told_of(store: LimitStore, audit: AuditLog) -> Callable[[bool], None]:
    return lambda up: record_store(audit, store=str(store.address), up=up, trouble=store.trouble or "")


def _given(sources: CredentialSources, workload: WorkloadApi | None) -> Given:
    return Given(sources.trust.current.domains, workload.svid if workload is not None else None)


def _facts(parts: Parts) -> list[object]:
    """What verdicts hang on besides the config, and what is replaced when it changes."""
    sources = parts.sources
    devices = (file.devices for file in parts.posture.files.values())
    return [parts.snapshot, sources.trust.current, sources.statuses.revoked, *devices]
