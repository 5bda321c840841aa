"""The pool under any order of events: no connection carries two requests, none is leaked, and its state can be read."""

import asyncio
import contextlib
import re
from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.model.exchange import ClientGone
from gateway.model.outcome import Outcome
from gateway.model.refused import Refused
from gateway.testing.upstream import Call, Upstream
from gateway.testing.wait import until
from gateway.upstreams.cluster import Cluster
from gateway.upstreams.settings import ConnectionSettings, RetrySettings
from tests.backends import cluster, forward, send
from tests.exchange import Recorder, head

STATE = re.compile(r"Endpoint\(.*, active: (\d+), idle: (\d+), connecting: (\d+), waiting: (\d+)\)")
MAX = 3
STEPS = ("ok", "ok", "large", "wait", "close", "abort", "half", "early", "go", "leave", "cancel", "rotate", "settle")
ENDLESS = b"x" * 100_000


@dataclass
class Pool:
    """A cluster with one endpoint, and what was asked of it."""

    made: Cluster
    backend: Upstream
    go: asyncio.Event = field(default_factory=asyncio.Event)
    asked: "list[tuple[str, Recorder, asyncio.Task[tuple[Outcome, Recorder]]]]" = field(default_factory=list)
    busy: dict[int, int] = field(default_factory=dict)  # requests at work, by connection of the backend
    most: int = 0  # that one of them carried at once

    async def script(self, call: Call) -> None:
        self.busy[call.connection] = self.busy.get(call.connection, 0) + 1
        self.most = max(self.most, self.busy[call.connection])
        try:
            await self.answer(call, call.target.split(b"/")[1].decode())
        finally:
            self.busy[call.connection] -= 1

    async def answer(self, call: Call, kind: str) -> None:
        body = call.target
        whole = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)
        if kind != "early":
            await call.body()
        if kind == "wait":
            await self.go.wait()
        if kind == "large":
            whole = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(ENDLESS), ENDLESS)
        if kind == "half":
            await call.send(whole[:-2])
            call.abort()
        elif kind == "abort":
            call.abort()
        else:
            await call.send(whole)
            if kind == "close":
                call.close()

    def ask(self, kind: str) -> None:
        method = "POST" if kind == "early" else "GET"
        recorder = Recorder(head(method))
        target = f"/{kind}/{len(self.asked)}"
        body = {"body": b"upload"} if kind == "early" else {}
        task = asyncio.ensure_future(send(forward(self.made), method, target, recorder=recorder, **body))  # type: ignore[arg-type]
        self.asked.append((target, recorder, task))

    def running(self) -> "list[tuple[str, Recorder, asyncio.Task[tuple[Outcome, Recorder]]]]":
        return [each for each in self.asked if not each[2].done()]

    def check(self) -> None:
        """What holds between any two steps."""
        endpoint = self.made.endpoints[0]
        assert endpoint.open <= MAX
        assert endpoint._idle.keys() <= endpoint._connections
        assert all(not connection.closed and not connection.busy for connection in endpoint._idle)
        found = STATE.fullmatch(repr(endpoint))
        assert found is not None
        told = tuple(map(int, found.groups()))
        assert told == (endpoint.active, endpoint.idle, endpoint.connecting, endpoint.waiting)

    async def act(self, step: str, at: int) -> None:
        running = self.running()
        if step == "go":
            self.go.set()
        elif step == "rotate":
            self.made.endpoints[0].rotate(None)
        elif step == "settle":
            await asyncio.sleep(0.002)
        elif step in ("leave", "cancel"):
            if running:
                _, recorder, task = running[at % len(running)]
                recorder.leave() if step == "leave" else task.cancel()
        else:
            self.ask(step)
        for _ in range(at % 4):
            await asyncio.sleep(0)
        self.check()

    async def end(self) -> None:
        """Everything ends, and nothing stays at work."""
        self.go.set()
        for target, recorder, task in self.asked:
            with contextlib.suppress(Refused, ClientGone, asyncio.CancelledError):
                await task
            if recorder.ended and recorder.status == 200:
                assert recorder.body == (ENDLESS if target.startswith("/large") else target.encode())
        assert self.most <= 1
        endpoint = self.made.endpoints[0]
        await until(lambda: endpoint.active == endpoint.connecting == endpoint.waiting == 0, what=f"{endpoint} to rest")
        self.check()
        await until(lambda: self.backend.connections - len(self.backend.closed) == endpoint.idle)
        assert self.made.load.requests == self.made.load.retries == 0
        self.made.retire()
        await until(lambda: len(self.backend.closed) == self.backend.connections and endpoint.open == 0)


async def play(steps: list[tuple[str, int]], retries: RetrySettings | None) -> None:
    async with Upstream() as backend:
        made = cluster(backend.url, connections=ConnectionSettings(max=MAX), retries=retries)
        pool = Pool(made, backend)
        backend.script = pool.script
        try:
            for step, at in steps:
                await pool.act(step, at)
            await pool.end()
        finally:
            made.abort()


STEP_LISTS = st.lists(st.tuples(st.sampled_from(STEPS), st.integers(0, 7)), min_size=3, max_size=25)
HEDGED = RetrySettings(reset=True, hedge_after=0.003, budget=100)


@settings(max_examples=20, deadline=None)
@given(STEP_LISTS)
def test_any_order_of_events_leaves_the_pool_whole(steps: list[tuple[str, int]]) -> None:
    asyncio.run(play(steps, None))


@settings(max_examples=20, deadline=None)
@given(STEP_LISTS)
def test_any_order_of_events_leaves_the_pool_whole_when_requests_are_tried_again(steps: list[tuple[str, int]]) -> None:
    asyncio.run(play(steps, HEDGED))
