"""Revocation lists by URL: judged before they take a place, kept over restarts, fetched by one worker for all."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from gateway.control.feeds.feed import Watched
from gateway.control.feeds.lists import ListFeed, ListSettings
from gateway.control.health import CRL, FileHealth
from gateway.kernel.cells import Metrics
from gateway.kernel.x509.crl import Revocations, parse_lists
from gateway.kernel.x509.trust import check_lists
from gateway.testing.ca import Authority
from gateway.testing.clock import Clock
from gateway.testing.wait import until
from tests.control.feeds.provider import Provider, provider

ROOT = Authority("cluster.local")
NOW = datetime.now(UTC).replace(microsecond=0)


def judge(data: bytes) -> Revocations:
    lists = parse_lists(data)
    check_lists(lists, (ROOT.certificate,))
    return Revocations(lists)


class Place:
    """A state directory, and the workers that share it."""

    def __init__(self, folder: Path, held: Provider) -> None:
        self.folder = folder
        self.provider = held
        self.clock = Clock(NOW.timestamp() + 1)
        self.metrics = Metrics()
        self.health = FileHealth(self.metrics)

    def serve(self, body: bytes, status: int = 200) -> None:
        self.provider.page("/list", body, status)

    def feed(self, refresh: float = 0.05) -> ListFeed:
        settings = ListSettings(f"{self.provider.url}/list", None, refresh, self.folder)
        return ListFeed("cluster.local", settings, judge, health=self.health, clock=self.clock)

    def failures(self) -> float:
        return self.metrics.certificate_reloads.labels(CRL, "cluster.local", "failure").value


@contextlib.asynccontextmanager
async def place(folder: Path) -> AsyncGenerator[Place]:
    async with provider() as held:
        yield Place(folder, held)


@contextlib.asynccontextmanager
async def running(feed: ListFeed) -> AsyncGenerator[ListFeed]:
    feed.start()
    await feed.tried()
    yield feed
    await feed.close()


def revoked(data: bytes) -> set[int]:
    return {serial for one in parse_lists(data) for serial in one.serials}


async def test_a_list_is_fetched_and_kept_in_pem_whatever_it_came_as(tmp_path: Path) -> None:
    async with place(tmp_path) as held:
        held.serve(parse_lists(ROOT.crl([7]))[0].crl.public_bytes(Encoding.DER))
        async with running(held.feed()) as feed:
            kept = feed.settings.path
            assert kept.read_bytes().startswith(b"-----BEGIN X509 CRL-----")
            assert revoked(kept.read_bytes()) == {7}
            assert kept.stat().st_mode & 0o777 == 0o600
            held.clock.advance(60)
            held.serve(ROOT.crl([7, 8], number=2))
            await until(lambda: revoked(kept.read_bytes()) == {7, 8}, what="the next list")


@pytest.mark.parametrize(
    ("body", "status"),
    [
        pytest.param(b"", 200, id="K3-empty"),
        pytest.param(b"<html>", 200, id="K3-no-list"),
        pytest.param(ROOT.crl([7]), 503, id="K6-an-outage"),
        pytest.param(ROOT.crl([7]), 301, id="K2-a-redirect"),
        pytest.param(ROOT.crl([7], signed_by=Authority("cluster.local").key), 200, id="M17-forged"),
        pytest.param(ROOT.crl([7], next_update=NOW - timedelta(hours=1)), 200, id="M17-out-of-date"),
        pytest.param(ROOT.crl([], last_update=NOW - timedelta(hours=1)), 200, id="M17-older-than-the-one-at-work"),
        pytest.param(ROOT.crl([7])[:-60], 200, id="M18-cut-off"),
        pytest.param(b"x" * (33 << 20), 200, id="K3-endless"),
    ],
)
async def test_what_cannot_be_used_keeps_the_last_good_list_and_is_told(
    body: bytes, status: int, tmp_path: Path
) -> None:
    async with place(tmp_path) as held:
        held.serve(ROOT.crl([5], last_update=NOW))
        async with running(held.feed()) as feed:
            held.clock.advance(60)
            held.serve(body, status)
            await until(lambda: held.failures() == 1, what="the failure")
            assert revoked(feed.settings.path.read_bytes()) == {5}
            assert (CRL, "cluster.local") in held.health.troubles
            held.serve(ROOT.crl([5, 6], last_update=NOW, number=3))
            await until(lambda: revoked(feed.settings.path.read_bytes()) == {5, 6}, what="the good list")
            await until(lambda: not held.health.troubles, what="the end of the trouble")


async def test_a_restart_finds_the_last_good_list_while_its_server_is_down(tmp_path: Path) -> None:
    async with place(tmp_path) as held:
        held.serve(ROOT.crl([5]))
        async with running(held.feed()):
            pass
        held.serve(b"", 500)
        async with running(held.feed()) as feed:
            assert revoked(feed.settings.path.read_bytes()) == {5}


async def test_workers_ask_once_for_all(tmp_path: Path) -> None:
    async with place(tmp_path) as held, contextlib.AsyncExitStack() as stack:
        held.serve(ROOT.crl([5]))
        feeds = [held.feed(refresh=60) for _ in range(3)]
        await asyncio.gather(*(stack.enter_async_context(running(feed)) for feed in feeds))
        assert held.provider.asked["/list"] == 1


async def test_a_list_that_is_fetched_again_unchanged_is_seen_to_be_fresh(tmp_path: Path) -> None:
    async with place(tmp_path) as held:
        held.serve(ROOT.crl([5]))
        async with running(held.feed()) as feed:
            watched = Watched(feed.settings.path)
            watched.changed()
            held.clock.advance(60)
            await until(watched.changed, what="another worker to be told")


@pytest.mark.parametrize(
    ("life", "refresh", "expected"),
    [(86400, 3600.0, 3600.0), (600, 3600.0, 300.0), (10, 3600.0, 60.0), (10, 5.0, 5.0)],
)
async def test_the_pace_is_half_of_what_is_left_within_bounds(
    life: float, refresh: float, expected: float, tmp_path: Path
) -> None:
    async with place(tmp_path) as held:
        feed = held.feed(refresh=refresh)
        held.clock.now = NOW.timestamp()
        got = judge(ROOT.crl(last_update=NOW - timedelta(hours=1), next_update=NOW + timedelta(seconds=life)))
        assert feed._pace(got) == expected
