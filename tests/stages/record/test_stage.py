"""A request's decision is written before it goes on, its outcome at its end; both are counted."""

import json
import os
import re
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest

from gateway.kernel.cells import Metrics
from gateway.model.outcome import Outcome
from gateway.model.permit import Permit
from gateway.model.principal import Principal
from gateway.model.reason import Effect, Reason
from gateway.model.refused import Refused
from gateway.model.request import Preflight, RepeatedHead
from gateway.model.route import Route
from gateway.model.shadow import Shadow
from gateway.model.trace import Stage
from gateway.stages.record import AuditLog, Inputs, Record
from gateway.stages.record.flood import PER_SECOND
from gateway.testing.clock import Clock
from tests.stages.record.scene import (
    ANONYMOUS,
    NOW,
    PRINCIPAL,
    Asked,
    allowed,
    context,
    decided,
    lines,
    open_log,
    redaction,
    refused,
    stage,
)

OK = Outcome(200, "inventory", "https://10.0.0.5:8443", 0, 12)


def started(directory: Path, **settings: Any) -> tuple[AuditLog, Record, Metrics]:
    metrics = Metrics()
    log = open_log(directory, metrics=metrics)
    log.start()
    return log, stage(log, metrics, **settings), metrics


def repeated() -> tuple[Asked, RepeatedHead]:
    """A request whose head came before and was read, and what is kept of it."""
    asked, again = Asked(), RepeatedHead()
    again.read = (object(), True, "h", None, "h", "/", None, {})
    asked.head = replace(asked.head, again=again)
    return asked, again


def of_requests(directory: Path) -> list[dict[str, Any]]:
    return [record for record in lines(directory) if record["type"] in ("decision", "outcome")]


async def test_an_allowed_request_is_two_records_of_one_id(tmp_path: Path) -> None:
    log, record, metrics = started(tmp_path)
    trace = allowed(record)
    assert metrics.requests_in_flight.value == 1
    await decided(record, trace)
    (decision,) = of_requests(tmp_path)  # with the system before anything is forwarded
    trace.stage = Stage.FORWARD
    record.outcome(trace, OK)
    await log.close()
    outcome = of_requests(tmp_path)[1]
    assert (decision["type"], decision["effect"], outcome["type"], outcome["status"]) == (
        "decision", "allow", "outcome", 200,
    )  # fmt: skip
    assert decision["request_id"] == outcome["request_id"] == trace.request_id
    assert decision["trace_id"] == outcome["trace_id"] == "0af7651916cd43dd8448eb211c80319c"
    assert metrics.requests_in_flight.value == 0
    assert dict(metrics.decisions.rows()) == {("inventory", "allow", ""): 1.0}
    assert dict(metrics.requests.rows()) == {("inventory", "GET", "200"): 1.0}


async def test_request_ids_are_random_128_bits(tmp_path: Path) -> None:
    log, record, _ = started(tmp_path)
    ids = {allowed(record).request_id for _ in range(1000)}
    assert len(ids) == 1000
    assert all(re.fullmatch("[0-9a-f]{32}", one) for one in ids)
    await log.close()


async def test_a_refusal_is_one_record_and_does_not_wait(tmp_path: Path) -> None:
    log, record, metrics = started(tmp_path)
    trace = refused(record, Reason.NO_RULE_ALLOWS, principal=PRINCIPAL)
    assert trace.refused is not None
    record.refusal(trace, trace.refused)
    assert of_requests(tmp_path) == []  # the answer goes out before the line is written
    record.outcome(trace, Outcome(403, None, None, 0, 100, Reason.NO_RULE_ALLOWS))
    await log.close()
    (decision,) = of_requests(tmp_path)
    assert (decision["effect"], decision["reason"]) == ("deny", "no_rule_allows")
    assert dict(metrics.decisions.rows()) == {("inventory", "deny", "no_rule_allows"): 1.0}
    assert dict(metrics.requests.rows()) == {("inventory", "GET", "403"): 1.0}


async def test_a_preflight_has_its_decision_alone(tmp_path: Path) -> None:
    log, record, _ = started(tmp_path)
    trace = allowed(record, preflight=Preflight("https://app.example.com", "GET", ()))
    await decided(record, trace)
    trace.stage = Stage.FORWARD
    record.outcome(trace, Outcome(204, None, None, 0, 0))
    await log.close()
    assert [one["type"] for one in of_requests(tmp_path)] == ["decision"]


