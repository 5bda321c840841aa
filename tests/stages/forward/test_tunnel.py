"""WebSockets through a whole worker, between the `websockets` library on both sides, over both drivers."""

import asyncio
import os
from pathlib import Path

import pytest
from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.http11 import Request, Response

from gateway.testing.upstream import Call, Upstream, head
from gateway.testing.wait import until
from tests.serving import get
from tests.streams_scene import ROUTES, Scene, backend_tls, scene, within

pytestmark = pytest.mark.usefixtures("driver")
KEY = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="  # RFC 6455 section 1.3, with the answer to it
ACCEPT = (b"Sec-WebSocket-Accept", b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")
SWITCHED = [(b"Upgrade", b"websocket"), (b"Connection", b"Upgrade"), ACCEPT]
HELLO, WORLD = b"\x81\x05hello", b"\x81\x05world"


def handshake(path: str = "/open", *fields: str) -> bytes:
    asks = ["Upgrade: websocket", "Connection: keep-alive, Upgrade", "Sec-WebSocket-Version: 13", KEY, *fields]
    return get(path, *asks, host="localhost")


async def test_messages_go_both_ways_untouched(tmp_path: Path) -> None:
    async with scene(tmp_path) as it, it.websocket() as socket:
        large = os.urandom(900_000)
        for message in ("hello", "", "snow ☃", b"\x00\xff", large):
            await socket.send(message)
            assert await socket.recv() == message
        await socket.send(["in ", "three ", "pieces"])
        assert await socket.recv() == "in three pieces"
        await (await socket.ping(b"are you there"))
        assert it.metric("requests_in_flight")[()] == 1
        assert it.metric("streams_open") == {("websocket",): 1, ("http",): 0}
    await it.outcome()
    assert it.metric("requests_in_flight")[()] == 0


async def test_what_was_said_and_how_it_ended_is_recorded(tmp_path: Path) -> None:
    async with scene(tmp_path) as it:
        async with it.websocket(compression=None) as socket:
            await socket.send("x" * 100)
            await socket.recv()
        outcome = await it.outcome()
        (decision,) = it.records("decision")
    assert (decision["effect"], decision["route"], decision["user"]["subject"]) == ("allow", "chat", "alice")
    assert outcome["request_id"] == decision["request_id"]
    assert (outcome["status"], outcome["reason"], outcome["upstream"]) == (101, None, "stock")
    assert (outcome["bytes_in"], outcome["bytes_out"]) == (100 + 6 + 2 + 6, 100 + 2 + 4)
    assert "cause" not in outcome
    assert it.metric("requests_total")[("chat", "GET", "101")] == 1
    assert it.metric("streams_terminated_total") == {}


@pytest.mark.parametrize("by", ["client", "backend"])
async def test_a_close_passes_with_its_code_and_reason(tmp_path: Path, by: str) -> None:
    async def leave(connection: ServerConnection) -> None:
        await connection.close(3001, "enough")

    async with scene(tmp_path, handler=leave if by == "backend" else None) as it:
        async with it.websocket() as socket:
            if by == "client":
                await socket.close(3001, "enough")
                await until(lambda: it.backend.closed)
                assert it.backend.closed == [(3001, "enough")]
            else:
                with pytest.raises(ConnectionClosed):
                    await socket.recv()
                assert (socket.close_code, socket.close_reason) == (3001, "enough")
        assert (await it.outcome())["reason"] is None


async def test_who_vanishes_is_named(tmp_path: Path) -> None:
    async with scene(tmp_path) as it:
        async with it.websocket() as socket:
            socket.transport.abort()
        assert (await it.outcome())["reason"] == "client_gone"
        await until(lambda: it.backend.closed == [(1006, "")])
        async with it.websocket() as socket:
            await until(lambda: len(it.backend.opened) == 2)
            it.backend.opened[1].transport.abort()
            with pytest.raises(ConnectionClosed):
                await socket.recv()
            assert socket.close_code == 1006
        assert (await it.outcome(1))["reason"] == "upstream_reset"


async def test_a_routes_timeout_is_none_of_a_tunnel_and_idleness_is(tmp_path: Path) -> None:
    async with scene(tmp_path, idle="1s") as it, it.websocket(ping_interval=None) as socket:
        for _ in range(3):
            await asyncio.sleep(0.5)  # the route's timeout is 300 ms
            await socket.send("x")
            await socket.recv()
        with pytest.raises(ConnectionClosed):
            await within(5, socket.recv(), at_least=0.8)
        assert (socket.close_code, socket.close_reason) == (1011, "idle")
        assert (await it.outcome())["reason"] == "upstream_timeout"


async def test_who_does_not_read_holds_up_who_writes(tmp_path: Path) -> None:
    reading = asyncio.Event()
    arrived = 0

    async def slow(connection: ServerConnection) -> None:
        nonlocal arrived
        await reading.wait()
        async for message in connection:
            arrived += len(message)

    async with scene(tmp_path, handler=slow, max_queue=1) as it, it.websocket(compression=None) as socket:
        sent = 0

        async def write() -> None:
            nonlocal sent
            for _ in range(60):
                await socket.send(b"x" * 1_000_000)
                sent += 1_000_000

        writing = asyncio.create_task(write())
        before = -1
        while sent > before:  # until nothing moves
            before = sent
            await asyncio.sleep(0.3)
        assert sent < 30_000_000  # sockets and buffers; nothing grows with what is sent
        reading.set()
        await writing
        await until(lambda: arrived == 60_000_000)


async def test_a_backends_refusal_reaches_the_client(tmp_path: Path) -> None:
    def refuse(connection: ServerConnection, _: Request) -> Response:
        return connection.respond(418, "no tea\n")

    async with scene(tmp_path, process_request=refuse) as it:
        with pytest.raises(InvalidStatus) as refused:
            async with it.websocket():
                pass
        assert refused.value.response.status_code == 418
        assert refused.value.response.body == b"no tea\n"
        outcome = await it.outcome()
        assert (outcome["status"], outcome["bytes_out"]) == (418, 7)
        assert len(it.worker.runtime.streams) == 0


async def test_other_requests_of_the_route_are_requests(tmp_path: Path) -> None:
    async with scene(tmp_path) as it, it.raw() as client:
        await client.send(get("/open", host="localhost"))
        assert (await client.answer()).status == 426  # as the backend answers what is no handshake


async def test_what_comes_right_behind_a_handshake_waits_for_its_answer(tmp_path: Path) -> None:
    may_answer = asyncio.Event()
    got = bytearray()

    async def script(call: Call) -> None:
        await may_answer.wait()
        assert bytes(upstream.bytes_in[call.connection]) == call.head
        await call.send(head(101, SWITCHED) + HELLO)  # and so may a backend's first frame come
        got.extend(await call.read(11))
        await call.send(WORLD)
        await call.gone()

    async with (
        Upstream(script, tls=backend_tls()) as upstream,
        scene(tmp_path, url=upstream.url) as it,
        it.raw() as client,
    ):
        await client.send(handshake() + b"\x81\x85\x00\x00\x00\x00early")
        await until(lambda: upstream.calls)
        may_answer.set()
        assert (await client.answer(bodyless=True)).status == 101
        assert await client.reader.readexactly(14) == HELLO + WORLD
        assert got == b"\x81\x85\x00\x00\x00\x00early"


async def test_a_reload_that_does_not_concern_it_leaves_it_open(tmp_path: Path) -> None:
    async with scene(tmp_path) as it, it.websocket() as socket:
        await it.reload(ROUTES.replace("timeout: 300ms", "timeout: 400ms"))
        await _judged_twice(it)
        await socket.send("still here")
        assert await socket.recv() == "still here"
        assert len(it.worker.runtime.streams) == 1


async def test_sigterm_leaves_it_open_to_near_the_end_and_then_says_goodbye(tmp_path: Path) -> None:
    async with scene(tmp_path) as it, it.websocket() as socket:
        it.worker._server._drain_seconds = 2.0
        it.worker.drain()
        await socket.send("still here")
        assert await socket.recv() == "still here"
        with pytest.raises(ConnectionClosed):
            await within(5, socket.recv(), at_least=0.5)
        assert (socket.close_code, socket.close_reason) == (1013, "draining")
        await until(lambda: it.backend.closed == [(1013, "draining")])
        assert await it.done == 0
        assert (await it.outcome())["reason"] == "draining"


async def test_it_counts_as_a_request_at_work_and_its_connection_never_comes_back(tmp_path: Path) -> None:
    async with scene(tmp_path) as it:
        cluster = it.worker.runtime.parts.upstreams.clusters["stock"]
        async with it.websocket():
            assert (cluster.load.requests, cluster.connections("active")) == (1, 1)
        await until(lambda: (cluster.load.requests, cluster.connections("active")) == (0, 0))
        assert cluster.connections("idle") == 0


async def _judged_twice(it: Scene) -> None:
    """Every open stream was judged since."""
    streams = it.worker.runtime.streams
    for _ in range(2):
        before = list(streams._streams)
        streams.rejudge("a test")
        await until(lambda before=before: all(each.judged == streams._generation for each in before))  # type: ignore[misc]
