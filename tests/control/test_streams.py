"""Streams end when a new request with the same head would be refused, and for no other reason."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field, replace

import pytest

from gateway.control.streams import LOOK, OpenStreams, Stream
from gateway.kernel.patterns.paths import compile_normaliser
from gateway.model.permit import Permit
from gateway.model.principal import Principal, User, Workload
from gateway.model.reason import Reason
from gateway.model.refused import Refused
from gateway.model.request import RequestContext
from gateway.model.route import Route
from gateway.snapshot import Snapshot
from gateway.stages.accept import ListenerSettings
from gateway.testing.clock import Clock
from gateway.testing.wait import until
from tests import serving
from tests.exchange import permit as permitted
from tests.exchange import user
from tests.facts import NOW, context, workload

PROMPT = 1.5  # seconds in which an end is noticed


@dataclass
class Scene:
    """A registry over a snapshot that refuses what it is told to."""

    clock: Clock = field(default_factory=lambda: Clock(NOW))
    refuses: dict[str, Callable[[], Exception]] = field(default_factory=dict)  # by path
    judged: list[str] = field(default_factory=list)
    proved: list[float] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    facts: list[object] = field(default_factory=list)
    held: "asyncio.Event | None" = None
    ended: dict[str, Reason] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.gateway = serving.Gateway()
        self.gateway.accept_listeners = {"edge": ListenerSettings(compile_normaliser(), None, None, 9)}
        self.streams = OpenStreams(self._again, lambda: list(self.facts), clock=self.clock)

    def _again(self, proved: float) -> Snapshot:
        self.proved.append(proved)
        return replace(self.gateway.current(), authenticate=self._authenticate)

    async def _authenticate(self, ctx: RequestContext, route: Route) -> Principal:
        self.judged.append(ctx.path)
        self.times.append(ctx.time)
        if self.held is not None and ctx.path == "/slow":
            await self.held.wait()
        if ctx.path in self.refuses:
            raise self.refuses[ctx.path]()
        return Principal(None, None, ctx.client_ip)

    def open(self, path: str = "/a", *, a_user: User | None = None, a_workload: Workload | None = None) -> Stream:
        def end(cause: Refused) -> None:
            assert path not in self.ended, "ended twice"
            self.ended[path] = cause.reason

        return self.streams.enter(allowed(path, a_user, a_workload), end)


def allowed(path: str = "/a", a_user: User | None = None, a_workload: Workload | None = None) -> Permit:
    return permitted(context(path), user=a_user, workload=a_workload)


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    made = Scene()
    yield made
    made.streams.close()


async def test_a_stream_ends_within_a_second_of_its_tokens_exp_whatever_the_skew(scene: Scene) -> None:
    scene.open(a_user=replace(user(exp=NOW + 10), expires=NOW + 70))
    scene.clock.advance(9.9)
    await until(lambda: scene.judged)
    assert not scene.ended
    scene.clock.advance(0.1)
    await until(lambda: scene.ended == {"/a": Reason.TOKEN_EXPIRED}, seconds=PROMPT)
    assert len(scene.streams) == 0


async def test_a_token_that_came_in_by_the_skew_keeps_its_stream_as_long_as_requests(scene: Scene) -> None:
    scene.open(a_user=replace(user(exp=NOW - 10), expires=NOW + 50))
    await until(lambda: scene.judged)
    assert not scene.ended
    scene.clock.advance(50)
    await until(lambda: scene.ended == {"/a": Reason.TOKEN_EXPIRED}, seconds=PROMPT)


async def test_M16_a_stream_ends_with_the_certificate_of_its_connection(scene: Scene) -> None:
    scene.open(a_user=user(), a_workload=workload(not_after=NOW + 3))
    scene.clock.advance(3)
    await until(lambda: scene.ended == {"/a": Reason.CERTIFICATE_EXPIRED}, seconds=PROMPT)


@pytest.mark.parametrize(
    "reason",
    [
        Reason.TOKEN_REVOKED,
        Reason.CERTIFICATE_REVOKED,
        Reason.DENIED_BY_RULE,
        Reason.POSTURE_FAILED,
        Reason.NO_ROUTE,
        Reason.UPGRADE_REFUSED,
    ],
)
async def test_what_a_new_request_would_be_refused_for_ends_the_stream(scene: Scene, reason: Reason) -> None:
    scene.open("/a")
    scene.open("/b")
    scene.refuses["/a"] = lambda: Refused(reason)
    scene.streams.rejudge("a test")
    await until(lambda: scene.ended, seconds=PROMPT)
    await until(lambda: "/b" in scene.judged)
    assert scene.ended == {"/a": reason}
    assert len(scene.streams) == 1


@pytest.mark.parametrize("reason", [Reason.KEYS_UNAVAILABLE, Reason.INTROSPECTION_UNAVAILABLE, Reason.BODY_TOO_LARGE])
async def test_what_says_nothing_of_the_caller_ends_no_stream(scene: Scene, reason: Reason) -> None:
    scene.open()
    scene.refuses["/a"] = lambda: Refused(reason)
    scene.streams.rejudge("a test")
    await until(lambda: len(scene.judged) > 1)
    assert not scene.ended
    scene.refuses["/a"] = lambda: RuntimeError("a fault of ours")
    await until(lambda: len(scene.judged) > 3)
    assert not scene.ended


async def test_nothing_has_to_ask_for_it(scene: Scene) -> None:
    scene.open()
    await until(lambda: scene.judged)
    scene.refuses["/a"] = lambda: Refused(Reason.POSTURE_STALE)
    await until(lambda: scene.ended == {"/a": Reason.POSTURE_STALE}, seconds=PROMPT)
    assert len(scene.judged) < 4  # once a second at most


async def test_a_stream_is_judged_by_now_and_its_proofs_as_of_then(scene: Scene) -> None:
    scene.open()
    scene.clock.advance(100)
    scene.streams.rejudge("a test")
    await until(lambda: scene.judged)
    assert (scene.proved, scene.times) == ([NOW], [NOW + 100])


async def test_one_that_waits_for_its_issuer_holds_up_no_other(scene: Scene) -> None:
    scene.held = asyncio.Event()
    scene.open("/slow")
    scene.open("/a")
    scene.refuses["/a"] = scene.refuses["/slow"] = lambda: Refused(Reason.TOKEN_REVOKED)
    scene.streams.rejudge("a test")
    await until(lambda: "/a" in scene.ended, seconds=PROMPT)
    scene.held.set()
    await until(lambda: "/slow" in scene.ended)


async def test_what_changes_while_a_stream_is_judged_is_judged_too(scene: Scene) -> None:
    scene.held = asyncio.Event()
    scene.open("/slow")
    scene.streams.rejudge("the first")
    await until(lambda: scene.judged)
    scene.streams.rejudge("the second")
    scene.held.set()
    await until(lambda: len(scene.judged) > 1, seconds=PROMPT)


async def test_of_very_many_all_are_judged_when_a_fact_changes(scene: Scene) -> None:
    for number in range(500):
        scene.open(f"/{number}")
    scene.facts = [object()]
    await until(lambda: len(set(scene.judged)) == 500, seconds=5)
    before = len(scene.judged)
    await asyncio.sleep(2.5 * LOOK)
    assert len(scene.judged) - before <= 150  # a part of them a look, where nothing changed


async def test_a_stream_that_is_over_is_neither_judged_nor_ended(scene: Scene) -> None:
    stream = scene.open(a_user=user(exp=NOW + 1))
    stream.leave()
    stream.leave()
    scene.clock.advance(10)
    scene.streams.rejudge("a test")
    scene.open("/b")
    await until(lambda: scene.judged)
    assert (scene.judged, scene.ended) == (["/b"], {})


async def test_only_upgraded_connections_are_told_that_the_process_ends(scene: Scene) -> None:
    told: list[str] = []
    scene.streams.enter(allowed(), lambda _: None, lambda: told.append("bye"))
    scene.open()
    assert (len(scene.streams), scene.streams.websockets) == (2, 1)
    scene.streams.drain()
    assert told == ["bye"]
