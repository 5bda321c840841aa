"""The pool: what is used again, what is not, who waits, who is told no."""

import asyncio
import socket
from pathlib import Path

import pytest

from gateway.model.reason import Reason
from gateway.testing.upstream import Call, Script, Upstream, answer, head, silent
from gateway.testing.wait import until
from gateway.upstreams.identity import UpstreamTls
from gateway.upstreams.settings import ConnectionSettings, TimeoutSettings
from tests.backends import Counts, cluster, forward, pki, running, send
from tests.exchange import Recorder, refusal
from tests.exchange import head as request_head


def gated(gate: asyncio.Event) -> Script:
    """Answers once the gate is open."""

    async def script(call: Call) -> None:
        await gate.wait()
        await call.send(head(200, [(b"content-length", b"0")]))

    return script


async def test_a_warm_connection_is_used_again() -> None:
    async with Upstream() as backend, running(cluster(backend.url)) as made:
        for _ in range(3):
            await send(forward(made))
        quiet = {"healthy": True, "ejected": False, "active": 0, "idle": 1, "connecting": 0, "waiting": 0}
        assert backend.connections == 1
        assert made.status() == {"name": "inventory", "endpoints": [{"endpoint": backend.url, **quiet}]}


async def test_reuse_false_is_a_connection_a_request() -> None:
    settings = ConnectionSettings(reuse=False)
    async with Upstream() as backend, running(cluster(backend.url, connections=settings)) as made:
        for _ in range(3):
            await send(forward(made))
        assert backend.connections == 3
        assert made.connections("idle") == 0


async def test_the_connection_used_last_is_used_next() -> None:
    gate = asyncio.Event()
    async with Upstream(gated(gate)) as backend, running(cluster(backend.url)) as made:
        both = [asyncio.ensure_future(send(forward(made))) for _ in range(2)]
        await until(lambda: len(backend.calls) == 2)
        gate.set()
        await asyncio.gather(*both)
        last = list(made.endpoints[0]._idle)[-1]
        await send(forward(made))
        assert (last.served, backend.connections) == (2, 2)


async def test_never_more_than_max_and_who_waits_is_served_in_order() -> None:
    gate, ended = asyncio.Event(), list[int]()
    settings = ConnectionSettings(max=2)

    async def one(number: int) -> None:
        await send(forward(made))
        ended.append(number)

    async with Upstream(gated(gate)) as backend, running(cluster(backend.url, connections=settings)) as made:
        tasks = [asyncio.ensure_future(one(number)) for number in range(6)]
        await until(lambda: len(backend.calls) == 2)
        assert (made.connections("active"), made.connections("waiting")) == (2, 4)
        gate.set()
        await asyncio.gather(*tasks)
        assert sorted(ended[:2]) == [0, 1]
        assert backend.connections == 2


async def test_who_waits_too_long_or_finds_too_many_waiting_is_told_503() -> None:
    settings = ConnectionSettings(max=1, max_pending=1)
    timeouts = TimeoutSettings(connect=0.2, response=5.0, idle=5.0)
    counts = Counts()
    async with (
        Upstream(silent) as backend,
        running(cluster(backend.url, connections=settings, timeouts=timeouts, counts=counts)) as made,
    ):
        first = asyncio.ensure_future(send(forward(made)))
        await until(lambda: backend.calls)
        second = asyncio.ensure_future(refusal(send(forward(made))))
        await until(lambda: made.connections("waiting") == 1)
        third = await refusal(send(forward(made)))
        assert (third.reason, third.upstream, third.endpoint) == (
            Reason.UPSTREAM_UNAVAILABLE,
            "inventory",
            backend.url,
        )
        assert (await second).reason is Reason.UPSTREAM_UNAVAILABLE
        first.cancel()
        assert counts.seen == {"upstream_unavailable": 2}


async def test_a_connection_older_than_max_age_is_not_used_again() -> None:
    settings = ConnectionSettings(max_age=0.001)
    async with Upstream() as backend, running(cluster(backend.url, connections=settings)) as made:
        await send(forward(made))
        await until(lambda: made.connections("idle") == 0)
        await send(forward(made))
        assert backend.connections == 2


@pytest.mark.parametrize("settings", [ConnectionSettings(idle=0.02), ConnectionSettings(max_age=0.02)])
async def test_an_idle_connection_is_closed_in_time(settings: ConnectionSettings) -> None:
    async with Upstream() as backend, running(cluster(backend.url, connections=settings)) as made:
        await send(forward(made))
        await until(lambda: backend.closed == {0})
        assert made.connections("idle") == 0


async def test_a_connection_that_the_backend_closes_leaves_the_pool() -> None:
    async def script(call: Call) -> None:
        await answer(body=b"ok")(call)
        call.close()

    async with Upstream(script) as backend, running(cluster(backend.url)) as made:
        await send(forward(made))
        await until(lambda: made.connections("idle") == 0)
        outcome, _ = await send(forward(made), "POST")
        assert (outcome.status, backend.connections) == (200, 2)


