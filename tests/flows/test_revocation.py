"""Tokens that end before their time: logouts and security events, over workers, replicas and restarts.

Figures that the closing notes quote are printed (`pytest -s`); the bounds that are asserted hold on a busy machine too.
"""

import asyncio
import contextlib
import time
from pathlib import Path
from typing import Any

import pytest

from gateway.testing.wait import BOUND
from tests.flows.trust_scene import Scene, asked, posted, scene
from tests.serving import Answer, Client

KEYS = ", backchannel_logout: {client_id: gateway}, shared_signals: {audience: signals}"
LOGOUT, SIGNALS = "/.well-known/gateway/logout/corp", "/.well-known/gateway/signals/corp"
EVENT: dict[str, dict[str, object]] = {"http://schemas.openid.net/event/backchannel-logout": {}}
CAEP = "https://schemas.openid.net/secevent/caep/event-type/"


def logout_token(held: Scene, **claims: Any) -> str:
    values = {"aud": "gateway", "sub": None, "events": EVENT, **claims}
    return held.provider.issuer.token(values.pop("sub"), headers={"typ": "logout+jwt"}, lifetime=120, **values)


def event_token(held: Scene, kind: str = "session-revoked", sub: str = "alice", **event: Any) -> str:
    subject = {"format": "iss_sub", "iss": held.provider.url, "sub": sub}
    events = {f"{CAEP}{kind}": {"event_timestamp": int(time.time()), **event}}
    return held.provider.issuer.token(
        None, headers={"typ": "secevent+jwt"}, aud="signals", exp=None, sub_id=subject, events=events
    )


async def log_out(client: Client, token: str) -> Answer:
    return await posted(client, LOGOUT, f"logout_token={token}", "application/x-www-form-urlencoded")


async def signal(client: Client, token: str) -> Answer:
    return await posted(client, SIGNALS, token, "application/secevent+jwt")


async def refused(client: Client, bearer: str, began: float) -> float:
    """Seconds from `began` until an open connection is answered 401 token_revoked."""
    while True:
        answer = await asked(client, "/api/x", bearer)
        waited = time.monotonic() - began
        if answer.status == 401:
            assert answer.reason == "token_revoked"
            return waited
        assert answer.status == 200
        assert waited < BOUND
        await asyncio.sleep(0.005)


@pytest.mark.parametrize("workers", ["1", "2"])
@pytest.mark.parametrize("how", ["logout", "signal"])
async def test_a_token_that_was_ended_is_refused_by_all_workers_within_a_second(
    tmp_path: Path, workers: str, how: str
) -> None:
    async with scene(tmp_path, "--workers", workers, keys=KEYS) as held, contextlib.AsyncExitStack() as stack:
        stolen, other = held.bearer(sub="alice", sid="s1"), held.bearer(sub="bob", sid="s2")
        connections = [await stack.enter_async_context(held.connection()) for _ in range(6)]  # over both workers
        for client in connections:
            assert (await asked(client, "/api/x", stolen)).status == 200
            assert (await asked(client, "/api/x", other)).status == 200
        began = time.monotonic()
        async with held.connection() as provider:
            if how == "logout":
                answer = await log_out(provider, logout_token(held, sid="s1"))
                assert (answer.status, answer.header(b"cache-control")) == (200, b"no-store")
            else:
                assert (await signal(provider, event_token(held))).status == 202
        waited = [await refused(client, stolen, began) for client in connections]
        assert max(waited) < 1.0, waited
        for client in connections:
            assert (await asked(client, "/api/x", other)).status == 200
        print(f"\n{how} to refusal, {workers} workers: {max(waited) * 1000:.0f} ms")
