import logging
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from gateway.kernel.store import Call, RedisAddress, RedisStore, Script, StoreUnavailable
from gateway.testing.ca import Authority
from gateway.testing.process import free_port
from gateway.testing.wait import until
from tests.absent import absent
from tests.kernel.store.conftest import scripted
from tests.redis_server import RedisServer, redis_server, with_tls

WRITE = Call(Script("return redis.call('INCR', KEYS[1])"), prefix=b"t:", keys=1, length=2, arguments=[])


@asynccontextmanager
async def started(
    url: str, *, timeout: float = 5.0, on_state: Callable[[bool], None] = lambda _: None
) -> AsyncGenerator[RedisStore]:
    store = RedisStore(RedisAddress.parse(url), timeout=timeout, on_state=on_state)
    await store.start()
    try:
        yield store
    finally:
        await store.close()


async def test_calls_run_over_tcp_and_a_unix_socket_in_the_database_that_is_named(server: RedisServer) -> None:
    async with started(f"{server.unix_url}?db=3") as unix, started(server.url.replace("/0", "/3")) as tcp:
        assert await unix.run(WRITE, (b"aa",)) == 1
        assert await tcp.run(WRITE, (b"aa",)) == 2
    with server.client() as client:
        assert client.exists("t:{aa}") == 0


@pytest.mark.parametrize(("url", "up"), [("redis://:secret@", True), ("redis://:wrong@", False), ("redis://", False)])
async def test_R12_a_server_with_a_password_answers_only_who_knows_it(
    tmp_path: Path, url: str, up: bool, caplog: pytest.LogCaptureFixture
) -> None:
    with redis_server(tmp_path, password="secret") as server, caplog.at_level(logging.INFO):
        async with started(f"{url}127.0.0.1:{server.port}") as store:
            assert store.up is up
    assert "wrong" not in caplog.text
    assert "secret" not in caplog.text


async def test_R12_a_user_limited_to_our_prefix_and_a_few_commands_is_enough(tmp_path: Path) -> None:
    rights = ["on", ">pw", "resetkeys", "~gateway:*", "-@all", "+eval", "+evalsha", "+time"]
    rights += ["+get", "+set", "+zadd", "+zrem", "+zremrangebyscore", "+zcard", "+expire"]
    with redis_server(tmp_path) as server, server.client() as client:
        client.execute_command("ACL", "SETUSER", "gw", *rights)
        async with started(f"redis://gw:pw@127.0.0.1:{server.port}") as store:
            assert store.up
            with pytest.raises(StoreUnavailable, match=r"NOPERM|ERR"):
                await store.run(WRITE, (b"aa",))  # a key of somebody else's


async def test_R12_the_servers_certificate_is_verified_and_ours_is_shown(tmp_path: Path) -> None:
    binary = with_tls()
    if binary is None:
        absent("REDIS_TLS", "no redis-server with TLS on this machine")
    ca, port = Authority("redis"), free_port()
    ours = ca.issue(common_name="gateway").write(tmp_path, "gateway")
    theirs = ca.issue(ips=["127.0.0.1"]).write(tmp_path, "server")
    root = ca.write(tmp_path, "ca")
    other = Authority("other").write(tmp_path, "other")
    options = ["--tls-port", str(port), "--port", "0", "--tls-ca-cert-file", str(root)]
    options += ["--tls-cert-file", str(theirs.certificate), "--tls-key-file", str(theirs.key)]
    shown = f"certificate={ours.certificate}&key={ours.key}"
    with redis_server(tmp_path / "r", *options, binary=binary, port=port):
        async with started(f"rediss://127.0.0.1:{port}?ca={root}&{shown}") as store:
            assert store.up
            assert await store.run(WRITE, (b"aa",)) == 1
        async with started(f"rediss://127.0.0.1:{port}?ca={other}&{shown}") as store:
            assert not store.up
            assert "certificate verify failed" in store.trouble.lower()
        async with started(f"rediss://localhost:{port}?ca={root}&{shown}") as store:
            assert not store.up  # the certificate is for 127.0.0.1
        async with started(f"rediss://127.0.0.1:{port}?ca={root}") as store:
            assert not store.up


async def test_R8_a_store_that_is_not_there_fails_at_once_and_is_found_when_it_comes(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    port, states = free_port(), list[bool]()
    with caplog.at_level(logging.INFO):
        async with started(f"redis://127.0.0.1:{port}", on_state=states.append) as store:
            began = time.monotonic()
            for _ in range(100):
                with pytest.raises(StoreUnavailable):
                    await store.run(WRITE, (b"aa",))
            assert time.monotonic() - began < 0.5
            for round_ in range(2):  # it comes, goes and comes again
                with redis_server(tmp_path / str(round_), port=port):
                    await until(lambda: store.up, what="the store to be found")
                    assert await store.run(WRITE, (b"aa",)) == 1
                await until(lambda: not store.up, what="the store to be missed")
    assert states == [False, True, False, True, False]
    warnings = [r.message for r in caplog.records if r.levelno == logging.WARNING and r.name.startswith("gateway")]
    assert 2 <= len(warnings) <= 5  # one a change, none a probe
    assert all(f"redis://127.0.0.1:{port}/0 is down" in warning for warning in warnings)


async def test_R8_a_store_that_hangs_is_asked_by_one_probe_at_a_time(tmp_path: Path) -> None:
    asked: list[bytes] = []
    hung = True

    def answer(command: list[bytes]) -> bytes | None:
        asked.append(command[0])
        return None if hung else b":1\r\n"

    async with scripted(tmp_path / "s", answer) as url, started(url, timeout=0.02) as store:
        assert not store.up
        for _ in range(50):
            with pytest.raises(StoreUnavailable):
                store.run(WRITE, (b"aa",))
        assert len(asked) <= 3  # probes, not one of the calls
        hung = False
        await until(lambda: store.up, what="the store that answers again")


@pytest.mark.parametrize("code", ["LOADING", "READONLY", "OOM", "MISCONF"])
async def test_R8_a_server_that_cannot_write_is_down_until_it_can(tmp_path: Path, code: str) -> None:
    sick = True

    def answer(_: list[bytes]) -> bytes:
        return b"-%b nothing now\r\n" % code.encode() if sick else b":1\r\n"

    async with scripted(tmp_path / "s", answer) as url, started(url) as store:
        assert not store.up
        assert store.trouble == f"Redis answers {code}"
        sick = False
        await until(lambda: store.up, what="the store that can write again")
        sick = True
        with pytest.raises(StoreUnavailable, match=code):
            await store.run(WRITE, (b"aa",))
        assert not store.up


async def test_R8_one_bad_key_does_not_take_the_store_down(server: RedisServer) -> None:
    with server.client() as client:
        client.lpush("t:{wt}", "x")
    async with started(server.unix_url) as store:
        with pytest.raises(StoreUnavailable, match="WRONGTYPE"):
            await store.run(WRITE, (b"wt",))
        assert store.up
        assert await store.run(WRITE, (b"ok",)) == 1


async def test_what_is_shown_of_a_store_names_its_state_and_no_secret(server: RedisServer) -> None:
    store = RedisStore(RedisAddress.parse("redis://:s3cr3t@127.0.0.1:1"))
    assert repr(store) == "RedisStore(redis://127.0.0.1:1/0, down: not connected yet)"
    async with started(server.unix_url) as up:
        assert repr(up).endswith(", up)")
