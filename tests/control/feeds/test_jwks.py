"""Key feeds against a real server: discovery, refresh, unknown kids, failure (security.md K1-K8)."""

import asyncio
import contextlib
import logging
import stat
import time
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest

from gateway.control.feeds.jwks import JwksFeed, JwksSettings
from gateway.model.reason import Reason
from gateway.model.refused import Refused
from gateway.testing.clock import Clock
from gateway.testing.issuer import Issuer
from gateway.testing.wait import until
from tests.control.feeds.provider import provider
from tests.stages.authenticate.asking import ask, reason, request, stage, trusted


def settings(url: str, **changes: Any) -> JwksSettings:
    values: dict[str, Any] = {"jwks_uri": None, "ca": None, "refresh": 300.0, "max_stale": 86400.0, "state": None}
    return JwksSettings(name="corp", issuer=url, **{**values, **changes})


@contextlib.asynccontextmanager
async def feeding(held: JwksSettings, **options: Any) -> AsyncGenerator[JwksFeed]:
    feed = JwksFeed(held, **{"clock": time.time, **options})
    feed.start()
    try:
        yield feed
    finally:
        await feed.close()


def entry(issuer: Issuer, feed: JwksFeed, **changes: Any) -> Any:
    return trusted(issuer, keys=feed, **changes)


async def test_keys_are_found_by_discovery_and_verify_a_token() -> None:
    results: list[tuple[str, bool]] = []
    async with provider() as held, feeding(settings(held.url), on_refresh=lambda *r: results.append(r)) as feed:
        await until(lambda: feed.current and feed._flight is None, what="keys")
        judged = stage([entry(held.issuer, feed)])
        assert await reason(judged, request(f"Bearer {held.issuer.token()}", now=time.time())) is None
        assert feed.age() == pytest.approx(0, abs=2)
    assert results == [("corp", True)]


async def test_the_second_address_is_rfc_8414s() -> None:
    async with provider() as held:
        issuer = f"{held.url}/tenant"
        held.page("/.well-known/oauth-authorization-server/tenant", {"issuer": issuer, "jwks_uri": f"{held.url}/jwks"})
        async with feeding(settings(issuer)) as feed:
            await until(lambda: feed.current and feed._flight is None, what="keys")
            assert held.asked["/tenant/.well-known/openid-configuration"] == 1


async def test_a_configured_jwks_uri_asks_for_no_discovery() -> None:
    async with provider() as held, feeding(settings("https://elsewhere.example", jwks_uri=f"{held.url}/jwks")) as feed:
        await until(lambda: feed.current and feed._flight is None, what="keys")
        assert set(held.asked) == {"/jwks"}


def metadata(**members: str) -> tuple[str, dict[str, str]]:
    """A discovery document; `{url}` stands for the provider's own."""
    return "/.well-known/openid-configuration", members


HERE = "{url}"
REFUSED: dict[str, tuple[str, Any]] = {
    "K1-issuer-with-a-slash": metadata(issuer="{url}/", jwks_uri="{url}/jwks"),
    "K1-another-issuer": metadata(issuer="https://evil.example", jwks_uri="{url}/jwks"),
    "K1-no-issuer": metadata(jwks_uri="{url}/jwks"),
    "K1-plain-http-elsewhere": metadata(issuer=HERE, jwks_uri="http://keys.example/jwks"),
    "K2-metadata-address": metadata(issuer=HERE, jwks_uri="https://169.254.169.254/jwks"),
    "K2-learned-private-address": metadata(issuer=HERE, jwks_uri="https://10.0.0.1/jwks"),
    "K2-learned-loopback-address": metadata(issuer=HERE, jwks_uri="http://127.0.0.2:1/jwks"),
    "K2-userinfo": metadata(issuer=HERE, jwks_uri="https://a:b@127.0.0.1/jwks"),
    "K2-file": metadata(issuer=HERE, jwks_uri="file:///etc/passwd"),
    "K3-too-large": ("/jwks", b'{"keys":[], "pad":"' + b"x" * 262144 + b'"}'),
    "K3-too-many-keys": ("/jwks", {"keys": [{"kty": "oct"}] * 101}),
    "K3-no-usable-key": ("/jwks", {"keys": [{"kty": "oct", "k": "AAAA"}]}),
    "K3-empty-set": ("/jwks", {"keys": []}),
    "K3-no-json": ("/jwks", b"<html>"),
    "K3-repeated-member": ("/jwks", b'{"keys":[],"keys":[]}'),
}


