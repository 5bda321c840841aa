"""The order of the stages, and what becomes of each way to end.

The stages here only write down that they were asked.
"""

import ast
import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.model.exchange import ClientGone, Exchange
from gateway.model.limit import LimitStatus
from gateway.model.outcome import Outcome
from gateway.model.permit import Permit
from gateway.model.posture import Posture
from gateway.model.principal import Principal
from gateway.model.reason import Reason
from gateway.model.refused import Refused
from gateway.model.request import Preflight, RawHeaders, RequestContext
from gateway.model.route import Route
from gateway.model.trace import Trace
from gateway.pipeline import handle
from gateway.snapshot import Snapshot
from tests.exchange import Recorder, context, head, limit_status
from tests.rings import left_behind

GATEWAY = Path(__file__).resolve().parent.parent / "gateway"
ROUTE = Route("r", 0, False, None, "")


class Stages:
    """Every stage at once: each notes its name, then fails if it was told to."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.fails: dict[str, Callable[[], Exception]] = {}
        self.route = ROUTE
        self.preflight_request: Preflight | None = None
        self.refused: Refused | None = None
        self.outcomes: list[Outcome] = []
        self.headers_seen: RawHeaders = []

    def snapshot(self) -> Snapshot:
        return Snapshot(
            digest="0" * 64,
            accept=_Accept(self),
            route=self._route,
            ratelimit=_RateLimit(self),
            authenticate=self._authenticate,
            posture=self._posture,
            authorize=_Authorize(self),
            record=_Record(self),
            answer=_Answer(self),
            forward=self._forward,
        )

    def note(self, name: str) -> None:
        self.asked.append(name)
        if name in self.fails:
            raise self.fails[name]()

    def _route(self, ctx: RequestContext) -> Route:
        self.note("route")
        return self.route

    async def _authenticate(self, ctx: RequestContext, route: Route) -> Principal:
        self.note("authenticate")
        return Principal(None, None, ctx.client_ip)

    async def _posture(self, ctx: RequestContext, route: Route, principal: Principal) -> Posture | None:
        self.note("posture")
        return None

    async def _forward(self, permit: Permit, exchange: Exchange, answer_headers: RawHeaders) -> Outcome:
        self.note("forward")
        self.headers_seen = answer_headers
        return Outcome(200, "u", "e", 0, 2)


class _Accept:
    def __init__(self, stages: Stages) -> None:
        self.stages = stages

    def __call__(self, trace: Trace) -> RequestContext:
        self.stages.note("accept")
        return context(trace.head, preflight=self.stages.preflight_request)

    def body(self, ctx: RequestContext, route: Route) -> None:
        self.stages.note("accept.body")


class _RateLimit:
    def __init__(self, stages: Stages) -> None:
        self.stages = stages

    async def by_address(self, ctx: RequestContext, route: Route, trace: Trace) -> list[LimitStatus]:
        self.stages.note("ratelimit.by_address")
        return [limit_status("address", 1, 1, 1, 1)]

    async def failed_credential(self, ctx: RequestContext, route: Route, trace: Trace) -> None:
        self.stages.note("ratelimit.failed_credential")

    async def by_caller(
        self, ctx: RequestContext, route: Route, principal: Principal, trace: Trace
    ) -> list[LimitStatus]:
        self.stages.note("ratelimit.by_caller")
        return [limit_status("caller", 1, 1, 1, 1)]


class _Authorize:
    def __init__(self, stages: Stages) -> None:
        self.stages = stages

    def __call__(self, ctx: RequestContext, route: Route, principal: Principal, posture: Posture | None) -> Permit:
        self.stages.note("authorize")
        return Permit(ctx, route, principal, None, None, (), (), None)

    def preflight(self, ctx: RequestContext, route: Route) -> Permit:
        self.stages.note("authorize.preflight")
        return Permit(ctx, route, Principal(None, None, ctx.client_ip), None, None, (), (), None)

    def own(self, ctx: RequestContext, route: Route) -> Permit:
        self.stages.note("authorize.own")
        return Permit(ctx, route, Principal(None, None, ctx.client_ip), None, None, (), (), None)


class _Record:
    def __init__(self, stages: Stages) -> None:
        self.stages = stages

    def begin(self, exchange: Exchange) -> Trace:
        return Trace(exchange.connection, exchange.head, request_id="ours", time=1.0, began=1.0)

    async def decision(self, trace: Trace) -> None:
        self.stages.note("record.decision")

    def refusal(self, trace: Trace, refused: Refused) -> None:
        assert trace.refused is refused
        self.stages.note("record.refusal")

    def outcome(self, trace: Trace, outcome: Outcome) -> None:
        self.stages.asked.append("record.outcome")
        self.stages.outcomes.append(outcome)


class _Answer:
    def __init__(self, stages: Stages) -> None:
        self.stages = stages

    def headers(self, trace: Trace) -> RawHeaders:
        return [(b"x-limits", ",".join(policy.name for policy, _, _ in trace.limits).encode())]

    async def refuse(self, exchange: Exchange, trace: Trace, refused: Refused) -> Outcome:
        self.stages.note("answer.refuse")
        self.stages.refused = refused
        return Outcome(refused.reason.status, None, None, 0, 0, refused.reason)


async def served(stages: Stages, exchange: Recorder | None = None) -> list[str]:
    await handle(exchange or Recorder(head()), stages.snapshot())
    return stages.asked


WHOLE = [
    "accept",
    "route",
    "ratelimit.by_address",
    "accept.body",
    "authenticate",
    "posture",
    "ratelimit.by_caller",
    "authorize",
    "record.decision",
    "forward",
    "record.outcome",
]


async def test_an_allowed_request_meets_every_stage_in_the_order_of_the_contract() -> None:
    stages = Stages()
    assert await served(stages) == WHOLE
    assert stages.headers_seen == [(b"x-limits", b"address,caller")]
    assert stages.outcomes == [Outcome(200, "u", "e", 0, 2)]


@pytest.mark.parametrize("at", [name for name in WHOLE if name not in ("record.decision", "forward", "record.outcome")])
async def test_a_refusal_ends_it_there_recorded_answered_and_nothing_forwarded(at: str) -> None:
    stages = Stages()
    stages.fails[at] = lambda: Refused(Reason.DENIED_BY_RULE)
    asked = await served(stages)
    reached = WHOLE[: WHOLE.index(at) + 1]
    assert asked == [*reached, "record.refusal", "answer.refuse", "record.outcome"]


@pytest.mark.parametrize("at", ["accept", "authenticate", "authorize", "record.decision", "forward"])
async def test_a_refusal_leaves_no_ring_to_the_collector(at: str) -> None:
    async def turn() -> None:
        stages = Stages()
        stages.fails[at] = lambda: Refused(Reason.DENIED_BY_RULE)
        snapshot = stages.snapshot()
        await handle(Recorder(head()), snapshot)
        stages.__dict__.clear()  # a snapshot of its own methods is a ring of the test's

    assert await left_behind(turn) == 0


async def test_a_miss_is_refused_only_after_its_address_was_limited() -> None:
    stages = Stages()
    stages.route = Route("none", -1, False, None, "", Reason.NO_ROUTE)
    asked = await served(stages)
    assert asked[:4] == ["accept", "route", "ratelimit.by_address", "record.refusal"]
    assert stages.refused is not None
    assert stages.refused.reason is Reason.NO_ROUTE


async def test_an_own_address_is_limited_and_recorded_and_asks_for_nothing_else() -> None:
    stages = Stages()
    stages.route = Route("none", -1, True, None, "")
    assert await served(stages) == [
        "accept",
        "route",
        "ratelimit.by_address",
        "accept.body",
        "authorize.own",
        "record.decision",
        "forward",
        "record.outcome",
    ]


async def test_a_preflight_is_judged_without_credentials_and_recorded() -> None:
    stages = Stages()
    stages.preflight_request = Preflight("https://app.example.com", "GET", ())
    assert await served(stages) == [
        "accept",
        "route",
        "ratelimit.by_address",
        "authorize.preflight",
        "record.decision",
        "forward",
        "record.outcome",
    ]


@pytest.mark.parametrize(
    ("reason", "charged"),
    [(Reason.TOKEN_SIGNATURE, True), (Reason.CREDENTIALS_MISSING, False), (Reason.KEYS_UNAVAILABLE, False)],
)
async def test_only_a_credential_that_failed_is_charged_to_the_address(reason: Reason, charged: bool) -> None:
    stages = Stages()
    stages.fails["authenticate"] = lambda: Refused(reason)
    assert ("ratelimit.failed_credential" in await served(stages)) is charged


async def test_A9_what_cannot_be_recorded_is_not_forwarded() -> None:
    stages = Stages()
    stages.fails["record.decision"] = lambda: Refused(Reason.AUDIT_UNAVAILABLE)
    asked = await served(stages)
    assert "forward" not in asked
    assert stages.refused is not None
    assert stages.refused.reason is Reason.AUDIT_UNAVAILABLE


async def test_a_refusal_that_cannot_be_recorded_is_answered_as_that() -> None:
    stages = Stages()
    stages.fails["authorize"] = lambda: Refused(Reason.NO_RULE_ALLOWS)
    stages.fails["record.refusal"] = lambda: Refused(Reason.AUDIT_UNAVAILABLE)
    await served(stages)
    assert stages.refused is not None
    assert stages.refused.reason is Reason.AUDIT_UNAVAILABLE


async def test_a_backend_that_fails_is_an_outcome_and_no_second_decision() -> None:
    stages = Stages()
    stages.fails["forward"] = lambda: Refused(Reason.UPSTREAM_CONNECT)
    asked = await served(stages)
    assert asked == [*WHOLE[:-1], "answer.refuse", "record.outcome"]
    assert stages.outcomes[0].reason is Reason.UPSTREAM_CONNECT


@pytest.mark.parametrize("at", ["accept", "route", "authenticate", "authorize"])
async def test_Z17_a_stage_that_breaks_is_a_500_never_a_way_through(at: str, caplog: pytest.LogCaptureFixture) -> None:
    stages = Stages()
    stages.fails[at] = lambda: ZeroDivisionError("a bug")
    asked = await served(stages)
    assert "forward" not in asked
    assert stages.refused is not None
    assert stages.refused.reason is Reason.INTERNAL
    assert "failed at" in caplog.text


async def test_a_failure_after_the_head_was_sent_breaks_the_answer_off() -> None:
    stages = Stages()
    exchange = Recorder(head())

    def half_sent() -> Exception:
        exchange.status = 200
        return ZeroDivisionError("a bug")

    stages.fails["forward"] = half_sent
    asked = await served(stages, exchange)
    assert "answer.refuse" not in asked
    assert exchange.aborted
    assert stages.outcomes[0].reason is Reason.INTERNAL


@pytest.mark.parametrize("error", [ClientGone, asyncio.CancelledError])
async def test_a_client_that_goes_away_is_recorded_as_that(error: type[BaseException]) -> None:
    stages = Stages()

    async def gone(permit: Permit, exchange: Exchange, answer_headers: RawHeaders) -> Outcome:
        raise error

    stages._forward = gone  # type: ignore[method-assign]
    if error is ClientGone:
        await served(stages)
    else:
        with pytest.raises(asyncio.CancelledError):
            await served(stages)
    assert stages.outcomes[0].reason is Reason.CLIENT_GONE


def test_only_the_authorize_stage_makes_permits() -> None:
    makers = set()
    for path in GATEWAY.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Permit":
                makers.add(path.relative_to(GATEWAY).parent)
    assert makers == {Path("stages/authorize")}


def test_a_snapshot_says_in_one_line_which_it_is() -> None:
    assert repr(Stages().snapshot()) == "Snapshot(000000000000)"
