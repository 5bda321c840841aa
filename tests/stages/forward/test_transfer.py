"""One request to a backend and its answer: streaming both ways, deadlines, ends."""

import asyncio

import pytest

from gateway.model.outcome import Outcome
from gateway.model.reason import Reason
from gateway.model.refused import Refused
from gateway.stages.forward.stage import Forward
from gateway.testing.process import free_port
from gateway.testing.upstream import Call, Upstream, answer, head, in_turn, raw, silent
from gateway.testing.wait import until
from gateway.upstreams.settings import RetrySettings, TimeoutSettings
from tests.backends import Counts, Watch, cluster, forward, running, send
from tests.exchange import Recorder, context, permit, refusal
from tests.exchange import head as request_head
from tests.rings import left_by_refusals

QUICK = TimeoutSettings(connect=1.0, response=0.1, idle=0.1)
CHUNKED = (b"transfer-encoding", b"chunked")


async def test_head_and_body_that_are_there_go_out_in_one_write() -> None:
    async with Upstream(answer(body=b"hello")) as backend, running(cluster(backend.url)) as made:
        outcome, got = await send(forward(made))
        assert (got.status, got.body, got.writes, got.ended) == (200, b"hello", 1, True)
        assert outcome == Outcome(200, "inventory", backend.url, 0, 5, None)


async def test_a_body_with_a_length_arrives_whole_and_leaves_with_its_head() -> None:
    async with Upstream() as backend, running(cluster(backend.url)) as made:
        outcome, _ = await send(forward(made), "POST", body=b"hello")
        call = backend.calls[0]
        assert (await call.body(), call.value("content-length"), outcome.bytes_in) == (b"hello", "5", 5)


async def test_a_body_without_a_length_is_chunked_anew() -> None:
    async with Upstream() as backend, running(cluster(backend.url)) as made:
        outcome, _ = await send(forward(made), "POST", pieces=[b"he", b"llo"])
        call = backend.calls[0]
        assert (await call.body(), call.values("transfer-encoding"), outcome.bytes_in) == (b"hello", [b"chunked"], 5)
        assert made.connections("idle") == 1


async def test_full_duplex() -> None:
    async def echo_each(call: Call) -> None:
        await call.send(head(200, [CHUNKED]))
        for _ in range(2):
            await call.send(b"1\r\n" + (await call.read(6))[3:4] + b"\r\n")
        await call.send(b"0\r\n\r\n")

    async with Upstream(echo_each) as backend, running(cluster(backend.url)) as made:
        exchange = Recorder(request_head())
        run = asyncio.ensure_future(_chunked(forward(made), exchange))
        await until(lambda: exchange.started)
        for piece in (b"a", b"b"):
            assert not exchange.body.endswith(piece)
            exchange.give(piece)
            await until(lambda piece=piece: exchange.body.endswith(piece))  # type: ignore[misc]
        exchange.give(b"")
        assert ((await run).bytes_in, exchange.body, exchange.ended) == (2, b"ab", True)


async def _chunked(stage: Forward, exchange: Recorder) -> Outcome:
    exchange.head = request_head("POST", chunked=True)
    return await stage(permit(context(exchange.head)), exchange, [])


async def test_a_slow_client_slows_the_backend_down() -> None:
    total = 8 << 20

    async def script(call: Call) -> None:
        await call.send(head(200, [(b"content-length", b"%d" % total)]))
        for _ in range(total >> 16):
            await call.send(b"x" * 65536)
            written.append(65536)

    written: list[int] = []
    async with Upstream(script) as backend, running(cluster(backend.url)) as made:
        exchange = Recorder(request_head(), slow=True)
        task = asyncio.ensure_future(send(forward(made), recorder=exchange))
        await until(lambda: exchange.blocked)
        seen = -1
        while seen != len(written):  # the backend stands still once every buffer on the way is full
            seen = len(written)
            await asyncio.sleep(0.05)
        assert sum(written) < total
        exchange.slow = False
        exchange.take()
        outcome, _ = await task
        assert (outcome.bytes_out, exchange.ended) == (total, True)


async def test_a_slow_backend_slows_the_client_down() -> None:
    go = asyncio.Event()

    async def script(call: Call) -> None:
        await go.wait()
        await answer()(call)

    async with Upstream(script) as backend, running(cluster(backend.url)) as made:
        exchange = Recorder(request_head())
        exchange.give(*[b"x" * 65536] * 400)
        run = asyncio.ensure_future(_chunked(forward(made, max_body=1 << 30), exchange))
        seen = -1
        while seen != exchange.reads:
            seen = exchange.reads
            await asyncio.sleep(0.05)
        assert exchange.reads < 400
        exchange.give(b"")
        go.set()
        assert (await run).bytes_in == 400 * 65536


