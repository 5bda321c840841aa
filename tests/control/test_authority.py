"""Streams end within a second of what authorised them: WebSockets by a Close with a code, answers by being cut."""

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from gateway.model.reason import Reason
from gateway.model.refused import Refused
from gateway.testing.upstream import Call, Upstream, head
from gateway.testing.wait import until
from tests.serving import Client, get
from tests.stages.forward.test_tunnel import SWITCHED, handshake
from tests.streams_scene import ROUTES, WEB, Scene, backend_tls, root, scene, within

PROMPT = 1.3  # seconds, of which a busy machine takes its part
SOON = 0.8  # seconds until a token ends
POSTURE = """
posture:
  laptop: {source: {file: devices.yaml}, device: claims.sub, require: [device.encrypted], max_age: 1h}
"""
WITH_POSTURE = ROUTES.replace("    timeout: 300ms\n", "    requires: {posture: laptop}\n")
over_both = pytest.mark.usefixtures("driver")


async def closed(socket: ClientConnection, seconds: float = PROMPT) -> tuple[int | None, str | None]:
    """How it was closed, which has to be soon."""
    with pytest.raises(ConnectionClosed):
        await within(seconds, socket.recv())
    return socket.close_code, socket.close_reason


async def why(it: Scene) -> tuple[str, str | None]:
    outcome = await it.outcome()
    assert it.metric("streams_terminated_total")[("authority_ended",)] == 1
    return outcome["reason"], outcome.get("cause")


@over_both
async def test_H28_a_websocket_ends_with_its_token(tmp_path: Path) -> None:
    async with scene(tmp_path) as it:
        async with it.websocket(token=it.token(exp=time.time() + SOON)) as socket:
            await socket.send("x")
            await socket.recv()
            assert await closed(socket, SOON + PROMPT) == (4401, "token_expired")
        assert await why(it) == ("authority_ended", "token_expired")
        await until(lambda: it.backend.closed == [(4401, "token_expired")])


async def test_M16_a_websocket_ends_when_its_certificate_is_revoked(tmp_path: Path) -> None:
    issued, other = root().issue(uri=WEB), root().issue(uri=WEB)
    async with scene(tmp_path) as it:
        async with it.websocket(token=None, issued=other) as stays, it.websocket(token=None, issued=issued) as socket:
            (tmp_path / "ca.crl").write_bytes(root().crl([issued.serial]))
            assert await closed(socket, 1 + PROMPT) == (4401, "certificate_untrusted")
            await stays.send("still here")
            assert await stays.recv() == "still here"
        assert await why(it) == ("authority_ended", "certificate_revoked")


async def test_M16_a_websocket_ends_with_its_certificate(tmp_path: Path) -> None:
    issued = root().issue(uri=WEB, not_after=datetime.now(UTC) + timedelta(seconds=3))
    async with scene(tmp_path) as it:
        async with it.websocket(token=None, issued=issued) as socket:
            assert await closed(socket, 3 + PROMPT) == (4401, "certificate_untrusted")
        assert await why(it) == ("authority_ended", "certificate_expired")


@pytest.mark.parametrize(
    ("routes", "code", "reason"),
    [
        (ROUTES.replace('{from: {request_principals: ["*"]}}, ', ""), 4403, "no_rule_allows"),
        (ROUTES.replace("/chat", "/talk"), 1011, "no_route"),
        (ROUTES.replace("    websocket: {origins", "    #websocket: {origins"), 1011, "upgrade_refused"),
        (ROUTES.replace("token_subprotocol: bearer}", "}\n    requires: {audiences: [b]}"), 4401, "token_audience"),
    ],
)
async def test_a_websocket_ends_when_a_reload_would_refuse_it(
    tmp_path: Path, routes: str, code: int, reason: str
) -> None:
    async with scene(tmp_path) as it:
        async with it.websocket() as socket:
            await it.reload(routes)
            assert await closed(socket) == (code, reason)
        assert await why(it) == ("authority_ended", reason)


async def test_a_websocket_ends_when_its_devices_posture_fails(tmp_path: Path) -> None:
    devices = tmp_path / "devices.yaml"
    devices.write_text("alice: {encrypted: true}\n")
    async with scene(tmp_path, routes=WITH_POSTURE, more=POSTURE) as it:
        async with it.websocket() as socket:
            devices.write_text("alice: {encrypted: false}\n")
            assert await closed(socket, 1 + PROMPT) == (4403, "posture_failed")
        assert await why(it) == ("authority_ended", "posture_failed")


async def test_nothing_passes_once_authority_has_ended(tmp_path: Path) -> None:
    async with scene(tmp_path) as it:
        async with it.websocket(compression=None) as socket:
            before = it.backend.opened[0]
            await it.reload(ROUTES.replace('{from: {request_principals: ["*"]}}, ', ""))
            await until(lambda: len(it.worker.runtime.streams) == 0)
            with contextlib.suppress(ConnectionClosed):
                await socket.send("too late")
            await until(lambda: it.backend.closed)
            with pytest.raises(ConnectionClosed):
                await before.recv()
        assert (await it.outcome())["bytes_in"] == 0


