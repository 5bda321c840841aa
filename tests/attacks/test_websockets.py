"""Hostile handshakes from both sides (security.md H27, H28), through a whole worker, each beside one that is taken."""

from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import InvalidStatus

from gateway.testing.upstream import Call, Upstream, head
from gateway.testing.wait import until
from tests.serving import get
from tests.stages.forward.test_tunnel import ACCEPT, HELLO, SWITCHED, handshake
from tests.streams_scene import WEB, Scene, backend_tls, root, scene

SMUGGLED = get("/open", host="localhost")


async def status(it: Scene, path: str = "/chat", **options: Any) -> int:
    """Of the answer to a handshake; 101 for one that is taken."""
    try:
        async with it.websocket(path, **options):
            return 101
    except InvalidStatus as refused:
        return refused.response.status_code


@pytest.mark.usefixtures("driver")
async def test_H27_bytes_behind_a_refused_handshake_are_never_read_as_a_request(tmp_path: Path) -> None:
    async with scene(tmp_path) as it:
        for path, reason in (("/plain", "upgrade_refused"), ("/chat", "credentials_missing"), ("/x", "no_route")):
            async with it.raw() as client:
                await client.send(handshake(path) + SMUGGLED)
                answer = await client.answer()
                assert answer.reason == reason
                assert answer.header(b"connection") == b"close"
                assert await client.closed()
        assert not it.backend.opened
        assert len(it.records("decision")) == 3


@pytest.mark.usefixtures("driver")
async def test_H27_bytes_behind_a_backends_refusal_are_never_read_as_a_request(tmp_path: Path) -> None:
    async def refuse(call: Call) -> None:
        await call.send(head(403, [(b"Content-Length", b"2")]) + b"no")

    async with Upstream(refuse, tls=backend_tls()) as upstream, scene(tmp_path, url=upstream.url) as it:
        async with it.raw() as client:
            await client.send(handshake() + SMUGGLED)
            answer = await client.answer()
            assert (answer.status, answer.body, answer.header(b"connection")) == (403, b"no", b"close")
            assert await client.closed()
        assert [bytes(each) for each in upstream.bytes_in] == [upstream.calls[0].head]


BAD_101 = [
    pytest.param(SWITCHED[:2], id="H27-no-accept"),
    pytest.param([*SWITCHED[:2], (b"Sec-WebSocket-Accept", b"AAAAAAAAAAAAAAAAAAAAAAAAAAA=")], id="H27-another-accept"),
    pytest.param([*SWITCHED[:2], (ACCEPT[0], ACCEPT[1].lower())], id="H27-accept-in-other-case"),
    pytest.param([*SWITCHED, ACCEPT], id="H27-accept-twice"),
    pytest.param([(b"Upgrade", b"h2c"), *SWITCHED[1:]], id="H27-another-protocol"),
    pytest.param([(b"Upgrade", b"websocket, h2c"), *SWITCHED[1:]], id="H27-two-protocols"),
    pytest.param([SWITCHED[0], ACCEPT], id="H27-no-connection"),
    pytest.param(SWITCHED[1:], id="H27-no-upgrade"),
    pytest.param([*SWITCHED, (b"Sec-WebSocket-Protocol", b"chat.v9")], id="H27-subprotocol-not-offered"),
    pytest.param([*SWITCHED, *[(b"Sec-WebSocket-Protocol", b"chat.v1")] * 2], id="H27-two-subprotocols"),
    pytest.param([*SWITCHED, (b"Sec-WebSocket-Extensions", b"x-mux")], id="H27-extension-not-offered"),
    pytest.param([*SWITCHED, *[(b"X-A", b"a")] * 250], id="H27-too-many-fields"),
]


@pytest.mark.parametrize("fields", BAD_101)
async def test_a_101_that_is_none_is_a_502_and_opens_nothing(tmp_path: Path, fields: Any) -> None:
    async def script(call: Call) -> None:
        await call.send(head(101, fields) + HELLO)
        await call.gone()

    async with Upstream(script, tls=backend_tls()) as upstream, scene(tmp_path, url=upstream.url) as it:
        async with it.raw() as client:
            await client.send(handshake("/open", "Sec-WebSocket-Protocol: chat.v1") + b"\x81\x85\x00\x00\x00\x00early")
            answer = await client.answer()
            assert (answer.status, answer.reason) == (502, "upstream_protocol")
            assert await client.closed()
        await until(lambda: upstream.closed)
        assert b"early" not in bytes(upstream.bytes_in[0])
        assert (await it.outcome())["reason"] == "upstream_protocol"
        assert len(it.worker.runtime.streams) == 0


