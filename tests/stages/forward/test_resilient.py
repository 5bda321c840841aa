"""Retries, the circuit breaker and outlier detection, over real sockets and a proxy that fails on command."""

import asyncio
from pathlib import Path

import pytest

from gateway.model.reason import Reason
from gateway.testing.faults import FaultProxy
from gateway.testing.process import free_port
from gateway.testing.upstream import Call, Script, Upstream, answer, head, in_turn, raw, silent
from gateway.testing.wait import until
from gateway.upstreams.settings import (
    BreakerSettings,
    ConnectionSettings,
    OutlierSettings,
    RetrySettings,
    TimeoutSettings,
)
from tests.backends import Counts, cluster, forward, pki, running, send
from tests.exchange import Recorder, refusal
from tests.exchange import head as request_head

ON_503 = RetrySettings(statuses=frozenset({503}))
QUICK = TimeoutSettings(connect=1.0, response=0.3, idle=5.0)


def nowhere() -> str:
    return f"http://127.0.0.1:{free_port()}"


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_connect_failure_goes_to_another_endpoint_whatever_the_method(method: str) -> None:
    counts = Counts()
    async with (
        Upstream() as backend,
        running(cluster(nowhere(), backend.url, retries=RetrySettings(), counts=counts)) as made,
    ):
        for _ in range(4):
            outcome, got = await send(forward(made), method, body=b"once")
            assert (got.status, outcome.endpoint) == (200, backend.url)
    assert [await call.body() for call in backend.calls] == [b"once"] * 4
    assert counts.seen == {"ok": 4, "upstream_connect": 2}


async def test_a_body_too_large_to_keep_still_survives_a_connect_failure() -> None:
    body = b"x" * 300_000
    async with Upstream() as backend, running(cluster(nowhere(), backend.url, retries=RetrySettings())) as made:
        assert (await send(forward(made), "POST", body=body))[0].status == 200
        assert await backend.calls[0].body() == body


async def test_without_retries_a_connect_failure_is_502() -> None:
    async with Upstream() as backend, running(cluster(nowhere(), backend.url)) as made:
        assert (await refusal(send(forward(made)))).reason is Reason.UPSTREAM_CONNECT


async def test_an_endpoint_with_another_identity_is_no_obstacle(tmp_path: Path) -> None:
    site = pki(tmp_path)
    async with site.backend(uri="spiffe://cluster.local/ns/default/sa/other") as other, site.backend() as backend:
        made = cluster(other.url, backend.url, tls=site.material(), retries=RetrySettings())
        async with running(made):
            assert (await send(forward(made)))[0].endpoint == backend.url
        assert other.calls == []


async def test_when_every_try_fails_the_last_failure_is_told() -> None:
    async with running(cluster(nowhere(), nowhere(), retries=RetrySettings(attempts=3))) as made:
        assert (await refusal(send(forward(made)))).reason is Reason.UPSTREAM_CONNECT
        assert (made.load.requests, made.load.retries) == (0, 0)


@pytest.mark.parametrize(
    ("method", "body", "tries"),
    [
        pytest.param("GET", None, 2, id="get"),
        pytest.param("PUT", b"small", 2, id="a-small-body-is-replayed"),
        pytest.param("PUT", b"x" * 70_000, 1, id="a-large-body-is-not"),
        pytest.param("POST", None, 1, id="not-idempotent"),
        pytest.param("POST", b"small", 1, id="not-idempotent-with-a-body"),
        pytest.param("PATCH", b"small", 1, id="patch"),
    ],
)
async def test_a_status_is_retried_only_where_that_is_safe(method: str, body: bytes | None, tries: int) -> None:
    script = in_turn(answer(503, b"busy"), answer(200, b"done"))
    async with Upstream(script) as backend, running(cluster(backend.url, retries=ON_503)) as made:
        outcome, got = await send(forward(made), method, body=body)
        assert (len(backend.calls), got.status) == (tries, 200 if tries == 2 else 503)
        assert got.body == (b"done" if tries == 2 else b"busy")
        assert [await call.body() for call in backend.calls] == [body or b""] * tries
        assert outcome.bytes_in == len(body or b"")
        assert made.load.retries == 0


async def test_a_chunked_body_is_never_sent_twice() -> None:
    async with Upstream(answer(503)) as backend, running(cluster(backend.url, retries=ON_503)) as made:
        assert (await send(forward(made), "PUT", pieces=[b"a", b"b"]))[1].status == 503
        assert len(backend.calls) == 1


async def test_another_status_is_not_retried() -> None:
    async with Upstream(answer(500)) as backend, running(cluster(backend.url, retries=ON_503)) as made:
        assert (await send(forward(made)))[1].status == 500
        assert len(backend.calls) == 1


async def test_no_more_tries_than_the_file_says() -> None:
    often = RetrySettings(attempts=2, statuses=frozenset({503}))
    async with Upstream(answer(503, b"busy")) as backend, running(cluster(backend.url, retries=often)) as made:
        assert (await send(forward(made)))[1].body == b"busy"
        assert len(backend.calls) == 3


