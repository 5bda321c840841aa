"""Retries where the first try goes the usual way: over a connection that is there already."""

import asyncio

import pytest

from gateway.model.reason import Reason
from gateway.testing.upstream import Call, Script, Upstream, answer, head, in_turn, raw, silent
from gateway.testing.wait import until
from gateway.upstreams.settings import BreakerSettings, OutlierSettings, RetrySettings
from tests.backends import cluster, forward, running, send
from tests.exchange import refusal

ON_503 = RetrySettings(statuses=frozenset({503}))
ON_429 = RetrySettings(statuses=frozenset({429, 503}))


async def die(call: Call) -> None:
    await call.body()
    call.abort()


async def half_a_head(call: Call) -> None:
    await call.send(b"HTTP/1.1 200 OK\r\ncontent-le")


@pytest.mark.parametrize(
    ("first", "retries", "attempts"),
    [
        pytest.param(answer(503, b"busy"), ON_503, 2, id="a-status"),
        pytest.param(answer(429, b"slowly"), ON_429, 2, id="a-status-below-500"),
        pytest.param(raw(head(503, [(b"transfer-encoding", b"chunked")]) + b"0\r\n\r\n"), ON_503, 2, id="in-chunks"),
        pytest.param(die, RetrySettings(reset=True), 1, id="a-stale-connection-is-no-try"),
        pytest.param(silent, RetrySettings(per_try=0.1), 2, id="silence"),
        pytest.param(half_a_head, RetrySettings(per_try=0.1), 2, id="half-a-head"),
    ],
)
async def test_what_is_tried_again_is_tried_again_on_a_warm_connection(
    first: Script, retries: RetrySettings, attempts: int
) -> None:
    script = in_turn(answer(), first, answer(200, b"done"))
    async with Upstream(script) as backend, running(cluster(backend.url, retries=retries)) as made:
        await send(forward(made))
        outcome, got = await send(forward(made))
        assert (outcome.attempts, got.status, got.body, len(backend.calls)) == (attempts, 200, b"done", 3)
        assert (made.load.requests, made.load.retries) == (0, 0)


async def test_the_time_of_a_try_bounds_its_silence_and_not_its_answer() -> None:
    begun = asyncio.Event()

    async def slow(call: Call) -> None:
        await call.send(head(200, [(b"content-length", b"2")]) + b"h")
        await begun.wait()
        await call.send(b"i")

    retries = RetrySettings(per_try=0.1)
    async with Upstream(in_turn(answer(), slow)) as backend, running(cluster(backend.url, retries=retries)) as made:
        await send(forward(made))
        asyncio.get_running_loop().call_later(0.2, begun.set)
        outcome, got = await send(forward(made))
        assert (outcome.attempts, got.body, len(backend.calls)) == (1, b"hi", 2)


@pytest.mark.parametrize(("method", "tries"), [("PUT", 2), ("POST", 1)])
async def test_a_body_that_came_with_its_head_is_sent_again_only_where_that_is_safe(method: str, tries: int) -> None:
    script = in_turn(answer(), answer(503, b"busy"), answer(200, b"done"))
    async with Upstream(script) as backend, running(cluster(backend.url, retries=ON_503)) as made:
        await send(forward(made))
        outcome, got = await send(forward(made), method, body=b"small", at_hand=True)
        assert (outcome.attempts, outcome.bytes_in) == (tries, 5)
        assert got.body == (b"done" if tries == 2 else b"busy")
        assert [await call.body() for call in backend.calls[1:]] == [b"small"] * tries


async def test_a_post_whose_connection_dies_is_not_sent_again() -> None:
    retries = RetrySettings(reset=True)
    async with Upstream(in_turn(answer(), die)) as backend, running(cluster(backend.url, retries=retries)) as made:
        await send(forward(made))
        refused = await refusal(send(forward(made), "POST", body=b"x", at_hand=True))
        assert (refused.reason, len(backend.calls), made.load.requests) == (Reason.UPSTREAM_PROTOCOL, 2, 0)


async def test_errors_on_warm_connections_count_and_a_good_answer_ends_their_row() -> None:
    script = in_turn(answer(), answer(500), answer(500), answer(), answer(500), answer(500), answer(500))
    outlier = OutlierSettings(consecutive_errors=3, ejection=30.0, max_ejected=100)
    async with Upstream(script) as backend, running(cluster(backend.url, outlier=outlier)) as made:
        for _ in range(6):
            await send(forward(made))
            assert not made.ejected(backend.url)
        await send(forward(made))
        assert made.ejected(backend.url)
        assert backend.connections == 1


async def test_a_request_on_a_warm_connection_counts_for_the_breaker_while_it_is_at_work() -> None:
    breaker = BreakerSettings(max_pending=1, max_requests=1)
    script = in_turn(answer(), silent)
    async with Upstream(script) as backend, running(cluster(backend.url, breaker=breaker)) as made:
        await send(forward(made))
        assert made.load.requests == 0
        task = asyncio.ensure_future(send(forward(made)))
        await until(lambda: len(backend.calls) == 2)
        assert (await refusal(send(forward(made)))).reason is Reason.CIRCUIT_OPEN
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert made.load.requests == 0
