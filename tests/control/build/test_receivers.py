"""Which addresses there are, who answers at them, and what becomes of the deny list over a reload."""

import json
import time
from pathlib import Path

from gateway.config.load import load
from gateway.config.schema import Config
from gateway.control.build.authenticate import credential_sources
from gateway.control.build.own import own_paths, own_ways
from gateway.control.build.receivers import build_receivers, receiver_paths, revocation_feed, revoked_of
from gateway.control.feeds.revocation_logs import FileLog, RedisLog
from gateway.control.feeds.revocations import RevocationFeed
from gateway.kernel.cells import Metrics
from gateway.kernel.store import RedisAddress, RedisStore
from gateway.testing.issuer import Issuer
from tests.control.build.test_own import config as plain
from tests.stages.record.scene import open_log

BOTH = "backchannel_logout: {client_id: g}, shared_signals: {audience: a}"


def config(folder: Path, keys: str) -> Config:
    (folder / "jwks.json").write_text(json.dumps(Issuer().jwks()))
    entry = f'corp: {{issuer: "https://a.example", audiences: [x], jwks: jwks.json, {keys}}}'
    return plain(folder, f"issuers: {{{entry}}}\n")


def feed(held: Config, before: RevocationFeed | None = None, store: RedisStore | None = None) -> RevocationFeed | None:
    return revocation_feed(held, before, store, clock=time.time, on_change=lambda: None)


def test_the_addresses_are_those_of_the_issuers_that_have_them(tmp_path: Path) -> None:
    assert receiver_paths(config(tmp_path, "mode: enforce")) == ()
    held = config(tmp_path, BOTH)
    assert receiver_paths(held) == ("/.well-known/gateway/logout/corp", "/.well-known/gateway/signals/corp")
    assert own_paths(held).methods["/.well-known/gateway/logout/corp"] == {"POST"}
    sources = credential_sources(held, None, clock=time.time)
    receivers = build_receivers(held, sources.keys, feed(held), open_log(tmp_path / "audit"), Metrics())
    assert set(own_ways(held, receivers)) == set(own_paths(held).methods)


def test_without_such_an_issuer_nothing_is_asked(tmp_path: Path) -> None:
    held = config(tmp_path, "mode: enforce")
    assert feed(held) is None
    assert revoked_of(None) is None
    sources = credential_sources(held, None, clock=time.time)
    assert build_receivers(held, sources.keys, None, open_log(tmp_path / "audit"), Metrics()) == {}


def test_what_is_known_outlives_a_reload_and_another_store(tmp_path: Path) -> None:
    held = config(tmp_path, BOTH)
    first = feed(held)
    assert first is not None
    assert isinstance(first.shared, FileLog)
    assert feed(load(tmp_path / "routes.yaml"), first) is first
    store = RedisStore(RedisAddress.parse("redis://localhost"))
    shared = feed(held, first, store)
    assert shared is not None
    assert isinstance(shared.shared, RedisLog)
    assert revoked_of(shared) is first.tokens
    assert feed(held, shared, store) is shared
    other = feed(held, shared, RedisStore(RedisAddress.parse("redis://localhost")))
    assert other is not shared
    assert revoked_of(other) is first.tokens