async def test_another_endpoint_is_preferred() -> None:
    async with (
        Upstream(answer(503)) as one,
        Upstream(answer(200)) as two,
        running(cluster(one.url, two.url, balance="random", retries=ON_503)) as made,
    ):
        for _ in range(20):
            assert (await send(forward(made)))[1].status == 200
        assert made.load.requests == 0


async def test_retry_after_is_obeyed() -> None:
    script = in_turn(answer(503, headers=[(b"Retry-After", b"1")]), answer(200))
    async with Upstream(script) as backend, running(cluster(backend.url, retries=ON_503)) as made:
        loop = asyncio.get_running_loop()
        began = loop.time()
        assert (await send(forward(made)))[1].status == 200
        assert loop.time() - began >= 1.0
        assert len(backend.calls) == 2


async def test_a_long_retry_after_is_the_clients_to_obey() -> None:
    script = answer(503, headers=[(b"retry-after", b"60")])
    async with Upstream(script) as backend, running(cluster(backend.url, retries=ON_503)) as made:
        got = (await send(forward(made)))[1]
        assert (got.status, got.value("retry-after"), len(backend.calls)) == (503, "60", 1)


async def test_a_route_whose_time_is_over_before_the_next_try_gets_what_there_is() -> None:
    script = answer(503, headers=[(b"retry-after", b"2")])
    async with Upstream(script) as backend, running(cluster(backend.url, retries=ON_503)) as made:
        assert (await send(forward(made, timeout=1.0)))[1].status == 503
        assert len(backend.calls) == 1


@pytest.mark.parametrize(("reset", "status"), [(True, 200), (False, None)])
async def test_a_connection_that_ends_before_its_answer(reset: bool, status: int | None) -> None:
    async def close(call: Call) -> None:
        call.abort()

    script = in_turn(close, answer(200))
    async with Upstream(script) as backend, running(cluster(backend.url, retries=RetrySettings(reset=reset))) as made:
        if status is None:
            assert (await refusal(send(forward(made)))).reason is Reason.UPSTREAM_PROTOCOL
        else:
            assert (await send(forward(made)))[0].status == status
        assert len(backend.calls) == (1 if status is None else 2)


async def test_an_answer_that_has_begun_is_never_followed_by_another() -> None:
    cut = raw(head(200, [(b"content-length", b"10")]) + b"half", close=True)
    retries = RetrySettings(attempts=3, reset=True, statuses=frozenset({503}))
    async with Upstream(cut) as backend, running(cluster(backend.url, retries=retries)) as made:
        outcome, got = await send(forward(made))
        assert (outcome.reason, got.aborted, got.ended) == (Reason.UPSTREAM_RESET, True, False)
        assert len(backend.calls) == 1


async def test_a_try_that_takes_too_long_is_given_up_for_another() -> None:
    counts, retries = Counts(), RetrySettings(per_try=0.1)
    async with Upstream(silent) as stuck, Upstream() as well:
        async with running(cluster(stuck.url, well.url, retries=retries, counts=counts)) as made:
            assert (await send(forward(made)))[0].endpoint == well.url
            assert (await refusal(send(forward(cluster(stuck.url, retries=retries))))).reason is Reason.UPSTREAM_TIMEOUT
        assert counts.seen == {"ok": 1, "upstream_timeout": 1}


async def test_a_post_that_takes_too_long_is_not_sent_again() -> None:
    async with Upstream(silent) as backend, running(cluster(backend.url, retries=RetrySettings(per_try=0.1))) as made:
        assert (await refusal(send(forward(made), "POST", body=b"pay"))).reason is Reason.UPSTREAM_TIMEOUT
        assert len(backend.calls) == 1


async def test_the_time_of_a_try_ends_with_the_head_of_its_answer() -> None:
    async def slow_body(call: Call) -> None:
        await call.send(head(200, [(b"content-length", b"4")]))
        await asyncio.sleep(0.25)
        await call.send(b"done")

    async with (
        Upstream(slow_body) as backend,
        running(cluster(backend.url, retries=RetrySettings(per_try=0.15))) as made,
    ):
        assert (await send(forward(made)))[1].body == b"done"


async def test_a_stalled_handshake_counts_as_a_connect_failure(tmp_path: Path) -> None:
    site = pki(tmp_path)
    async with site.backend() as stuck, site.backend() as well, FaultProxy(stuck.port) as proxy:
        proxy.stall()
        made = cluster(
            f"https://127.0.0.1:{proxy.port}", well.url, tls=site.material(), retries=RetrySettings(per_try=0.3)
        )
        async with running(made):
            outcome, _ = await send(forward(made), "POST", body=b"once")
            assert outcome.endpoint == well.url
        assert (len(stuck.calls), len(well.calls)) == (0, 1)


