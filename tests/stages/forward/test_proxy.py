"""A request on a connection that is there already, with no body or one that came with its head.

What the usual one skips, the others still get.
"""

import asyncio

import pytest

from gateway.model.outcome import Outcome
from gateway.model.reason import Reason
from gateway.testing.upstream import Call, Upstream, answer, head, in_turn, raw, silent
from gateway.testing.wait import until
from gateway.upstreams.settings import TimeoutSettings
from tests.backends import Counts, cluster, forward, running, send
from tests.exchange import Recorder, refusal
from tests.exchange import head as request_head
from tests.rings import left_by_refusals


async def test_each_endpoint_is_named_for_its_own_answers_however_alike_they_are() -> None:
    async with Upstream(answer(body=b"hello")) as one, Upstream(answer(body=b"hello")) as two:
        counts = Counts()
        async with running(cluster(one.url, two.url, counts=counts)) as made:
            seen = [(await send(forward(made)))[0] for _ in range(6)]
        assert seen == [Outcome(200, "inventory", url, 0, 5) for url in (one.url, two.url) * 3]
        assert (one.connections, two.connections, counts.seen) == (1, 1, {"ok": 6})


async def test_answers_of_every_kind_take_turns_on_one_connection() -> None:
    chunked = head(200, [(b"transfer-encoding", b"chunked")]) + b"2\r\nhi\r\n0\r\n\r\n"

    async def script(call: Call) -> None:
        kind = call.target[1:2]
        if kind == b"c":
            await call.send(chunked)
        elif kind == b"n":
            await call.send(head(204))
        else:
            await call.send(head(200, [(b"content-length", b"2")]) + (b"" if call.method == b"HEAD" else kind * 2))

    async with Upstream(script) as backend, running(cluster(backend.url)) as made:
        for kind in "aacbbncnacab":
            outcome, got = await send(forward(made), target=f"/{kind}")
            body = {"c": b"hi", "n": b""}.get(kind, kind.encode() * 2)
            assert (got.status, got.body, got.ended, outcome.bytes_out) == (
                204 if kind == "n" else 200,
                body,
                True,
                len(body),
            )
        assert backend.connections == 1


@pytest.mark.parametrize("timeouts", [TimeoutSettings(1.0, 9.0, 0.1), TimeoutSettings(1.0, 0.1, 9.0)])
async def test_no_answer_in_time_is_504(timeouts: TimeoutSettings) -> None:
    counts = Counts()
    script = in_turn(answer(), silent)
    async with Upstream(script) as backend, running(cluster(backend.url, timeouts=timeouts, counts=counts)) as made:
        await send(forward(made))
        refused = await refusal(send(forward(made)))
        assert (refused.reason, refused.upstream, refused.endpoint) == (
            Reason.UPSTREAM_TIMEOUT,
            "inventory",
            backend.url,
        )
        await until(lambda: 0 in backend.closed)
        assert (backend.connections, counts.seen) == (1, {"ok": 1, "upstream_timeout": 1})


async def test_the_routes_time_bounds_it() -> None:
    async with Upstream(in_turn(answer(), silent)) as backend, running(cluster(backend.url)) as made:
        await send(forward(made))
        assert (await refusal(send(forward(made, timeout=0.1)))).reason is Reason.UPSTREAM_TIMEOUT


async def test_a_client_that_leaves_cancels_the_request() -> None:
    counts = Counts()
    async with Upstream(in_turn(answer(), silent)) as backend, running(cluster(backend.url, counts=counts)) as made:
        await send(forward(made))
        exchange = Recorder(request_head())
        task = asyncio.ensure_future(send(forward(made), recorder=exchange))
        await until(lambda: len(backend.calls) == 2)
        exchange.leave()
        outcome, _ = await task
        assert outcome == Outcome(0, "inventory", backend.url, 0, 0, Reason.CLIENT_GONE)
        await until(lambda: 0 in backend.closed)
        assert (made.connections("idle"), made.connections("active")) == (0, 0)
        assert counts.seen == {"ok": 1, "client_gone": 1}


async def test_a_client_that_left_before_its_answer_takes_no_connection_along() -> None:
    counts = Counts()
    async with Upstream(answer(body=b"hello")) as backend, running(cluster(backend.url, counts=counts)) as made:
        await send(forward(made))
        exchange = Recorder(request_head(), slow=True)
        task = asyncio.ensure_future(send(forward(made), recorder=exchange))
        await until(lambda: exchange.blocked)
        exchange.leave()
        outcome, _ = await task
        assert outcome == Outcome(200, "inventory", backend.url, 0, 5, Reason.CLIENT_GONE)
        assert (await send(forward(made)))[0] == Outcome(200, "inventory", backend.url, 0, 5)
        assert (backend.connections, counts.seen) == (1, {"ok": 2, "client_gone": 1})


