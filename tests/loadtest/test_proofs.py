"""The steady client and what is said of its samples: a proof is worth as much as they are."""

import asyncio
from collections import Counter
from pathlib import Path

from gateway.testing.ca import Authority
from gateway.testing.process import free_port
from gateway.testing.tls import server_context
from gateway.testing.upstream import Call, Upstream, answer
from gateway.testing.wait import until
from loadtest.proofs.figure import at_most, calm_enough, none_failed, table
from loadtest.proofs.load import Stretch, load, stretch
from tests.serving import get

GOOD, OTHER = get("/good").decode(), get("/other").decode()


async def test_requests_go_out_at_their_rate_whatever_the_answers_do(tmp_path: Path) -> None:
    ca = Authority("proofs.local")
    ca.write(tmp_path, "ca")
    free = asyncio.Event()

    async def script(call: Call) -> None:
        if len(upstream.calls) > 20:
            await free.wait()
        await answer(503 if call.target == b"/other" else 200, body=b"ok")(call)

    async with (
        Upstream(script, tls=server_context(ca.issue(dns=["localhost"]))) as upstream,
        load([upstream.port], [GOOD], 100, ca=tmp_path / "ca.pem", connections=4, fresh=5) as at_work,
    ):
        await until(lambda: len(upstream.calls) > 23, what="the connections to be held")
        await stretch(0.5)  # what was due meanwhile waits for a connection, and counts from when it was due
        free.set()
        await at_work.ask([OTHER])
        await until(lambda: upstream.calls[-1].target == b"/other", what="the other requests")
    found = at_work.all()
    assert len(found.waits) == len(upstream.calls)
    assert found.failed.keys() == {"503"}
    assert sum(wait > 0.2 for wait in found.waits) > 20  # a stall shows in all that were due in it
    assert upstream.connections > 4
    assert not at_work.between(0.0, 1.0).waits


async def test_what_is_broken_off_or_refused_is_told_and_another_port_is_tried() -> None:
    async def script(call: Call) -> None:
        if len(upstream.calls) > 20:
            call.abort()
        else:
            await answer(200, body=b"ok")(call)

    nobody = free_port()
    async with Upstream(script) as upstream, load([nobody, upstream.port], [GOOD], 200, connections=2) as at_work:
        await until(lambda: len(upstream.calls) > 25, what="requests that are broken off")
        await upstream.stop()
        await stretch(0.2)
    assert at_work.all().failed.keys() == {"broken off", "refused"}
    assert len(at_work.all().waits) - at_work.all().lost == 20


def test_a_figure_knows_whether_it_met_its_bound() -> None:
    calm = Stretch([0.001 * n for n in range(1, 101)], Counter())
    worse, lost = Stretch([0.3] * 100, Counter()), Stretch([0.01], Counter({"502": 1}))
    assert calm.share(0.99) == 100
    figures = [calm_enough("p", "good", calm, calm), calm_enough("p", "bad", calm, worse), at_most("p", "all", 2, 2)]
    figures += [at_most("p", "more", 3, 2), none_failed("p", "none", calm), none_failed("p", "one", lost)]
    figures += [none_failed("p", "nobody asked", Stretch([], Counter()))]
    assert [one.met for one in figures] == [True, False, True, False, True, False, False]
    assert [line.split(" | ")[4] for line in table(figures).splitlines()[2:4]] == ["yes", "**NO**"]
    assert "502: 1" in figures[5].note