@pytest.mark.parametrize("pieces", [[b"x" * 60, b"x" * 60], [b"x" * 120]])
async def test_a_body_over_the_limit_is_413_and_ends_the_connection(pieces: list[bytes]) -> None:
    async with Upstream() as backend, running(cluster(backend.url)) as made:
        refused = await refusal(send(forward(made, max_body=100), "POST", pieces=pieces))
        assert refused.reason is Reason.BODY_TOO_LARGE
        await until(lambda: 0 in backend.closed)
        assert b"0\r\n\r\n" not in backend.bytes_in[0]  # never ended as if it were whole


async def test_a_body_over_the_limit_breaks_off_an_answer_that_has_begun() -> None:
    async def script(call: Call) -> None:
        await call.send(head(200, [CHUNKED]) + b"2\r\nhi\r\n")
        await call.gone()

    async with Upstream(script) as backend, running(cluster(backend.url)) as made:
        exchange = Recorder(request_head())
        run = asyncio.ensure_future(_chunked(forward(made, max_body=3), exchange))
        await until(lambda: exchange.started)
        exchange.give(b"toolong")
        outcome = await run
        assert (outcome.reason, exchange.aborted, exchange.ended) == (Reason.BODY_TOO_LARGE, True, False)


@pytest.mark.parametrize("body", [b"hel", b"hello!"])
async def test_a_body_of_another_length_than_announced_ends_the_connection(body: bytes) -> None:
    async with Upstream() as backend, running(cluster(backend.url)) as made:
        exchange = Recorder(request_head("POST", length=5))
        exchange.give(body, b"")
        refused = await refusal(forward(made)(permit(context(exchange.head)), exchange, []))
        assert refused.reason in (Reason.BAD_REQUEST, Reason.AMBIGUOUS_FRAMING)
        await until(lambda: 0 in backend.closed)
        assert b"!" not in backend.bytes_in[0]


async def test_a_body_that_cannot_be_parsed_is_the_clients_fault() -> None:
    counts = Counts()
    async with Upstream() as backend, running(cluster(backend.url, counts=counts)) as made:
        exchange = Recorder(request_head())
        exchange.give(b"he")
        exchange.pieces.put_nowait(Refused(Reason.AMBIGUOUS_FRAMING))
        assert (await refusal(_chunked(forward(made), exchange))).reason is Reason.AMBIGUOUS_FRAMING
        await until(lambda: 0 in backend.closed)
        assert counts.seen == {"client_error": 1}


async def test_an_early_answer_is_passed_on_and_ends_both_connections() -> None:
    async def script(call: Call) -> None:
        await call.send(head(403, [(b"content-length", b"0")]))
        await call.gone()

    async with Upstream(script) as backend, running(cluster(backend.url)) as made:
        exchange = Recorder(request_head())
        exchange.give(b"part")
        outcome = await _chunked(forward(made), exchange)
        assert (outcome.status, outcome.reason, exchange.value("connection")) == (403, None, "close")
        await until(lambda: 0 in backend.closed)


@pytest.mark.parametrize("timeouts", [QUICK, TimeoutSettings(1.0, 9.0, 0.1), TimeoutSettings(1.0, 0.1, 9.0)])
async def test_no_answer_in_time_is_504(timeouts: TimeoutSettings) -> None:
    counts = Counts()
    async with Upstream(silent) as backend, running(cluster(backend.url, timeouts=timeouts, counts=counts)) as made:
        refused = await refusal(send(forward(made)))
        assert (refused.reason, refused.endpoint) == (Reason.UPSTREAM_TIMEOUT, backend.url)
        await until(lambda: 0 in backend.closed)
        assert counts.seen == {"upstream_timeout": 1}


async def test_the_routes_total_time_bounds_a_steady_trickle() -> None:
    async def script(call: Call) -> None:
        await call.send(head(200, [CHUNKED]))
        while not call.writer.is_closing():
            await call.send(b"1\r\nx\r\n")
            await asyncio.sleep(0.01)

    async with Upstream(script) as backend, running(cluster(backend.url)) as made:
        outcome, got = await send(forward(made, timeout=0.15))
        assert (outcome.reason, got.aborted, got.ended) == (Reason.UPSTREAM_TIMEOUT, True, False)
        assert outcome.bytes_out > 1


async def test_an_answer_that_stalls_is_broken_off_even_while_the_client_is_slow() -> None:
    async def script(call: Call) -> None:
        await call.send(head(200, [(b"content-length", b"10")]) + b"hello")
        await call.gone()

    async with Upstream(script) as backend, running(cluster(backend.url, timeouts=QUICK)) as made:
        for slow in (False, True):
            exchange = Recorder(request_head(), slow=slow)
            outcome, _ = await send(forward(made), recorder=exchange)
            assert (outcome.reason, exchange.aborted, exchange.ended) == (Reason.UPSTREAM_TIMEOUT, True, False)