@contextlib.asynccontextmanager
async def answering(
    tmp_path: Path, script: Callable[[Call], Awaitable[None]], **token: Any
) -> AsyncGenerator[tuple[Scene, Client]]:
    """An answer that stays open, its head read."""
    async with (
        Upstream(script, tls=backend_tls()) as upstream,
        scene(tmp_path, url=upstream.url) as it,
        it.raw() as client,
    ):
        await client.send(get("/plain", f"Authorization: Bearer {it.token(**token)}", host="localhost"))
        assert (await client.reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200")
        yield it, client


async def events(call: Call) -> None:
    await call.send(head(200, [(b"Content-Type", b"text/event-stream"), (b"Transfer-Encoding", b"chunked")]))
    with contextlib.suppress(OSError):
        while True:
            await call.send(b"9\r\ndata: 1\n\n\r\n")
            await asyncio.sleep(0.05)


async def silence(call: Call) -> None:
    await call.send(head(200, [(b"Content-Length", b"100")]) + b"half")
    await call.gone()


async def flood(call: Call) -> None:
    await call.send(head(200, [(b"Transfer-Encoding", b"chunked")]))
    with contextlib.suppress(OSError):
        while True:
            await call.send(b"10000\r\n" + bytes(65536) + b"\r\n")


async def until_broken(client: Client) -> bytes:
    """What still comes; fails where the end is a clean one."""
    got = bytearray()
    with contextlib.suppress(ConnectionError):
        while data := await client.reader.read(1 << 20):
            got += data
    assert not got.endswith(b"0\r\n\r\n")
    return bytes(got[-100:])


@over_both
@pytest.mark.parametrize("script", [events, silence])
async def test_an_answer_ends_with_its_token_and_never_cleanly(tmp_path: Path, script: Any) -> None:
    async with answering(tmp_path, script, exp=time.time() + SOON) as (it, client):
        await within(SOON + PROMPT, until_broken(client))
        assert await why(it) == ("authority_ended", "token_expired")
        assert (await it.outcome())["status"] == 200


async def test_an_answer_that_a_slow_client_holds_up_ends_too(tmp_path: Path) -> None:
    async with answering(tmp_path, flood, exp=time.time() + SOON) as (it, client):
        await within(SOON + PROMPT, it.outcome())
        await within(PROMPT, until_broken(client))
        assert await why(it) == ("authority_ended", "token_expired")


async def test_an_answer_ends_when_a_reload_would_refuse_it(tmp_path: Path) -> None:
    async with answering(tmp_path, events) as (it, client):
        await it.reload(ROUTES.replace("/plain", "/other"))
        await within(PROMPT, until_broken(client))
        assert await why(it) == ("authority_ended", "no_route")


async def test_an_upload_that_outlives_its_token_is_refused_in_its_middle(tmp_path: Path) -> None:
    async def swallow(call: Call) -> None:
        await call.gone()

    async with Upstream(swallow, tls=backend_tls()) as upstream, scene(tmp_path, url=upstream.url) as it:
        async with it.raw() as client:
            fields = [f"Authorization: Bearer {it.token(exp=time.time() + SOON)}", "Transfer-Encoding: chunked"]
            await client.send(get("/plain", *fields, host="localhost").replace(b"GET", b"POST") + b"2\r\nab\r\n")
            answer = await client.answer(seconds=SOON + PROMPT)
            assert (answer.status, answer.reason, answer.header(b"connection")) == (401, "token_expired", b"close")
        outcome = await it.outcome()
        assert (outcome["status"], outcome["reason"], outcome["upstream"]) == (401, "token_expired", "stock")


async def test_a_short_answer_is_never_watched(tmp_path: Path) -> None:
    async def short(call: Call) -> None:
        await call.send(head(200, [(b"Content-Length", b"2")]) + b"ok")

    async with answering(tmp_path, short) as (it, _):
        await it.outcome()
        assert it.worker.runtime.streams._timer is None


async def test_a_frame_on_its_way_is_finished_before_the_close(tmp_path: Path) -> None:
    finish = asyncio.Event()

    async def half_a_frame(call: Call) -> None:
        await call.send(head(101, SWITCHED) + b"\x81\x0ahalf ")
        await finish.wait()
        await call.send(b"whole\x81\x01x")
        await call.gone()

    async with Upstream(half_a_frame, tls=backend_tls()) as upstream, scene(tmp_path, url=upstream.url) as it:
        async with it.raw() as client:
            await client.send(handshake("/chat", f"Authorization: Bearer {it.token()}"))
            await client.reader.readuntil(b"half ")
            registry = it.worker.runtime.streams
            (stream,) = registry._streams
            registry._end(stream, Refused(Reason.TOKEN_REVOKED))
            finish.set()
            rest = await client.all()
            assert rest == b"whole\x81\x01x\x88\x0f\x11\x31token_revoked"
        assert await why(it) == ("authority_ended", "token_revoked")


async def test_a_frame_that_does_not_end_is_cut(tmp_path: Path) -> None:
    async def half_a_frame(call: Call) -> None:
        await call.send(head(101, SWITCHED) + b"\x81\x0ahalf ")
        await call.gone()

    async with Upstream(half_a_frame, tls=backend_tls()) as upstream, scene(tmp_path, url=upstream.url) as it:
        async with it.raw() as client:
            await client.send(handshake("/chat", f"Authorization: Bearer {it.token(exp=time.time() + SOON)}"))
            await client.reader.readuntil(b"half ")
            assert await asyncio.wait_for(until_broken(client), SOON + PROMPT) == b""
        assert await why(it) == ("authority_ended", "token_expired")
