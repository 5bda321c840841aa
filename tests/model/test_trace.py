"""The trace knows nothing until a stage has spoken."""

from gateway.model.posture import Posture
from gateway.model.principal import Principal
from gateway.model.reason import Effect, Reason
from gateway.model.refused import Refused
from gateway.model.shadow import Shadow
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
    trace.stage = Stage.ROUTE
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


def test_a_device_that_is_refused_is_known_all_the_same() -> None:
    ctx = request()
    trace = Trace(ctx.connection, ctx.head, request_id="r", time=1.0, began=2.0)
    assert trace.device is None
    trace.refused = Refused(Reason.POSTURE_FAILED)
    assert trace.device is None
    trace.refused.posture = Posture("laptop-1", {}, 1.0)
    assert trace.device == Posture("laptop-1", {}, 1.0)


def test_the_shadows_of_a_posture_stand_before_those_of_the_rules() -> None:
    ctx = request()
    trace = Trace(ctx.connection, ctx.head, request_id="r", time=1.0, began=2.0)
    posture = Shadow("posture", "managed", Effect.DENY, None)
    rule = Shadow("rule", "r", Effect.ALLOW, None)
    trace.posture = Posture("laptop-1", {}, 1.0, None, (posture,))
    trace.refused = Refused(Reason.NO_RULE_ALLOWS, shadows=(rule,))
    assert trace.shadows == (posture, rule)


def test_shadows_are_told_in_the_order_of_the_stages() -> None:
    ctx = request()
    trace = Trace(ctx.connection, ctx.head, request_id="r", time=1.0, began=2.0)
    issuer, rule = Shadow("issuer", "trial", Effect.ALLOW, None), Shadow("rule", "r[0]", Effect.DENY, None)
    found = [list(trace.shadows)]
    trace.refused = Refused(Reason.CREDENTIALS_MISSING, shadows=(issuer,))
    found.append(list(trace.shadows))  # refused before there was a principal
    trace.principal = Principal(None, None, ctx.client_ip, (issuer,))
    trace.refused = Refused(Reason.NO_RULE_ALLOWS, shadows=(rule,))
    found.append(list(trace.shadows))
    trace.refused = Refused(Reason.RATE_LIMITED)
    found.append(list(trace.shadows))
    assert found == [[], [issuer], [issuer, rule], [issuer]]
