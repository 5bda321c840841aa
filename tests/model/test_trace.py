"""The trace knows nothing until a stage has spoken."""

from gateway.model.trace import Stage, Trace
from tests.stages.ratelimit.requests import request


def test_a_trace_begins_at_accept_with_nothing_judged() -> None:
    ctx = request()
    trace = Trace(ctx.connection, ctx.head, request_id="r", time=1.0, began=2.0)
    assert trace.stage is Stage.ACCEPT
    judged = (trace.ctx, trace.route, trace.principal, trace.posture, trace.permit, trace.refused)
    assert judged == (None,) * 6


def test_a_trace_knows_at_which_stage_it_is() -> None:
    ctx = request()
    trace = Trace(ctx.connection, ctx.head, request_id="r", time=1.0, began=2.0)
    trace.step(Stage.ROUTE)
    assert trace.stage is Stage.ROUTE


def test_the_stages_stand_in_the_order_of_the_contract() -> None:
    assert [stage.value for stage in Stage] == [
        "accept",
        "route",
        "ratelimit.address",
        "authenticate",
        "posture",
        "ratelimit.caller",
        "authorize",
        "record",
        "forward",
    ]
