"""Copies to a shadow upstream: the client never notices."""

import asyncio

from gateway.model.outcome import Outcome
from gateway.stages.forward.fields import AnswerFields, RequestFields
from gateway.stages.forward.head import RequestHead
from gateway.stages.forward.mirror import Mirror
from gateway.stages.forward.proxy import Proxy
from gateway.stages.forward.stage import Forward
from gateway.testing.process import free_port
from gateway.testing.upstream import Call, Upstream, answer, head, silent
from gateway.testing.wait import until
from gateway.upstreams.cluster import Cluster
from tests.backends import Counts, Watch, cluster, running, send


def proxy(to: Cluster) -> Proxy:
    writer = RequestHead(RequestFields(()), via="gateway", own_id=None)
    return Proxy(to, writer, AnswerFields(), timeout=1.0, max_body={"edge": 1 << 20}, streams=Watch())


def mirrored(to: Cluster, shadow: Cluster, percent: int = 100) -> Forward:
    return Forward([Mirror(proxy(to), proxy(shadow), percent)])


async def test_a_copy_arrives_and_its_answer_is_dropped() -> None:
    async with (
        Upstream(answer(body=b"real")) as backend,
        Upstream(answer(500, b"shadow")) as other,
        running(cluster(backend.url)) as made,
        running(cluster(other.url, name="next")) as shadow,
    ):
        outcome, got = await send(mirrored(made, shadow), target="/a?b=c")
        assert (outcome.upstream, got.status, got.body) == ("inventory", 200, b"real")
        await until(lambda: other.calls)
        assert other.calls[0].head == backend.calls[0].head
        await until(lambda: shadow.connections("idle") == 1)


async def test_a_small_body_is_copied_whole() -> None:
    async with (
        Upstream() as backend,
        Upstream() as other,
        running(cluster(backend.url)) as made,
        running(cluster(other.url)) as shadow,
    ):
        await send(mirrored(made, shadow), "POST", body=b"hello")
        await until(lambda: shadow.connections("idle") == 1)
        assert [await backend.calls[0].body(), await other.calls[0].body()] == [b"hello", b"hello"]


async def test_large_and_chunked_bodies_are_not_copied() -> None:
    async with (
        Upstream() as backend,
        Upstream() as other,
        running(cluster(backend.url)) as made,
        running(cluster(other.url)) as shadow,
    ):
        await send(mirrored(made, shadow), "POST", body=b"x" * 70_000)
        await send(mirrored(made, shadow), "POST", pieces=[b"a"])
        await send(mirrored(made, shadow), "GET", "/last")
        await until(lambda: other.calls)
        assert [call.target for call in other.calls] == [b"/last"]


async def test_a_shadow_that_fails_or_hangs_harms_nobody() -> None:
    counts = Counts()
    nowhere = f"http://127.0.0.1:{free_port()}"
    async with (
        Upstream(answer(body=b"real")) as backend,
        Upstream(silent) as stuck,
        running(cluster(backend.url)) as made,
        running(cluster(stuck.url, counts=counts)) as shadow,
    ):
        gone = cluster(nowhere)
        stage = mirrored(made, shadow)
        outcomes = [(await send(stage))[0] for _ in range(5)]
        outcomes.append((await send(mirrored(made, gone)))[0])
        assert outcomes == [Outcome(200, "inventory", backend.url, 0, 4)] * 6
        await until(lambda: counts.seen == {"upstream_timeout": 5})


async def test_copies_at_work_are_bounded() -> None:
    async with (
        Upstream() as backend,
        Upstream(silent) as stuck,
        running(cluster(backend.url)) as made,
        running(cluster(stuck.url)) as shadow,
    ):
        stage = mirrored(made, shadow)
        for _ in range(80):
            await send(stage)
        await until(lambda: len(stuck.calls) == 64)
        assert shadow.connections("active") + shadow.connections("waiting") == 64


async def test_an_endless_answer_of_the_shadow_is_broken_off() -> None:
    async def endless(call: Call) -> None:
        await call.send(head(200, [(b"content-length", b"%d" % (64 << 20))]))
        while True:
            await call.send(b"x" * 65536)

    async with (
        Upstream() as backend,
        Upstream(endless) as other,
        running(cluster(backend.url)) as made,
        running(cluster(other.url)) as shadow,
    ):
        await send(mirrored(made, shadow))
        await until(lambda: other.closed)


async def test_percent_of_the_requests() -> None:
    async with (
        Upstream() as backend,
        Upstream() as other,
        running(cluster(backend.url)) as made,
        running(cluster(other.url)) as shadow,
    ):
        stage = mirrored(made, shadow, percent=50)
        for _ in range(100):
            await send(stage)
            await asyncio.sleep(0)
        await until(lambda: shadow.connections("active") + shadow.connections("waiting") == 0)
        assert 25 < len(other.calls) < 75
        none = mirrored(made, shadow, percent=0)
        seen = len(other.calls)
        for _ in range(20):
            await send(none)
        assert len(other.calls) == seen