async def test_a_backend_that_fails_is_an_outcome_of_an_allowed_request(tmp_path: Path) -> None:
    log, record, metrics = started(tmp_path)
    trace = allowed(record)
    await decided(record, trace)
    trace.stage = Stage.FORWARD
    trace.refused = Refused(Reason.UPSTREAM_CONNECT)
    record.outcome(trace, Outcome(502, "inventory", None, 0, 90, Reason.UPSTREAM_CONNECT))
    await log.close()
    decision, outcome = of_requests(tmp_path)
    assert (decision["effect"], outcome["status"], outcome["reason"]) == ("allow", 502, "upstream_connect")
    assert dict(metrics.decisions.rows()) == {("inventory", "allow", ""): 1.0}


async def test_a_client_that_left_before_the_decision_leaves_only_a_metric(tmp_path: Path) -> None:
    log, record, metrics = started(tmp_path)
    trace = allowed(record)
    trace.permit = None
    record.outcome(trace, Outcome(0, None, None, 0, 0, Reason.CLIENT_GONE))
    await log.close()
    assert of_requests(tmp_path) == []
    assert dict(metrics.streams_terminated.rows()) == {("client_gone",): 1.0}


async def test_A9_no_line_no_backend(tmp_path: Path) -> None:
    log, record, metrics = started(tmp_path)
    os.close(log._file.descriptor)
    trace = allowed(record)
    with pytest.raises(Refused) as raised:
        await decided(record, trace)
    assert raised.value.reason is Reason.AUDIT_UNAVAILABLE
    assert raised.value.retry_after == 1
    trace.refused = raised.value
    await decided(record, trace)
    record.outcome(trace, Outcome(503, None, None, 0, 0, Reason.AUDIT_UNAVAILABLE))
    assert dict(metrics.decisions.rows()) == {("inventory", "error", "audit_unavailable"): 1.0}
    log._file._file = -1
    log._must_rotate = True  # the disk is back
    await log.close()
    (decision,) = of_requests(tmp_path)  # no trace of an allowed request that was not let through
    assert (decision["effect"], decision["reason"]) == ("error", "audit_unavailable")


async def test_A9_on_failure_allow_goes_on_and_writes_later(tmp_path: Path) -> None:
    log, record, _ = started(tmp_path, refuse_unrecorded=False)
    os.close(log._file.descriptor)
    trace = allowed(record)
    await decided(record, trace)
    trace.stage = Stage.FORWARD
    record.outcome(trace, OK)
    log._file._file = -1
    log._must_rotate = True
    await log.close()
    assert [(one["type"], one["request_id"]) for one in of_requests(tmp_path)] == [
        ("decision", trace.request_id),
        ("outcome", trace.request_id),
    ]


@pytest.mark.parametrize(
    ("reason", "principal", "written"),
    [
        pytest.param(Reason.TOKEN_SIGNATURE, None, PER_SECOND, id="A11-before-authentication"),
        pytest.param(Reason.NO_RULE_ALLOWS, ANONYMOUS, PER_SECOND, id="A11-anonymous"),
        pytest.param(Reason.RATE_LIMITED, PRINCIPAL, PER_SECOND, id="A11-limited"),
        pytest.param(Reason.NO_RULE_ALLOWS, PRINCIPAL, PER_SECOND + 5, id="A11-a-proved-caller-is-always-recorded"),
    ],
)
async def test_a_flood_of_refusals(tmp_path: Path, reason: Reason, principal: Any, written: int) -> None:
    log, record, metrics = started(tmp_path)
    for _ in range(PER_SECOND + 5):
        await decided(record, refused(record, reason, principal=principal))
    await log.close()
    assert len(of_requests(tmp_path)) == written
    held = [one["count"] for one in lines(tmp_path) if one["type"] == "suppressed"]
    assert held == ([] if written > PER_SECOND else [5])
    assert [count for _, count in metrics.decisions.rows()] == [PER_SECOND + 5]  # the metric counts them all


async def test_a_request_before_its_route_is_known_is_recorded_under_none(tmp_path: Path) -> None:
    log, record, metrics = started(tmp_path)
    trace = refused(record, Reason.BAD_REQUEST)
    trace.route = trace.ctx = None
    await decided(record, trace)
    await log.close()
    (decision,) = of_requests(tmp_path)
    assert (decision["route"], decision["inputs"]) == (None, None)
    assert dict(metrics.decisions.rows()) == {("none", "refuse", "bad_request"): 1.0}