async def test_H27_a_101_after_other_informational_answers_is_taken_and_its_fields_are_cleaned(tmp_path: Path) -> None:
    async def script(call: Call) -> None:
        more = [(b"Content-Length", b"5"), (b"X-Request-Id", b"mine"), (b"Keep-Alive", b"x"), (b"X-A", b"a")]
        await call.send(head(103) + head(101, [*SWITCHED, *more]) + HELLO)
        await call.gone()

    async with Upstream(script, tls=backend_tls()) as upstream, scene(tmp_path, url=upstream.url) as it:
        async with it.raw() as client:
            await client.send(handshake())
            answer = await client.answer(bodyless=True)
            assert await client.reader.readexactly(7) == HELLO
        names = [name for name, _ in answer.headers]
        assert sorted(names) == [
            b"connection", b"date", b"sec-websocket-accept", b"upgrade", b"x-a", b"x-request-id"
        ]  # fmt: skip
        assert answer.header(b"x-request-id") != b"mine"


async def test_H26_a_connection_that_refused_an_upgrade_cannot_switch_the_next_request(tmp_path: Path) -> None:
    async def script(call: Call) -> None:
        if call.value("upgrade"):
            await call.send(head(400, [(b"Content-Length", b"0")]))
        else:
            await call.send(head(101, SWITCHED) + HELLO)

    async with Upstream(script, tls=backend_tls()) as upstream, scene(tmp_path, url=upstream.url) as it:
        async with it.raw() as client:
            await client.send(handshake())
            assert (await client.answer()).status == 400
        async with it.raw() as client:
            await client.send(get("/open", host="localhost"))
            assert (await client.answer()).status == 502


@pytest.mark.usefixtures("driver")
async def test_H28_a_handshake_passes_the_stages_of_a_request(tmp_path: Path) -> None:
    client = root().issue(uri=WEB)
    async with scene(tmp_path) as it:
        assert await status(it, token=None) == 401
        assert await status(it, token="x.y.z") == 401
        assert await status(it, token=it.token(aud="another")) == 401
        assert await status(it, token=None, issued=client) == 101
        assert await status(it, origin="https://evil.example") == 403
        assert await status(it, origin="https://app.example.com") == 101
        assert await status(it, "/plain") == 400
        reasons = [record["reason"] for record in it.records("decision")]
        assert reasons == [
            "credentials_missing", "token_malformed", "token_audience", None, "cors_refused", None, "upgrade_refused"
        ]  # fmt: skip


async def test_H28_a_token_among_the_subprotocols_is_judged_and_reaches_neither_backend_nor_log(tmp_path: Path) -> None:
    async with scene(tmp_path) as it:
        token = it.token()
        async with it.websocket(token=None, subprotocols=["chat.v1", "bearer", token]) as socket:
            assert socket.subprotocol == "chat.v1"
            assert it.backend.headers["sec-websocket-protocol"] == "chat.v1"
        async with it.websocket(token=None, subprotocols=["bearer", token]) as socket:
            assert socket.subprotocol == "bearer"  # browsers take no answer for a refusal
            assert "sec-websocket-protocol" not in it.backend.headers
        for fields in (it.backend.headers,):
            assert token not in str(fields)
            assert "authorization" not in fields
        assert await status(it, token=None, subprotocols=["bearer", f"{token[:-3]}AAA"]) == 401
        assert await status(it, token=None, subprotocols=["chat.v1", "bearer"]) == 401
        assert await status(it, subprotocols=["bearer", token]) == 400  # and one in Authorization
        assert await status(it, "/open", token=None, subprotocols=["bearer", token]) == 101  # not configured there
        await it.outcome(2)
        assert token not in it.log
        assert token.rpartition(".")[2] not in it.log
        users = [record["user"] for record in it.records("decision") if record["effect"] == "allow"]
        assert [user and user["subject"] for user in users] == ["alice", "alice", None]
