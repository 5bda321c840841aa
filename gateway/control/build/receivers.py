"""`issuers.X.backchannel_logout` and `issuers.X.shared_signals` into what they need: a feed, and who answers.

Rule: the feed, and what it knows, outlives a reload as long as some issuer may end tokens; a store that changed is
written to and read from then on, and what was known stays known.
Invariant: without such an issuer there is no feed, and the data path asks nothing.
"""

from collections.abc import Callable, Mapping
from functools import partial

from gateway.config.schema import Config
from gateway.control.build.authenticate import build_issuers
from gateway.control.feeds.revocation_logs import KEEP, FileLog, RedisLog
from gateway.control.feeds.revocations import RevocationFeed
from gateway.control.receivers import Failures, LogoutDialect, Receiver, SignalDialect
from gateway.kernel.cells import Metrics
from gateway.kernel.store import RedisStore
from gateway.stages.authenticate.events.logout import read_logout
from gateway.stages.authenticate.events.signals import read_signal
from gateway.stages.authenticate.issuer import KeySource
from gateway.stages.authenticate.revoked import RevokedTokens
from gateway.stages.forward.stage import Way
from gateway.stages.record import AuditLog

LOGOUT, SIGNALS = "/.well-known/gateway/logout/", "/.well-known/gateway/signals/"


def revocation_feed(
    config: Config,
    before: RevocationFeed | None,
    store: RedisStore | None,
    *,
    clock: Callable[[], float],
    on_change: Callable[[], None],
) -> RevocationFeed | None:
    """The feed for `config`, not started: `before` where it still fits, None where no issuer ends tokens.

    `store`: what all replicas share; None: the workers of this machine share a file. `clock`: wall clock, seconds since
    the epoch. `on_change` is called when something was revoked.
    """
    if not any(issuer.revocable for issuer in config.issuers.values()):
        return None
    if before is not None:
        shared = before.shared
        if shared.store is store if isinstance(shared, RedisLog) else store is None:
            return before
        tokens = before.tokens
    else:
        tokens = RevokedTokens()
        tokens.on_change.append(on_change)
    log = RedisLog(store, tokens) if store is not None else FileLog(config.state_dir, clock)
    return RevocationFeed(tokens, log, clock=clock)


def revoked_of(feed: RevocationFeed | None) -> RevokedTokens | None:
    """What the stage asks."""
    return feed.tokens if feed is not None else None


def receiver_paths(config: Config) -> tuple[str, ...]:
    """Where issuers tell of logouts and events."""
    logout = [LOGOUT + name for name, issuer in config.issuers.items() if issuer.backchannel_logout is not None]
    signals = [SIGNALS + name for name, issuer in config.issuers.items() if issuer.shared_signals is not None]
    return (*logout, *signals)


def build_receivers(
    config: Config,
    keys: Mapping[str, KeySource],
    feed: RevocationFeed | None,
    audit: AuditLog,
    metrics: Metrics,
) -> dict[str, Way]:
    """Who answers at each of `receiver_paths`; `keys` of the issuers by name."""
    ways: dict[str, Way] = {}
    if feed is None:
        return ways
    issuers = build_issuers(config, keys)
    failures, events = Failures(), metrics.security_events
    for name, issuer in config.issuers.items():
        trusted = issuers[name]
        if issuer.backchannel_logout is not None:
            judge = partial(read_logout, trusted, issuer.backchannel_logout.client_id, keep=KEEP)
            ways[LOGOUT + name] = Receiver(name, LogoutDialect(), judge, feed, failures, audit, events)
        if issuer.shared_signals is not None:
            judge = partial(read_signal, trusted, issuer.shared_signals.audience, keep=KEEP)
            ways[SIGNALS + name] = Receiver(name, SignalDialect(), judge, feed, failures, audit, events)
    return ways
