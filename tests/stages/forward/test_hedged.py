"""Hedging over real sockets: who wins, what becomes of who does not, and what is never sent twice."""

import asyncio
from collections import Counter

import pytest

from gateway.kernel.cells import Counter as Cell
from gateway.model.reason import Reason
from gateway.testing.upstream import Call, Script, Upstream, answer, in_turn, silent
from gateway.testing.wait import until
from gateway.upstreams.cluster import Cluster
from gateway.upstreams.settings import ConnectionSettings, OutlierSettings, RetrySettings, TimeoutSettings
from tests.backends import Counts, cluster, forward, running, send
from tests.exchange import Recorder, context, head, permit, refusal

SOON = RetrySettings(hedge_after=0.05, statuses=frozenset({503}))
QUICK = TimeoutSettings(connect=1.0, response=0.4, idle=5.0)


def hedging(*urls: str, counts: Counts | None = None, retries: RetrySettings = SOON, **more: object) -> Cluster:
    return cluster(*urls, counts=counts, retries=retries, **more)  # type: ignore[arg-type] # the test's shorthand


def after(seconds: float, body: bytes = b"late") -> Script:
    async def script(call: Call) -> None:
        await call.body()
        await asyncio.sleep(seconds)
        await call.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))

    return script


async def test_the_second_try_answers_for_one_that_is_silent_and_its_connection_is_closed() -> None:
    counts = Counts()
    async with (
        Upstream(silent) as slow,
        Upstream() as quick,
        running(hedging(slow.url, quick.url, counts=counts)) as it,
    ):
        outcome, got = await send(forward(it))
        assert (got.status, got.body, outcome.endpoint, outcome.attempts) == (200, b"ok", quick.url, 2)
        await until(lambda: slow.closed == {0})
        assert (it.connections("active"), it.connections("idle"), it.connections("connecting")) == (0, 1, 0)
        assert counts.seen == {"ok": 1, "overtaken": 1}
        assert (it.load.requests, it.load.retries) == (0, 0)


async def test_the_first_try_wins_when_it_answers_first_and_the_second_ones_connection_is_closed() -> None:
    counts = Counts()
    async with (
        Upstream(after(0.15, b"first")) as first,
        Upstream(silent) as second,
        running(hedging(first.url, second.url, counts=counts)) as it,
    ):
        outcome, got = await send(forward(it))
        assert (got.body, outcome.endpoint, outcome.attempts) == (b"first", first.url, 2)
        await until(lambda: second.closed == {0})
        assert counts.seen == {"ok": 1, "overtaken": 1}


async def test_a_quick_answer_costs_no_second_try() -> None:
    async with Upstream() as first, Upstream() as second, running(hedging(first.url, second.url)) as it:
        for _ in range(4):
            assert (await send(forward(it)))[0].attempts == 1
        await asyncio.sleep(0.06)
        assert (len(first.calls), len(second.calls)) == (2, 2)


@pytest.mark.parametrize(
    ("method", "body", "tries"),
    [
        pytest.param("GET", None, 2, id="get"),
        pytest.param("PUT", b"small", 2, id="a-small-body-is-replayed"),
        pytest.param("PUT", b"x" * 70_000, 1, id="a-large-body-is-not"),
        pytest.param("POST", None, 1, id="not-idempotent"),
        pytest.param("POST", b"small", 1, id="not-idempotent-with-a-body"),
    ],
)
async def test_what_may_be_sent_twice(method: str, body: bytes | None, tries: int) -> None:
    script = in_turn(after(0.2), answer(body=b"quick"))
    async with Upstream(script) as backend, running(hedging(backend.url)) as it:
        outcome, got = await send(forward(it), method, body=body)
        assert (got.status, got.body) == (200, b"quick" if tries == 2 else b"late")
        assert (outcome.attempts, len(backend.calls)) == (tries, tries)
        if tries == 2 and body is not None:
            assert await backend.calls[1].body() == body


async def test_a_body_that_is_still_on_its_way_is_not_sent_twice() -> None:
    async with Upstream(answer(body=b"whole")) as backend, running(hedging(backend.url)) as it:
        recorder = Recorder(head("PUT", length=6)).give(b"abc")
        asyncio.get_running_loop().call_later(0.15, recorder.give, b"def", b"")
        outcome = await forward(it)(permit(context(recorder.head)), recorder, [])
        assert (recorder.body, outcome.attempts) == (b"whole", 1)
        assert [await call.body() for call in backend.calls] == [b"abcdef"]


async def test_an_answer_that_is_to_be_tried_again_on_does_not_win_over_one_that_may_come() -> None:
    counts = Counts()
    async with (
        Upstream(after(0.2, b"good")) as first,
        Upstream(answer(503)) as second,
        running(hedging(first.url, second.url, counts=counts)) as it,
    ):
        outcome, got = await send(forward(it))
        assert (got.status, got.body, outcome.attempts) == (200, b"good", 2)
        assert counts.seen == {"ok": 2}  # one of them a 503: it did answer


