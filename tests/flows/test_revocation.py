"""Tokens that end before their time: logouts and security events, over workers, replicas and restarts.

Figures that the closing notes quote are printed (`pytest -s`); the bounds that are asserted hold on a busy machine too.
"""

import asyncio
import contextlib
import signal as signals
import time
from pathlib import Path
from typing import Any

import pytest

from gateway.testing.ca import Authority
from gateway.testing.wait import BOUND, until
from tests.control.feeds.provider import provider
from tests.flows.gateway_process import serving
from tests.flows.trust_scene import ROUTES, Scene, asked, posted, scene
from tests.redis_server import redis_server
from tests.serving import Answer, Client

KEYS = ", backchannel_logout: {client_id: gateway}, shared_signals: {audience: signals}"
LOGOUT, SIGNALS = "/.well-known/gateway/logout/corp", "/.well-known/gateway/signals/corp"
EVENT: dict[str, dict[str, str]] = {"http://schemas.openid.net/event/backchannel-logout": {}}
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


async def refused(
    client: Client, bearer: str, began: float, path: str = "/api/x", reason: str = "token_revoked"
) -> float:
    """Seconds from `began` until an open connection is answered 401 for that reason."""
    while True:
        answer = await asked(client, path, *filter(None, [bearer]))
        waited = time.monotonic() - began
        if answer.status == 401:
            assert answer.reason == reason
            return waited
        assert answer.status == 200
        assert waited < BOUND
        await asyncio.sleep(0.005)


async def told(held: Scene, line: str) -> None:
    """Wait until /readyz?verbose says so."""
    end = time.monotonic() + BOUND
    while line not in (text := await held.admin("/readyz?verbose")):
        assert time.monotonic() < end, text
        await asyncio.sleep(0.02)


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


async def test_replicas_share_what_was_ended_and_a_restart_forgets_nothing(tmp_path: Path) -> None:
    with redis_server(tmp_path / "redis") as store:
        more = f'store: "{store.unix_url}"\n'
        async with scene(tmp_path, keys=KEYS, more=more) as held, contextlib.AsyncExitStack() as stack:
            text = ROUTES.format(issuer=held.provider.url, stock=held.backend.url, keys=KEYS, more=more)
            (tmp_path / "second").mkdir()
            (tmp_path / "second" / "certs").symlink_to(tmp_path / "certs")
            replica = contextlib.ExitStack()
            other = await asyncio.to_thread(replica.enter_context, serving(tmp_path / "second", text, issuer="corp"))
            second = Scene(other, held.certs, held.root, held.provider, held.backend)
            stolen = held.bearer()
            connections = [await stack.enter_async_context(each.connection()) for each in (held, second)]
            for client in connections:
                assert (await asked(client, "/api/x", stolen)).status == 200
            began = time.monotonic()
            async with held.connection() as provider:
                token = logout_token(held, sub="alice")
                assert (await log_out(provider, token)).status == 200
            waited = [await refused(client, stolen, began) for client in connections]
            assert max(waited) < 1.0, waited
            async with second.connection() as provider:
                assert (await log_out(provider, token)).status == 400  # once over all replicas
            await asyncio.to_thread(replica.close)
            with contextlib.ExitStack() as again:
                restarted = await asyncio.to_thread(
                    again.enter_context, serving(tmp_path / "second", text, issuer="corp")
                )
                third = Scene(restarted, held.certs, held.root, held.provider, held.backend)
                while (answer := await third.ask("/api/x", stolen)).status == 503:  # until it has read the list
                    assert answer.reason == "store_unavailable"
                    await asyncio.sleep(0.02)
                assert (answer.status, answer.reason) == (401, "token_revoked")
                await asyncio.to_thread(again.close)
            print(f"\nlogout to refusal, 2 replicas over Redis: {max(waited) * 1000:.0f} ms")


async def test_an_outage_of_the_store_forgets_nothing_and_acknowledges_nothing(tmp_path: Path) -> None:
    with contextlib.ExitStack() as stack:
        store = stack.enter_context(redis_server(tmp_path / "redis"))
        async with scene(tmp_path, keys=KEYS, more=f'store: "{store.unix_url}"\n') as held:
            alice, bob, carol = (held.bearer(sub=name) for name in ("alice", "bob", "carol"))
            async with held.connection() as client:
                assert (await log_out(client, logout_token(held, sub="alice"))).status == 200
                assert (await asked(client, "/api/x", alice)).reason == "token_revoked"
                await asyncio.to_thread(stack.close)
                await told(held, "[!] revoked tokens")
                assert (await asked(client, "/api/x", alice)).reason == "token_revoked"
                token = logout_token(held, sub="bob")
                answer = await log_out(client, token)
                assert (answer.status, answer.reason) == (503, "store_unavailable")
            async with held.connection() as client:
                assert (await asked(client, "/api/x", bob)).reason == "token_revoked"  # here it holds
                assert (await asked(client, "/api/x", carol)).status == 200
                stack.enter_context(redis_server(tmp_path / "redis"))
                await told(held, "[+] revoked tokens")
                assert (await log_out(client, token)).status == 200  # what was not acknowledged can be sent again