def filled(body: Any, url: str) -> Any:
    if not isinstance(body, dict):
        return body
    return {name: value.replace("{url}", url) if isinstance(value, str) else value for name, value in body.items()}


@pytest.mark.parametrize("case", [pytest.param(case, id=name) for name, case in REFUSED.items()])
async def test_a_bad_answer_gives_no_keys_and_503(case: tuple[str, Any]) -> None:
    path, body = case
    async with provider() as held:
        held.page(path, filled(body, held.url))
        async with feeding(settings(held.url)) as feed:
            await until(lambda: feed.failing, what="a failure")
            assert feed.current is None
            answer = await ask(
                stage([entry(held.issuer, feed)]), request(f"Bearer {held.issuer.token()}", now=time.time())
            )
            assert isinstance(answer, Refused)
            assert answer.reason is Reason.KEYS_UNAVAILABLE
            assert answer.retry_after


async def test_K2_a_redirect_is_not_followed() -> None:
    async with provider() as held:
        held.page("/elsewhere", held.issuer.jwks())
        held.page("/jwks", b"", 302, location=f"{held.url}/elsewhere")
        async with feeding(settings(held.url)) as feed:
            await until(lambda: feed.failing, what="a failure")
            assert feed.current is None
            assert "/elsewhere" not in held.asked


async def test_K3_unusable_keys_are_skipped_and_the_rest_kept(caplog: pytest.LogCaptureFixture) -> None:
    async with provider() as held:
        good = held.issuer.jwks()["keys"]
        odd: list[Any] = [{"kty": "XX"}, {**good[0], "kid": "enc", "use": "enc"}, {"kty": "oct", "k": "c2VjcmV0"}, 5]
        held.page("/jwks", {"keys": [*odd, *good]})
        async with feeding(settings(held.url)) as feed:
            await until(lambda: feed.current and feed._flight is None, what="keys")
            judged = stage([entry(held.issuer, feed)])
            assert await reason(judged, request(f"Bearer {held.issuer.token()}", now=time.time())) is None
    assert "key 2 is ignored" in caplog.text
    assert "c2VjcmV0" not in caplog.text


async def test_K5_a_new_key_is_fetched_when_a_token_names_it() -> None:
    async with provider() as held, feeding(settings(held.url), cooldown=60.0) as feed:
        await until(lambda: feed.current and feed._flight is None, what="keys")
        judged = stage([entry(held.issuer, feed)])
        held.issuer.rotate()
        held.publish()
        assert await reason(judged, request(f"Bearer {held.issuer.token()}", now=time.time())) is None
        assert held.asked["/jwks"] == 2


async def test_K5_a_flood_of_unknown_kids_costs_one_fetch_and_evicts_nothing() -> None:
    async with provider() as held, feeding(settings(held.url), cooldown=60.0) as feed:
        await until(lambda: feed.current and feed._flight is None, what="keys")
        judged = stage([entry(held.issuer, feed)])
        good = request(f"Bearer {held.issuer.token()}", now=time.time())
        assert await reason(judged, good) is None
        flood = [f"Bearer {held.issuer.token(headers={'kid': f'k{n}'})}" for n in range(200)]
        answers = await asyncio.gather(*(reason(judged, request(text, now=time.time())) for text in flood))
        assert set(answers) == {Reason.TOKEN_KEY_UNKNOWN}
        assert held.asked["/jwks"] == 2
        assert await reason(judged, good) is None


async def test_K5_after_the_cooldown_an_unknown_kid_is_asked_for_again() -> None:
    async with provider() as held, feeding(settings(held.url), cooldown=0.05) as feed:
        await until(lambda: feed.current and feed._flight is None, what="keys")
        judged = stage([entry(held.issuer, feed)])
        unknown = request(f"Bearer {held.issuer.token(headers={'kid': 'new'})}", now=time.time())

        for fetches in (2, 3):
            while held.asked["/jwks"] < fetches:
                assert await reason(judged, unknown) is Reason.TOKEN_KEY_UNKNOWN
                await asyncio.sleep(0.01)