async def test_a_first_try_that_fails_leaves_the_second_to_answer() -> None:
    counts = Counts()

    async def dies(call: Call) -> None:
        await asyncio.sleep(0.15)
        call.abort()

    async with (
        Upstream(dies) as first,
        Upstream(after(0.3, b"second")) as second,
        running(hedging(first.url, second.url, counts=counts)) as it,
    ):
        outcome, got = await send(forward(it))
        assert (got.body, outcome.endpoint, outcome.attempts) == (b"second", second.url, 2)
        assert counts.seen == {"ok": 1, "upstream_protocol": 1}


async def test_when_both_fail_the_client_is_told_once_and_how_often_it_was_tried() -> None:
    async with (
        Upstream(silent) as first,
        Upstream(silent) as second,
        running(hedging(first.url, second.url, timeouts=QUICK)) as it,
    ):
        refused = await refusal(send(forward(it)))
        assert (refused.reason, refused.attempts) == (Reason.UPSTREAM_TIMEOUT, 2)
        assert (it.connections("active"), it.load.requests, it.load.retries) == (0, 0, 0)
        await until(lambda: first.closed and second.closed)


async def test_a_client_that_leaves_cancels_both() -> None:
    async with Upstream(silent) as first, Upstream(silent) as second, running(hedging(first.url, second.url)) as it:
        recorder = Recorder(head())
        asking = asyncio.ensure_future(send(forward(it), recorder=recorder))
        await until(lambda: first.calls and second.calls)
        recorder.leave()
        outcome, _ = await asking
        assert (outcome.reason, outcome.attempts) == (Reason.CLIENT_GONE, 2)
        await until(lambda: first.closed and second.closed)
        assert it.connections("active") == 0


async def test_a_request_that_is_cancelled_leaves_nothing_behind() -> None:
    async with Upstream(silent) as first, Upstream(silent) as second, running(hedging(first.url, second.url)) as it:
        asking = asyncio.ensure_future(send(forward(it)))
        await until(lambda: first.calls and second.calls)
        asking.cancel()
        await asyncio.wait([asking])
        await until(lambda: first.closed and second.closed)
        assert (it.connections("active"), it.connections("waiting"), it.load.retries) == (0, 0, 0)


async def test_a_second_try_that_waits_for_a_connection_is_let_go() -> None:
    async with (
        Upstream(after(0.2, b"first")) as backend,
        running(hedging(backend.url, connections=ConnectionSettings(max=1))) as it,
    ):
        outcome, got = await send(forward(it))
        assert (got.body, outcome.attempts, len(backend.calls)) == (b"first", 2, 1)
        await until(lambda: it.connections("waiting") == it.connections("active") == 0)
        assert it.connections("idle") == 1  # and the connection went to nobody who was not there any more


async def test_hedges_stay_within_the_budget_of_retries() -> None:
    async with (
        Upstream(after(0.25)) as first,
        Upstream(after(0.25)) as second,
        running(hedging(first.url, second.url)) as it,
    ):
        outcomes = await asyncio.gather(*(send(forward(it)) for _ in range(10)))
        assert Counter(outcome.attempts for outcome, _ in outcomes) == {1: 7, 2: 3}


async def test_the_one_that_was_overtaken_is_no_error_of_its_endpoint() -> None:
    outlier = OutlierSettings(consecutive_errors=1)
    async with (
        Upstream(silent) as slow,
        Upstream() as quick,
        running(hedging(slow.url, quick.url, outlier=outlier)) as it,
    ):
        await send(forward(it))
        assert not it.ejected(slow.url)


async def test_never_two_answers_and_never_a_connection_used_twice_whoever_is_first() -> None:
    """Two backends that take about as long as the hedge waits: every order of events comes about."""
    number = 0

    async def racing(call: Call) -> None:
        nonlocal number
        number += 1
        await asyncio.sleep(0.002 * (number % 7))
        body = call.target
        await call.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))

    repeats = {"retry": Cell(), "hedge": Cell()}
    retries = RetrySettings(hedge_after=0.006, budget=100)
    async with (
        Upstream(racing) as first,
        Upstream(racing) as second,
        running(hedging(first.url, second.url, retries=retries)) as it,
    ):
        it._repeats = repeats
        for at in range(0, 200, 4):
            targets = [f"/{each}" for each in range(at, at + 4)]
            for (outcome, got), target in zip(
                await asyncio.gather(*(send(forward(it), target=target) for target in targets)),
                targets,
                strict=True,
            ):
                assert (got.status, got.body, got.ended) == (200, target.encode(), True)
                assert outcome.attempts in (1, 2)
        await until(lambda: it.connections("active") == it.connections("connecting") == 0)
        assert repeats["hedge"].value > 0
        assert repeats["retry"].value == 0