async def test_H23_bytes_on_an_idle_connection_end_it() -> None:
    go = asyncio.Event()

    async def script(call: Call) -> None:
        await answer(body=b"ok")(call)
        await go.wait()
        await call.send(head(200, [(b"content-length", b"6")]) + b"poison")

    async with Upstream(script) as backend, running(cluster(backend.url)) as made:
        await send(forward(made))
        assert made.connections("idle") == 1
        go.set()
        await until(lambda: made.connections("idle") == 0)
        _, exchange = await send(forward(made))
        assert exchange.body == b"ok"


async def test_rotation_uses_the_new_certificates_and_drains_the_old(tmp_path: Path) -> None:
    made_pki, gate = pki(tmp_path), asyncio.Event()
    async with (
        made_pki.backend(gated(gate)) as backend,
        running(cluster(backend.url, tls=made_pki.material())) as made,
    ):
        held = asyncio.ensure_future(send(forward(made)))
        await until(lambda: backend.calls)
        renewed = UpstreamTls(made_pki.material(), ["127.0.0.1"])
        made.rotate(renewed)
        gate.set()
        outcome, _ = await held
        assert (outcome.status, outcome.reason) == (200, None)  # what was at work has finished
        await until(lambda: 0 in backend.closed)
        await send(forward(made))
        assert (backend.connections, made.connections("idle"), made.tls) == (2, 1, renewed)


async def test_what_was_retired_finishes_and_keeps_nothing() -> None:
    gate = asyncio.Event()
    async with Upstream(gated(gate)) as backend, running(cluster(backend.url)) as made:
        held = asyncio.ensure_future(send(forward(made)))
        await until(lambda: backend.calls)
        made.retire()
        gate.set()
        assert (await held)[0].status == 200
        assert (await send(forward(made)))[0].status == 200  # a request that still held its snapshot
        await until(lambda: len(backend.closed) == 2)
        assert made.connections("idle") == 0


async def test_refused_connection_is_502_for_each_who_waits() -> None:
    async with Upstream() as backend:
        url = backend.url
    counts = Counts()
    async with running(cluster(url, counts=counts)) as made:
        refused = await asyncio.gather(*[refusal(send(forward(made))) for _ in range(3)])
        assert {r.reason for r in refused} == {Reason.UPSTREAM_CONNECT}
        assert counts.seen == {"upstream_connect": 3}


async def test_a_client_that_leaves_while_waiting_leaves_no_trace() -> None:
    settings = ConnectionSettings(max=1)
    async with Upstream(silent) as backend, running(cluster(backend.url, connections=settings)) as made:
        first = asyncio.ensure_future(send(forward(made)))
        await until(lambda: backend.calls)
        exchange = Recorder(request_head())
        second = asyncio.ensure_future(send(forward(made), recorder=exchange))
        await until(lambda: made.connections("waiting") == 1)
        exchange.leave()
        outcome, _ = await second
        assert (outcome.reason, made.connections("waiting")) == (Reason.CLIENT_GONE, 0)
        first.cancel()


async def test_several_endpoints_take_turns() -> None:
    async with Upstream() as a, Upstream() as b, running(cluster(a.url, b.url)) as made:
        for _ in range(4):
            await send(forward(made))
        assert (len(a.calls), len(b.calls)) == (2, 2)


async def test_load_is_requests_at_work_and_waiting() -> None:
    settings = ConnectionSettings(max=1)
    async with Upstream(silent) as backend, running(cluster(backend.url, connections=settings)) as made:
        tasks = [asyncio.ensure_future(send(forward(made))) for _ in range(3)]
        await until(lambda: backend.calls)
        assert made.endpoints[0].load == 3
        for task in tasks:
            task.cancel()


async def test_connect_timeout_is_504(tmp_path: Path) -> None:
    timeouts = TimeoutSettings(connect=0.1)
    with socket.create_server(("127.0.0.1", 0)) as server:  # takes connections, and never shakes hands
        url = f"https://127.0.0.1:{server.getsockname()[1]}"
        async with running(cluster(url, tls=pki(tmp_path).material(), timeouts=timeouts)) as made:
            assert (await refusal(send(forward(made)))).reason is Reason.UPSTREAM_TIMEOUT


async def test_plain_text_where_tls_is_due_is_502(tmp_path: Path) -> None:
    def greet(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mail.example ESMTP ready\r\n")
        writer.close()

    async with await asyncio.start_server(greet, "127.0.0.1", 0) as server:
        url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with running(cluster(url, tls=pki(tmp_path).material())) as made:
            assert (await refusal(send(forward(made)))).reason is Reason.UPSTREAM_CONNECT