async def test_a_client_that_stops_sending_is_408() -> None:
    async with Upstream() as backend, running(cluster(backend.url, timeouts=QUICK)) as made:
        exchange = Recorder(request_head())
        exchange.give(b"part")
        assert (await refusal(_chunked(forward(made), exchange))).reason is Reason.REQUEST_TIMEOUT
        await until(lambda: 0 in backend.closed)


@pytest.mark.parametrize("begun", [False, True])
async def test_a_client_that_leaves_cancels_the_request(begun: bool) -> None:
    async def script(call: Call) -> None:
        if begun:
            await call.send(head(200, [CHUNKED]) + b"2\r\nhi\r\n")
        await call.gone()

    counts = Counts()
    async with Upstream(script) as backend, running(cluster(backend.url, counts=counts)) as made:
        exchange = Recorder(request_head())
        task = asyncio.ensure_future(send(forward(made), recorder=exchange))
        await until(lambda: exchange.body if begun else backend.calls)
        exchange.leave()
        outcome, _ = await task
        assert outcome.reason is Reason.CLIENT_GONE
        await until(lambda: 0 in backend.closed)
        assert (made.connections("idle"), made.connections("active"), counts.seen) == (0, 0, {"client_gone": 1})


async def test_a_cancelled_request_leaves_no_connection_behind() -> None:
    async with Upstream(silent) as backend, running(cluster(backend.url)) as made:
        task = asyncio.ensure_future(send(forward(made)))
        await until(lambda: backend.calls)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert made.connections("active") == 0
        await until(lambda: 0 in backend.closed)


async def die(call: Call) -> None:
    call.abort()


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "DELETE"])
async def test_H22_a_stale_connection_is_replaced_once_for_what_may_be_repeated(method: str) -> None:
    async with Upstream(in_turn(answer(), die, answer(204))) as backend, running(cluster(backend.url)) as made:
        await send(forward(made))
        outcome, _ = await send(forward(made), method)
        assert (outcome.status, backend.connections, len(backend.calls)) == (204, 2, 3)


@pytest.mark.parametrize(
    ("method", "body"),
    [
        pytest.param("POST", None, id="H22-post"),
        pytest.param("PATCH", None, id="H22-patch"),
        pytest.param("POST", b"x", id="H22-post-with-body"),
        pytest.param("PUT", b"x", id="H22-put-whose-body-is-on-its-way"),
    ],
)
async def test_what_may_not_be_repeated_is_not(method: str, body: bytes | None) -> None:
    async with Upstream(in_turn(answer(), die)) as backend, running(cluster(backend.url)) as made:
        await send(forward(made))
        refused = await refusal(send(forward(made), method, body=body))
        assert (refused.reason, len(backend.calls)) == (Reason.UPSTREAM_PROTOCOL, 2)


async def test_H22_a_fresh_connection_that_dies_is_not_replaced_nor_a_second_one() -> None:
    async with Upstream(die) as backend, running(cluster(backend.url)) as made:
        assert (await refusal(send(forward(made)))).reason is Reason.UPSTREAM_PROTOCOL
        assert len(backend.calls) == 1
        backend.script = in_turn(answer(), die)
        await send(forward(made))
        assert (await refusal(send(forward(made)))).reason is Reason.UPSTREAM_PROTOCOL
        assert len(backend.calls) == 4  # the stale one, and one more


async def test_H22_nothing_is_repeated_once_a_byte_of_an_answer_came() -> None:
    async def begin(call: Call) -> None:
        await call.send(b"HTTP/1.1 2")
        call.abort()

    async with Upstream(in_turn(answer(), begin)) as backend, running(cluster(backend.url)) as made:
        await send(forward(made))
        assert (await refusal(send(forward(made)))).reason is Reason.UPSTREAM_PROTOCOL
        assert len(backend.calls) == 2