async def test_a_start_without_the_store_answers_503_until_the_list_is_read(tmp_path: Path) -> None:
    socket = tmp_path / "redis" / "redis.sock"
    async with scene(tmp_path, keys=KEYS, more=f'store: "redis+unix://{socket}"\n') as held:
        good = held.bearer()
        answer = await held.ask("/api/x", good)
        assert (answer.status, answer.reason) == (503, "store_unavailable")
        assert (await held.ask("/health")).status == 200
        with contextlib.ExitStack() as stack:
            await asyncio.to_thread(stack.enter_context, redis_server(tmp_path / "redis"))
            began = time.monotonic()
            while (await held.ask("/api/x", good)).status != 200:
                assert time.monotonic() - began < BOUND
                await asyncio.sleep(0.02)
            await asyncio.to_thread(stack.close)


async def test_a_reload_and_a_restart_remember_what_was_ended_without_a_store(tmp_path: Path) -> None:
    async with scene(tmp_path, keys=KEYS) as held:
        stolen = held.bearer()
        async with held.connection() as client:
            assert (await signal(client, event_token(held))).status == 202
        config = tmp_path / "routes.yaml"
        config.write_text(config.read_text() + "rate_limits: {a: {rate: 1/second}}\n")
        held.gateway.process.signal(signals.SIGHUP)
        await held.comes(1, "config_reloads_total", result="success")
        assert (await held.ask("/api/x", stolen)).reason == "token_revoked"
        held.gateway.process.stop()
        text = ROUTES.format(issuer=held.provider.url, stock=held.backend.url, keys=KEYS, more="")
        with contextlib.ExitStack() as stack:
            gateway = await asyncio.to_thread(stack.enter_context, serving(tmp_path, text, issuer="corp"))
            restarted = Scene(gateway, held.certs, held.root, held.provider, held.backend)
            assert (await restarted.ask("/api/x", stolen)).reason == "token_revoked"
            assert (await restarted.ask("/api/x", restarted.bearer(sub="bob"))).status == 200
            await asyncio.to_thread(stack.close)


@pytest.mark.parametrize("workers", ["1", "2"])
async def test_M17_a_list_that_is_fetched_revokes_on_all_workers_and_outlives_its_server(
    tmp_path: Path, workers: str
) -> None:
    partners = Authority("partners")
    stolen, other = partners.issue(dns=["a.partner.example"]), partners.issue(dns=["b.partner.example"])
    async with provider() as lists:
        lists.page("/list", partners.crl())
        (tmp_path / "partners.pem").write_bytes(partners.pem())
        held_by = (
            f'{{bundle: partners.pem, names: ["*.partner.example"], crl: {{url: "{lists.url}/list", refresh: 1s}}}}'
        )
        more = f"client_authorities: {{partners: {held_by}}}\n"
        async with scene(tmp_path, "--workers", workers, more=more) as held, contextlib.AsyncExitStack() as stack:
            connections = [await stack.enter_async_context(held.connection(stolen)) for _ in range(6)]
            for client in connections:
                assert (await asked(client, "/health")).status == 200
            asked_before = lists.asked["/list"]
            lists.page("/list", partners.crl([stolen], number=2))
            kept = next((tmp_path / "state" / "lists").glob("*.pem"))
            published = kept.read_bytes()
            await until(lambda: kept.read_bytes() != published, what="the new list")
            began = time.monotonic()
            waited = [await refused(client, "", began, "/health", "certificate_untrusted") for client in connections]
            assert max(waited) < 1.0, waited
            assert (await held.ask("/health", issued=other)).status == 200
            assert lists.asked["/list"] - asked_before <= 2, "one worker asks for all"
            lists.page("/list", b"", 503)
            await told(held, "crl partners: ")
            assert (await held.ask("/health", issued=stolen)).status == 401
            assert (await held.ask("/health", issued=other)).status == 200
            print(f"\nfetched list to refusal, {workers} workers: {max(waited) * 1000:.0f} ms")