async def test_inputs_of_the_route_are_recorded(tmp_path: Path) -> None:
    log, record, _ = started(tmp_path, inputs=Inputs(redaction(), headers=["x-tenant"], claims=[("groups",)]))
    await decided(record, allowed(record, values={"x-tenant": ("acme",), "x-other": ("no",)}))
    await log.close()
    assert of_requests(tmp_path)[0]["inputs"] == {"headers": {"x-tenant": "acme"}, "claims": {"groups": ["a", "b"]}}


async def test_the_duration_is_that_from_the_head_to_the_end(tmp_path: Path) -> None:
    clock = Clock(NOW)
    log = open_log(tmp_path)
    log.start()
    metrics = Metrics()
    record = stage(log, metrics, clock=clock)
    trace = allowed(record)
    await decided(record, trace)
    clock.advance(0.5)
    record.outcome(trace, OK)
    await log.close()
    assert of_requests(tmp_path)[1]["duration_ms"] == 500.0
    assert metrics.request_duration.labels("inventory").sum == 0.5


async def test_what_is_kept_of_a_head_that_comes_again_is_told_of_the_same_request_alone(tmp_path: Path) -> None:
    log, record, _ = started(tmp_path, inputs=Inputs(redaction(), headers=["x-a"], claims=[("scope",)]))
    asked, again = repeated()
    user, workload = PRINCIPAL.user, PRINCIPAL.workload
    assert user is not None
    assert workload is not None
    route = Route("inventory", 0, public=False, where=None, prefix="")

    async def tell(principal: Principal = PRINCIPAL, rule: str = "readers", by: Record = record, **values: Any) -> str:
        trace = allowed(by, asked=asked, **values)
        assert trace.ctx is not None
        trace.principal = principal
        trace.permit = Permit(trace.ctx, route, principal, rule, None, (), (), None)
        await decided(by, trace)
        line = of_requests(tmp_path)[-1]
        return json.dumps({name: line[name] for name in list(line)[6:-2]})

    client = PRINCIPAL.client_ip
    first = await tell(client_ip=client)
    kept = again.told
    assert kept is not None
    assert await tell(client_ip=client) == first
    assert again.told is kept  # found, and not written anew
    seen = {first}
    others: list[dict[str, Any]] = [
        {"principal": replace(PRINCIPAL, user=replace(user, subject="bob"))},
        {"principal": replace(PRINCIPAL, user=replace(user, claims={"scope": "other"}))},
        {"principal": replace(PRINCIPAL, user=None)},
        {"principal": replace(PRINCIPAL, workload=None)},
        {"principal": replace(PRINCIPAL, workload=replace(workload, id="spiffe://other/x"))},
        {"principal": replace(PRINCIPAL, shadows=(Shadow("issuer", "trial", Effect.DENY, None),))},
        {"rule": "writers"},
        {"client_ip": ip_address("192.0.2.1")},
    ]
    for other in others:
        again.told = kept
        seen.add(await tell(**{"client_ip": client, **other}))
    again.told = kept
    again.read = (object(), True, "h", None, "h", "/", None, {})  # another `accept`, another reading
    seen.add(await tell(client_ip=client, path="/other"))
    again.told = kept
    seen.add(await tell(by=stage(log, inputs=Inputs(redaction())), client_ip=client))
    assert len(seen) == 3 + len(others)
    await log.close()