async def test_K6_an_unknown_kid_while_the_issuer_is_down_is_503_and_is_served_when_it_is_back() -> None:
    """Nobody knows whether the token is good: a 401 would make the client throw it away."""
    async with provider() as held, feeding(settings(held.url)) as feed:
        await until(lambda: feed.current and feed._flight is None, what="keys")
        judged = stage([entry(held.issuer, feed)])
        known = request(f"Bearer {held.issuer.token()}", now=time.time())
        held.issuer.rotate()
        fresh = request(f"Bearer {held.issuer.token()}", now=time.time())
        held.page("/jwks", b"", 500)
        answer = await ask(judged, fresh)
        assert isinstance(answer, Refused)
        assert (answer.reason, bool(answer.retry_after)) == (Reason.KEYS_UNAVAILABLE, True)
        assert await reason(judged, known) is None
        asked = held.asked["/jwks"]
        flood = [f"Bearer {held.issuer.token(headers={'kid': f'k{n}'})}" for n in range(100)]
        answers = await asyncio.gather(*(reason(judged, request(text, now=time.time())) for text in flood))
        assert set(answers) == {Reason.KEYS_UNAVAILABLE}
        assert held.asked["/jwks"] <= asked + 1  # the back-off's own retry at most
        held.publish()
        await until(lambda: not feed.failing, seconds=5, what="the retry")  # not the cooldown's 30 s
        assert await reason(judged, fresh) is None
        assert await reason(judged, request(flood[0], now=time.time())) is Reason.TOKEN_KEY_UNKNOWN


async def test_K6_the_last_good_keys_serve_on_until_they_are_stale() -> None:
    clock = Clock(time.time())
    results: list[bool] = []
    async with provider() as held:
        source = settings(held.url, refresh=0.05, max_stale=1000.0)
        async with feeding(source, clock=clock, on_refresh=lambda _, ok: results.append(ok)) as feed:
            await until(lambda: feed.current and feed._flight is None, what="keys")
            judged = stage([entry(held.issuer, feed)])
            ctx = request(f"Bearer {held.issuer.token()}", now=time.time())
            held.page("/jwks", b"", 500)
            await until(lambda: feed.failing, what="a failure")
            assert await reason(judged, ctx) is None
            clock.advance(1001)
            await until(lambda: feed.current is None, what="the keys to grow stale")
            assert await reason(judged, ctx) is Reason.KEYS_UNAVAILABLE
            held.publish()
            await until(lambda: feed.current, what="the keys to come back")
            assert await reason(judged, ctx) is None
    assert False in results
    assert results[-1]