async def test_informational_answers_are_swallowed() -> None:
    script = raw(b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 102 Processing\r\nlink: x\r\n\r\n", head(204))
    async with Upstream(script) as backend, running(cluster(backend.url)) as made:
        _, got = await send(forward(made))
        assert (got.status, got.values("link"), got.hints) == (204, [], [])


async def test_early_hints_pass_ahead_of_the_answer_with_their_links_alone() -> None:
    may_answer = asyncio.Event()

    async def hinting(call: Call) -> None:
        await call.send(head(103, [(b"Link", b"</a.css>; rel=preload"), (b"Set-Cookie", b"a=b"), (b"LINK", b"</b>")]))
        await may_answer.wait()
        await call.send(head(103, [(b"X-A", b"a")]), head(103, [(b"Link", b"</late>")]) + head(204))

    async with Upstream(in_turn(hinting, answer(body=b"ok"))) as backend, running(cluster(backend.url)) as made:
        stage, exchange = forward(made), Recorder(request_head())
        run = asyncio.ensure_future(send(stage, recorder=exchange))
        await until(lambda: exchange.hints)
        assert not exchange.started
        assert exchange.hints == [[(b"link", b"</a.css>; rel=preload"), (b"link", b"</b>")]]
        may_answer.set()
        await run
        assert (exchange.status, len(exchange.hints)) == (204, 1)  # what comes with the answer is late
        _, got = await send(stage)
        assert (got.body, got.hints, backend.connections) == (b"ok", [], 1)


async def test_an_answer_that_stays_open_is_entered_and_left_and_a_whole_one_is_not() -> None:
    finish = asyncio.Event()

    async def in_two(call: Call) -> None:
        await call.send(head(200, [(b"content-length", b"2")]) + b"a")
        await finish.wait()
        await call.send(b"b")

    watch = Watch()
    async with Upstream(in_turn(answer(body=b"x"), in_two)) as backend, running(cluster(backend.url)) as made:
        stage = forward(made, streams=watch)
        await send(stage)
        assert watch == []
        exchange = Recorder(request_head())
        run = asyncio.ensure_future(send(stage, recorder=exchange))
        await until(lambda: exchange.started)
        (stream,) = watch
        left = [stream.left]
        finish.set()
        assert (await run)[0].reason is None
        assert [*left, stream.left] == [False, True]
        stream.end(Refused(Reason.TOKEN_REVOKED))  # too late to do anything
        assert made.connections("idle") == 1


@pytest.mark.parametrize("retries", [None, RetrySettings()])
async def test_an_answer_whose_authority_ended_is_broken_off_and_says_why(retries: RetrySettings | None) -> None:
    async def endless(call: Call) -> None:
        await call.send(head(200, [(b"content-length", b"100")]) + b"a")
        await call.gone()

    watch, counts = Watch(), Counts()
    async with Upstream(endless) as backend, running(cluster(backend.url, counts=counts, retries=retries)) as made:
        exchange = Recorder(request_head())
        run = asyncio.ensure_future(send(forward(made, streams=watch), recorder=exchange))
        await until(lambda: exchange.started)
        watch[0].end(Refused(Reason.TOKEN_REVOKED, "by its issuer"))
        outcome, _ = await run
        assert outcome == Outcome(200, "inventory", backend.url, 0, 1, Reason.AUTHORITY_ENDED, "token_revoked")
        assert (exchange.aborted, exchange.ended, watch[0].left) == (True, False, True)
        assert counts.seen == {"authority_ended": 1}
        await until(lambda: 0 in backend.closed)


@pytest.mark.parametrize("retries", [None, RetrySettings()])
async def test_an_upload_whose_authority_ended_is_refused_for_what_ended_it(retries: RetrySettings | None) -> None:
    async def swallow(call: Call) -> None:
        await call.gone()

    watch, counts = Watch(), Counts()
    async with Upstream(swallow) as backend, running(cluster(backend.url, counts=counts, retries=retries)) as made:
        exchange = Recorder(request_head("POST", chunked=True)).give(b"first")
        run = asyncio.ensure_future(_chunked(forward(made, streams=watch), exchange))
        await until(lambda: watch)
        watch[0].end(Refused(Reason.TOKEN_EXPIRED, "exp has passed"))
        refused = await refusal(run)
        assert (refused.reason, refused.endpoint, exchange.started) == (Reason.TOKEN_EXPIRED, backend.url, False)
        assert counts.seen == {"authority_ended": 1}
        await until(lambda: 0 in backend.closed and watch[0].left)


async def test_a_body_that_is_there_at_once_is_not_watched() -> None:
    watch = Watch()
    async with Upstream() as backend, running(cluster(backend.url)) as made:
        await send(forward(made, streams=watch), "POST", body=b"hello")
        assert watch == []


@pytest.mark.parametrize("retries", [None, RetrySettings(budget=100)])
async def test_a_backend_that_is_not_there_leaves_no_ring_to_the_collector(retries: RetrySettings | None) -> None:
    nowhere = f"http://127.0.0.1:{free_port()}"
    async with running(cluster(nowhere, nowhere, retries=retries)) as made:
        stage = forward(made)
        assert await left_by_refusals(lambda: send(stage)) == (0, {Reason.UPSTREAM_CONNECT})