async def test_retries_stay_within_their_budget() -> None:
    held = asyncio.Event()

    async def busy(call: Call) -> None:
        if call.target == b"/held":
            await held.wait()
        await call.send(head(503, [(b"content-length", b"0"), (b"retry-after", b"1")]))

    async with Upstream(busy) as backend, running(cluster(backend.url, retries=ON_503)) as made:
        waiting = [asyncio.ensure_future(send(forward(made))) for _ in range(10)]
        await until(lambda: len(backend.calls) >= 10)
        await until(lambda: made.load.requests == 3)  # those that wait for their second try
        assert made.load.retries == 3
        assert (await asyncio.gather(*waiting))[0][1].status == 503
        assert (len(backend.calls), made.load.retries) == (13, 0)


async def test_a_client_that_leaves_while_its_retry_waits_is_let_go() -> None:
    script = answer(503, headers=[(b"retry-after", b"4")])
    async with Upstream(script) as backend, running(cluster(backend.url, retries=ON_503)) as made:
        exchange = Recorder(request_head())
        task = asyncio.ensure_future(send(forward(made), recorder=exchange))
        await until(lambda: made.load.retries == 1)
        exchange.leave()
        outcome, _ = await task
        assert outcome.reason is Reason.CLIENT_GONE
        assert (len(backend.calls), made.load.requests, made.load.retries) == (1, 0, 0)


def gated(gate: asyncio.Event) -> Script:
    async def script(call: Call) -> None:
        await gate.wait()
        await call.send(head(200, [(b"content-length", b"0")]))

    return script


async def test_an_open_circuit_is_503_and_closes_again() -> None:
    gate = asyncio.Event()
    async with (
        Upstream(gated(gate)) as backend,
        running(cluster(backend.url, breaker=BreakerSettings(max_requests=2))) as made,
    ):
        two = [asyncio.ensure_future(send(forward(made))) for _ in range(2)]
        await until(lambda: len(backend.calls) == 2)
        refused = await refusal(send(forward(made)))
        assert (refused.reason, refused.upstream, refused.retry_after) == (Reason.CIRCUIT_OPEN, "inventory", 1)
        gate.set()
        await asyncio.gather(*two)
        assert (await send(forward(made)))[0].status == 200


async def test_too_many_that_wait_open_the_circuit() -> None:
    gate, counts = asyncio.Event(), Counts()
    settings = ConnectionSettings(max=1)
    breaker = BreakerSettings(max_pending=1)
    async with (
        Upstream(gated(gate)) as backend,
        running(cluster(backend.url, connections=settings, breaker=breaker, counts=counts)) as made,
    ):
        first = asyncio.ensure_future(send(forward(made)))
        await until(lambda: len(backend.calls) == 1)
        second = asyncio.ensure_future(send(forward(made)))
        await until(lambda: made.connections("waiting") == 1)
        assert (await refusal(send(forward(made)))).reason is Reason.CIRCUIT_OPEN
        gate.set()
        await asyncio.gather(first, second)
    assert counts.seen == {"ok": 2, "circuit_open": 1}


async def test_an_endpoint_that_fails_again_and_again_is_ejected_and_returns() -> None:
    script = in_turn(answer(500), answer(500), answer(500), answer(200))
    outlier = OutlierSettings(consecutive_errors=3, ejection=0.3)
    async with (
        Upstream(script) as sick,
        Upstream() as well,
        running(cluster(sick.url, well.url, outlier=outlier)) as made,
    ):
        for _ in range(6):
            await send(forward(made))
        assert (made.ejected(sick.url), made.ejected(well.url)) == (True, False)
        assert "'ejected': True" in repr(made.status())
        assert {(await send(forward(made)))[0].endpoint for _ in range(4)} == {well.url}
        await until(lambda: not made.ejected(sick.url))
        assert {(await send(forward(made)))[0].endpoint for _ in range(4)} == {sick.url, well.url}


@pytest.mark.parametrize("kind", ["refused", "reset", "silent"])
async def test_no_answer_counts_as_an_error(kind: str) -> None:
    async with Upstream(silent) as behind, FaultProxy(behind.port) as proxy, Upstream() as well:
        made = cluster(
            f"http://127.0.0.1:{proxy.port}", well.url, outlier=OutlierSettings(consecutive_errors=1), timeouts=QUICK
        )
        async with running(made):
            if kind == "refused":
                proxy.refuse()
            task = asyncio.ensure_future(refusal(send(forward(made))))
            if kind == "reset":
                await until(lambda: behind.calls)
                proxy.reset()
            assert (await task).upstream == "inventory"
            assert made.ejected(made.endpoints[0].url)


async def test_what_is_the_clients_fault_ejects_nobody() -> None:
    outlier = OutlierSettings(consecutive_errors=1)
    async with (
        Upstream() as backend,
        Upstream() as other,
        running(cluster(backend.url, other.url, outlier=outlier)) as made,
    ):
        refused = await refusal(send(forward(made, max_body=4), "POST", pieces=[b"hello"]))
        assert refused.reason is Reason.BODY_TOO_LARGE
        assert not made.ejected(backend.url)