async def test_what_is_kept_of_a_refused_head_is_told_of_the_same_refusal_alone(tmp_path: Path) -> None:
    log, record, _ = started(tmp_path, inputs=Inputs(redaction(), headers=["x-a"], claims=[("scope",)]))
    asked, again = repeated()
    user, workload, client = PRINCIPAL.user, PRINCIPAL.workload, PRINCIPAL.client_ip
    assert user is not None
    assert workload is not None
    route = Route("inventory", 0, public=False, where=None, prefix="")

    async def tell(
        reason: Reason = Reason.NO_RULE_ALLOWS,
        principal: Principal | None = PRINCIPAL,
        route: Route | None = route,
        by: Record = record,
        limited: Shadow | None = None,
        client_ip: Any = client,
        path: str = "/a",
        **said: Any,
    ) -> str:
        trace = by.begin(asked)
        trace.ctx, trace.route, trace.principal = context(trace, client_ip=client_ip, path=path), route, principal
        trace.limit_shadows = (limited,) if limited is not None else ()
        trace.refused = Refused(reason, **said)
        by.refusal(trace, trace.refused)
        by.outcome(trace, Outcome(403, None, None, 0, 9, reason))
        await log.write("config", "", keep=True)
        line = of_requests(tmp_path)[-1]
        assert (line["request_id"], line["trace_id"]) == (trace.request_id, trace.ctx.trace.trace_id)
        return json.dumps({name: line[name] for name in list(line)[6:-2]})

    first = await tell()
    kept = again.told
    assert kept is not None
    assert await tell() == first
    assert again.told is kept  # found, and not written anew
    others: list[dict[str, Any]] = [
        {"reason": Reason.DENIED_BY_RULE},
        {"rule": "writers"},
        {"principal": replace(PRINCIPAL, user=replace(user, subject="bob"))},
        {"principal": replace(PRINCIPAL, user=replace(user, claims={"scope": "other"}))},
        {"principal": replace(PRINCIPAL, user=None)},
        {"principal": replace(PRINCIPAL, workload=None)},
        {"principal": None},
        {"principal": replace(PRINCIPAL, workload=replace(workload, id="spiffe://other/x"))},
        {"limited": Shadow("limit", "trial", Effect.LIMIT, None)},
        {"shadows": (Shadow("rule", "trial", Effect.DENY, None),)},
        {"audited": ("watched",)},
        {"client_ip": ip_address("192.0.2.1")},
        {"route": None},
        {"by": stage(log, inputs=Inputs(redaction()))},
    ]
    seen = {first}
    for other in others:
        again.told = kept
        seen.add(await tell(**other))
    again.told = kept
    again.read = (object(), True, "h", None, "h", "/", None, {})  # another `accept`, another reading
    seen.add(await tell(path="/other"))
    assert len(seen) == 2 + len(others)
    allowing = allowed(record, asked=asked, client_ip=client)
    again.told = kept
    await decided(record, allowing)
    assert of_requests(tmp_path)[-1]["effect"] == "allow"  # nor is a permit told as the refusal before it
    await log.close()


async def test_what_is_long_is_not_kept_with_a_head(tmp_path: Path) -> None:
    log, record, _ = started(tmp_path)
    asked = Asked()
    asked.head = replace(asked.head, again=RepeatedHead())
    await decided(record, allowed(record, asked=asked, path="/" + "a" * 2000))
    assert asked.head.again is not None
    assert asked.head.again.told is None
    await log.close()


async def test_an_outcome_that_is_first_in_its_turn_waits_for_nobody_and_a_decision_behind_it_is_waited_for(
    tmp_path: Path,
) -> None:
    log, record, _ = started(tmp_path)
    before, after = allowed(record), allowed(record)
    await decided(record, before)
    await decided(record, after)
    before.stage = after.stage = Stage.FORWARD
    record.outcome(before, OK)
    waits = record.decision(allowed(record))
    promise = waits.send(None)
    record.outcome(after, OK)
    assert len(of_requests(tmp_path)) == 2
    await promise
    with pytest.raises(StopIteration):
        waits.send(None)
    assert [line["type"] for line in of_requests(tmp_path)][2:] == ["outcome", "decision", "outcome"]
    await log.close()


@pytest.mark.parametrize("shadows", [(), (Shadow("limit", "l", Effect.LIMIT, None),)])
async def test_both_records_begin_with_the_same_ids(tmp_path: Path, shadows: tuple[Shadow, ...]) -> None:
    log, record, _ = started(tmp_path)
    trace = allowed(record)
    trace.limit_shadows = shadows
    await decided(record, trace)
    trace.stage = Stage.FORWARD
    record.outcome(trace, OK)
    await log.close()
    decision, outcome = of_requests(tmp_path)
    assert list(decision.items())[4:6] == list(outcome.items())[4:6]
    assert list(decision)[4:6] == ["request_id", "trace_id"]
    assert [shadow["name"] for shadow in decision["shadow"]] == [shadow.name for shadow in shadows]


async def test_what_was_refused_before_it_could_be_read_has_our_id_and_no_trace(tmp_path: Path) -> None:
    log, record, _ = started(tmp_path)
    trace = record.begin(Asked())
    trace.refused = Refused(Reason.BAD_REQUEST)
    await decided(record, trace)
    record.outcome(trace, Outcome(400, None, None, 0, 0, Reason.BAD_REQUEST))
    await log.close()
    (decision,) = of_requests(tmp_path)
    assert (decision["request_id"], decision["trace_id"]) == (trace.request_id, None)