async def test_a_cancelled_request_leaves_no_connection_behind() -> None:
    async with Upstream(in_turn(answer(), silent)) as backend, running(cluster(backend.url)) as made:
        await send(forward(made))
        task = asyncio.ensure_future(send(forward(made)))
        await until(lambda: len(backend.calls) == 2)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert (made.connections("idle"), made.connections("active")) == (0, 0)
        await until(lambda: 0 in backend.closed)


@pytest.mark.parametrize("change", ["rotate", "retire"])
async def test_a_connection_that_is_parted_with_answers_and_ends(change: str) -> None:
    gate = asyncio.Event()

    async def later(call: Call) -> None:
        await gate.wait()
        await answer(body=b"hello")(call)

    async with Upstream(in_turn(answer(), later)) as backend, running(cluster(backend.url)) as made:
        await send(forward(made))
        task = asyncio.ensure_future(send(forward(made)))
        await until(lambda: len(backend.calls) == 2)
        if change == "rotate":
            made.endpoints[0].rotate(None)
        else:
            made.retire()
        gate.set()
        assert (await task)[1].body == b"hello"
        await until(lambda: 0 in backend.closed)
        assert made.connections("idle") == 0


async def test_a_failure_leaves_no_ring_to_the_collector() -> None:
    async def script(call: Call) -> None:
        if call.target == b"/dies":
            call.abort()
        else:
            await answer()(call)

    async with Upstream(script) as backend, running(cluster(backend.url)) as made:
        stage = forward(made)

        async def turn() -> None:
            await send(stage)
            await send(stage, "POST", "/dies")

        assert await left_by_refusals(turn) == (0, {Reason.UPSTREAM_PROTOCOL})


async def mirror(call: Call) -> None:
    body = await call.body()
    await call.send(head(200, [(b"content-length", b"%d" % len(body))]) + body)


async def test_a_body_that_came_with_its_head_goes_out_with_it_and_without_a_task() -> None:
    async with Upstream(mirror) as backend, running(cluster(backend.url)) as made:
        await send(forward(made))
        before, tasks = len(backend.bytes_in[0]), len(asyncio.all_tasks())
        exchange = Recorder(request_head())
        asked = asyncio.ensure_future(send(forward(made), "POST", body=b"hello", at_hand=True, recorder=exchange))
        await until(lambda: exchange.reads)
        assert len(asyncio.all_tasks()) <= tasks + 1  # `asked` itself
        outcome, got = await asked
        assert (outcome, got.body, exchange.reads) == (Outcome(200, "inventory", backend.url, 5, 5), b"hello", 1)
        call = backend.calls[1]
        assert (call.value("content-length"), backend.connections) == ("5", 1)
        assert len(backend.bytes_in[0]) - before == len(call.head) + 5
        for body in (b"", b"hello", b"hi"):  # what is kept of an answer knows how much was sent
            outcome, _ = await send(forward(made), "POST", body=body, at_hand=bool(body))
            assert outcome.bytes_in == len(body)


async def test_a_body_that_came_with_its_head_is_held_to_the_routes_bound() -> None:
    async with Upstream(mirror) as backend, running(cluster(backend.url)) as made:
        await send(forward(made))
        stage = forward(made, max_body=5)
        assert (await send(stage, "POST", body=b"12345", at_hand=True))[0].bytes_in == 5
        refused = await refusal(send(stage, "POST", body=b"123456", at_hand=True))
        assert (refused.reason, len(backend.calls)) == (Reason.BODY_TOO_LARGE, 2)


@pytest.mark.parametrize("method", ["POST", "PUT"])
async def test_H22_what_was_sent_with_its_body_is_not_sent_again(method: str) -> None:
    async def die(call: Call) -> None:
        await call.body()
        call.abort()

    async with Upstream(in_turn(answer(), die)) as backend, running(cluster(backend.url)) as made:
        await send(forward(made))
        refused = await refusal(send(forward(made), method, body=b"x", at_hand=True))
        assert (refused.reason, len(backend.calls)) == (Reason.UPSTREAM_PROTOCOL, 2)


async def test_an_unusual_answer_to_a_body_that_came_with_its_head_is_told_what_was_sent() -> None:
    chunked = head(200, [(b"transfer-encoding", b"chunked")]) + b"2\r\nhi\r\n0\r\n\r\n"
    async with Upstream(in_turn(answer(), raw(chunked))) as backend, running(cluster(backend.url)) as made:
        await send(forward(made))
        outcome, got = await send(forward(made), "POST", body=b"hello", at_hand=True)
        assert (outcome.bytes_in, got.body, backend.connections) == (5, b"hi", 1)
