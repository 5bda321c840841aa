"""A logout or an event ends the streams that are open, and those alone that it means."""

import time
from pathlib import Path

import pytest
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from gateway.testing.wait import until
from tests.control.receiving import CAEP, FORM, LOGGED_OUT, SET
from tests.flows.trust_scene import posted
from tests.streams_scene import ISSUER, Scene, scene, within

KEYS = ", backchannel_logout: {client_id: gateway}, shared_signals: {audience: signals}"


async def told(it: Scene, how: str) -> int:
    async with it.raw() as provider:
        if how == "logout":
            token = ISSUER.token("alice", headers={"typ": "logout+jwt"}, aud="gateway", sid="s1", events=LOGGED_OUT)
            body, kind, path = f"logout_token={token}", FORM, "logout"
        else:
            events = {f"{CAEP}session-revoked": {"subject": {"session": {"format": "opaque", "id": "s1"}}}}
            body = ISSUER.token(None, headers={"typ": "secevent+jwt"}, aud="signals", exp=None, events=events)
            kind, path = SET, "signals"
        return (await posted(provider, f"/.well-known/gateway/{path}/corp", body, kind)).status


async def closed(socket: ClientConnection) -> tuple[int | None, str | None]:
    with pytest.raises(ConnectionClosed):
        await within(5.0, socket.recv())
    return socket.close_code, socket.close_reason


@pytest.mark.parametrize(("how", "status"), [("logout", 200), ("signal", 202)])
async def test_M16_open_streams_end_with_the_session_that_they_belong_to(tmp_path: Path, how: str, status: int) -> None:
    async with (
        scene(tmp_path, keys=KEYS) as it,
        it.websocket(token=it.token(sid="s1")) as socket,
        it.websocket(token=it.token(sid="s2")) as stays,
    ):
        began = time.monotonic()
        assert await told(it, how) == status
        await until(lambda: it.backend.closed == [(4401, "token_revoked")], what="the end of the stream")
        waited = time.monotonic() - began
        assert waited < 1.0
        assert await closed(socket) == (4401, "token_revoked")
        print(f"\n{how} to the end of an open stream: {waited * 1000:.0f} ms")
        await stays.send("still here")
        assert await stays.recv() == "still here"
        await until(
            lambda: [each["cause"] for each in it.records() if each["reason"] == "authority_ended"] == ["token_revoked"]
        )