async def test_K7_an_issuer_that_is_down_at_start_is_one_warning_and_comes_back(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    async with provider() as held:
        pages, held.pages = held.pages, {}
        async with feeding(settings(held.url)) as feed:
            await until(lambda: held.asked["/.well-known/openid-configuration"] > 2, what="retries")
            judged = stage([entry(held.issuer, feed)])
            ctx = request(f"Bearer {held.issuer.token()}", now=time.time())
            assert await reason(judged, ctx) is Reason.KEYS_UNAVAILABLE
            held.pages = pages
            await until(lambda: feed.current, what="the keys")
            assert await reason(judged, ctx) is None
    warnings = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert len(warnings) == 1
    assert "corp" in warnings[0].getMessage()
    assert "retrying" in warnings[0].getMessage()


async def test_K8_a_slow_issuer_holds_up_nobody_else() -> None:
    async with (
        provider() as slow,
        provider() as quick,
        feeding(settings(slow.url), cooldown=0.0) as slow_feed,
        feeding(settings(quick.url)) as quick_feed,
    ):
        await until(lambda: slow_feed.current and quick_feed.current, what="keys of both")
        judged = stage([entry(slow.issuer, slow_feed), entry(quick.issuer, quick_feed, name="quick")])
        slow.hold = asyncio.Event()
        stuck = asyncio.ensure_future(
            reason(judged, request(f"Bearer {slow.issuer.token(headers={'kid': 'new'})}", now=time.time()))
        )
        await until(lambda: slow.asked["/jwks"] == 2, what="the slow fetch")
        assert await reason(judged, request(f"Bearer {quick.issuer.token()}", now=time.time())) is None
        assert await reason(judged, request(f"Bearer {slow.issuer.token()}", now=time.time())) is None
        assert not stuck.done()
        slow.hold.set()
        assert await stuck is Reason.TOKEN_KEY_UNKNOWN


async def test_an_unchanged_key_set_stays_the_same_object() -> None:
    async with provider() as held, feeding(settings(held.url, refresh=0.02)) as feed:
        await until(lambda: feed.current and feed._flight is None, what="keys")
        first = feed.current
        await until(lambda: held.asked["/jwks"] > 3, what="refreshes")
        assert feed.current is first
        held.issuer.rotate()
        held.publish()
        await until(lambda: feed.current is not first, what="the new set")


@pytest.mark.parametrize(
    ("fields", "pace"),
    [
        pytest.param({}, 300.0, id="K4-nothing-said"),
        pytest.param({"cache_control": "public, max-age=120"}, 120.0, id="K4-sooner"),
        pytest.param({"cache_control": "max-age=120", "age": "20"}, 100.0, id="K4-age-counts"),
        pytest.param({"cache_control": "max-age=86400"}, 300.0, id="K4-later-than-refresh"),
        pytest.param({"cache_control": "max-age=0"}, 30.0, id="K4-at-once"),
        pytest.param({"cache_control": "no-store"}, 30.0, id="K4-no-store"),
        pytest.param({"cache_control": "max-age=soon"}, 300.0, id="K4-no-number"),
        pytest.param({"expires": "yesterday"}, 30.0, id="K4-no-date"),
    ],
)
async def test_a_provider_says_when_its_keys_are_stale_within_bounds(fields: dict[str, Any], pace: float) -> None:
    async with provider() as held:
        held.page("/jwks", held.issuer.jwks(), **fields)
        async with feeding(settings(held.url)) as feed:
            await until(lambda: feed.current and feed._flight is None, what="keys")
            assert feed._pace == pace
            assert 0.79 * pace < feed._pause() <= pace


async def test_K4_what_a_provider_calls_stale_soon_is_fetched_soon() -> None:
    async with provider() as held, feeding(settings(held.url, refresh=0.05)) as feed:
        held.issuer.rotate(keep=False)
        held.publish()
        judged = stage([entry(held.issuer, feed)])
        gone = request(f"Bearer {held.issuer.token(headers={'kid': 'gone'})}", now=time.time())
        await until(lambda: held.asked["/jwks"] > 3, what="refreshes")
        assert await reason(judged, gone) is Reason.TOKEN_KEY_UNKNOWN


async def test_a_key_that_is_gone_stops_its_tokens_within_a_refresh_remembered_or_not() -> None:
    async with provider() as held, feeding(settings(held.url, refresh=0.1)) as feed:
        await until(lambda: feed.current and feed._flight is None, what="keys")
        judged = stage([entry(held.issuer, feed)])
        remembered = request(f"Bearer {held.issuer.token()}", now=time.time())
        unseen = request(f"Bearer {held.issuer.token(sub='other')}", now=time.time())
        assert await reason(judged, remembered) is None
        before = feed.current
        held.issuer.rotate(keep=False)
        held.publish()
        await until(lambda: feed.current is not before, what="the refresh")
        assert await reason(judged, remembered) is Reason.TOKEN_KEY_UNKNOWN
        assert await reason(judged, unseen) is Reason.TOKEN_KEY_UNKNOWN


async def test_workers_fetch_once_for_all_of_them(tmp_path: Path) -> None:
    async with provider() as held, contextlib.AsyncExitStack() as workers:
        source = settings(held.url, state=tmp_path)
        feeds = [await workers.enter_async_context(feeding(source)) for _ in range(4)]
        await until(lambda: all(feed.current for feed in feeds), what="the keys of all")
        assert held.asked["/jwks"] == 1
        held.issuer.rotate()
        held.publish()
        token = request(f"Bearer {held.issuer.token()}", now=time.time())
        for feed in feeds:
            assert await reason(stage([entry(held.issuer, feed)]), token) is None
        assert held.asked["/jwks"] == 2


async def test_K5_a_flood_over_several_workers_costs_one_fetch(tmp_path: Path) -> None:
    async with provider() as held, contextlib.AsyncExitStack() as workers:
        source = settings(held.url, state=tmp_path)
        feeds = [await workers.enter_async_context(feeding(source)) for _ in range(3)]
        await until(lambda: all(feed.current for feed in feeds), what="the keys of all")
        stages = [stage([entry(held.issuer, feed)]) for feed in feeds]
        flood = [f"Bearer {held.issuer.token(headers={'kid': f'k{n}'})}" for n in range(30)]
        answers = await asyncio.gather(
            *(reason(one, request(text, now=time.time())) for text in flood for one in stages)
        )
        assert set(answers) == {Reason.TOKEN_KEY_UNKNOWN}
        assert held.asked["/jwks"] == 2


async def test_what_one_worker_fetched_the_others_take_up_without_being_asked(tmp_path: Path) -> None:
    async with provider() as held:
        source = settings(held.url, state=tmp_path)
        async with feeding(source) as one, feeding(source) as other:
            await until(lambda: one.current and other.current and one._flight is None, what="keys")
            before = other.current
            held.issuer.rotate()
            held.publish()
            assert await one.refetch()
            await until(lambda: other.current is not before, what="the other worker's keys")
            assert held.asked["/jwks"] == 2
            assert other.age() == pytest.approx(one.age(), abs=0.5)


async def test_a_state_directory_that_cannot_be_written_only_costs_a_fetch_a_worker(tmp_path: Path) -> None:
    state = tmp_path / "state"
    state.write_text("a file")
    async with provider() as held:
        source = settings(held.url, state=state)
        async with feeding(source) as one, feeding(source) as other:
            await until(lambda: one.current and other.current, what="keys")
            assert held.asked["/jwks"] == 2


async def test_the_last_good_keys_outlive_the_process(tmp_path: Path) -> None:
    async with provider() as held:
        source = settings(held.url, state=tmp_path)
        async with feeding(source) as feed:
            await until(lambda: list(tmp_path.glob("keys/*.json")), what="the file")
            assert feed.current
        held.pages = {}
        clock = Clock(time.time())
        async with feeding(source, clock=clock) as again:
            judged = stage([entry(held.issuer, again)])
            assert await reason(judged, request(f"Bearer {held.issuer.token()}", now=time.time())) is None
        clock.advance(86401)
        async with feeding(source, clock=clock) as stale:
            assert stale.current is None
        (kept,) = tmp_path.glob("keys/*.json")
        assert stat.S_IMODE(kept.stat().st_mode) == 0o600
        kept.write_text("{")
        async with feeding(source) as broken:
            assert broken.current is None


async def test_a_closed_feed_runs_nothing_and_stays_readable() -> None:
    async with provider() as held:
        async with feeding(settings(held.url, refresh=0.02)) as feed:
            await until(lambda: feed.current and feed._flight is None, what="keys")
        await feed.close()
        assert len(asyncio.all_tasks()) == len([task for task in asyncio.all_tasks() if "JwksFeed" not in repr(task)])
        assert feed.current is not None


async def test_a_request_that_waits_survives_the_close_of_its_feed() -> None:
    """A reload replaced the feed: the request is answered, not cancelled."""
    async with provider() as held:
        feed = JwksFeed(settings(held.url), clock=time.time)
        feed.start()
        await until(lambda: feed.current and feed._flight is None, what="keys")
        held.hold = asyncio.Event()
        judged = stage([entry(held.issuer, feed)])
        token = held.issuer.token(headers={"kid": "new"})
        waiting = asyncio.ensure_future(reason(judged, request(f"Bearer {token}", now=time.time())))
        await until(lambda: held.asked["/jwks"] == 2, what="the fetch")
        await feed.close()
        assert await asyncio.wait_for(waiting, 5) is Reason.TOKEN_KEY_UNKNOWN


async def test_a_client_that_goes_does_not_end_the_fetch_of_others() -> None:
    async with provider() as held, feeding(settings(held.url)) as feed:
        await until(lambda: feed.current and feed._flight is None, what="keys")
        held.hold = asyncio.Event()
        held.issuer.rotate()
        held.publish()
        judged = stage([entry(held.issuer, feed)])
        ctx = request(f"Bearer {held.issuer.token()}", now=time.time())
        gone, stays = (asyncio.ensure_future(reason(judged, ctx)) for _ in range(2))
        await until(lambda: held.asked["/jwks"] == 2, what="the fetch")
        gone.cancel()
        held.hold.set()
        assert await asyncio.wait_for(stays, 5) is None
        assert gone.cancelled()


async def test_how_long_keys_are_unconfirmed_is_told_also_where_there_never_were_any() -> None:
    clock = Clock(1000.0)
    async with provider() as held:
        held.page("/jwks", b"", 503)
        never = JwksFeed(settings(held.url), clock=clock)
        clock.advance(7)
        assert (never.age(), never.unconfirmed()) == (None, 7.0)
        held.publish()
        never.start()
        await until(lambda: never.current, what="keys")
        clock.advance(3)
        assert never.age() == never.unconfirmed() == 3.0
        await never.close()
