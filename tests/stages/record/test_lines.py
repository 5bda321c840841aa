"""The members of a request's records: contract section 9, no more of the request than that."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gateway.kernel.cells import Metrics
from gateway.model.outcome import Outcome
from gateway.model.permit import Permit
from gateway.model.principal import Principal, User
from gateway.model.reason import Effect, Reason
from gateway.model.refused import Refused
from gateway.model.shadow import Shadow
from gateway.model.trace import Stage
from gateway.stages.record.lines import allowed_members, decision_members, facts_text
from gateway.testing.clock import Clock
from tests.stages.record.scene import NOW, PRINCIPAL, Asked, allowed, decided, lines, open_log, refused, stage


def test_an_allowed_request(tmp_path: Path) -> None:
    record = stage(open_log(tmp_path))
    trace = allowed(record)
    members = json.loads(
        "{" + decision_members(trace, "allow", None, '"inventory"', facts_text("null", '"c0ffee"'))[1:] + "}"
    )
    assert members == {
        "effect": "allow",
        "reason": None,
        "mode": "enforce",
        "listener": "edge",
        "route": "inventory",
        "rule": "readers",
        "shadow": [],
        "user": {"issuer": "https://auth.example.com", "subject": "alice"},
        "workload": "spiffe://cluster.local/ns/default/sa/web",
        "device": None,
        "client_ip": "198.51.100.9",
        "method": "GET",
        "host": "api.example.com",
        "path": "/api/v1/inventory/42",
        "inputs": None,
        "config": "c0ffee",
    }


@pytest.mark.parametrize("rule", ["readers", None])
@pytest.mark.parametrize(
    "principal",
    [
        PRINCIPAL,
        replace(PRINCIPAL, workload=None),
        replace(PRINCIPAL, user=None),
        Principal(None, None, PRINCIPAL.client_ip),
        replace(PRINCIPAL, user=User('https://a"b', "corp", 'a"\n\u2028', {}, 0.0)),
    ],
)
def test_the_short_way_for_what_a_rule_allows_says_the_same(
    tmp_path: Path, principal: Principal, rule: str | None
) -> None:
    trace = allowed(stage(open_log(tmp_path)))
    assert trace.ctx is not None
    assert trace.route is not None
    ctx = replace(trace.ctx, path='/a"b/' + "c" * 5000)
    trace.ctx, trace.principal = ctx, principal
    trace.permit = Permit(ctx, trace.route, principal, rule, None, (), (), None)
    facts = facts_text('{"claims":{}}', '"c"')
    short = allowed_members(trace.permit, '"inventory"', facts)
    assert short == decision_members(trace, "allow", None, '"inventory"', facts)


def test_audit_and_shadow_rules_that_matched_are_named(tmp_path: Path) -> None:
    record = stage(open_log(tmp_path))
    trace = allowed(record)
    assert trace.ctx is not None
    assert trace.route is not None
    shadow = Shadow("rule", "tighter", Effect.DENY, None)
    trace.permit = Permit(trace.ctx, trace.route, PRINCIPAL, None, None, ("watch[0]",), (shadow,), None)
    members = json.loads(
        "{" + decision_members(trace, "allow", None, '"inventory"', facts_text("null", '"c"'))[1:] + "}"
    )
    assert members["audited"] == ["watch[0]"]
    assert members["shadow"] == [{"kind": "rule", "name": "tighter", "effect": "deny"}]
    assert members["rule"] is None


def test_a_head_that_could_not_be_read_is_told_as_far_as_it_goes(tmp_path: Path) -> None:
    record = stage(open_log(tmp_path))
    trace = record.begin(Asked("G" * 500, b"/a\xff\x00\n" + b"b" * 5000 + b"?access_token=secret"))
    trace.refused = Refused(Reason.BAD_REQUEST)
    text = decision_members(trace, "refuse", "bad_request", "null", facts_text("null", '"c"'))
    members = json.loads("{" + text[1:] + "}")
    assert members["method"] == "G" * 32
    assert members["path"].startswith("/a\xff\x00\nbbb")
    assert len(members["path"]) == 2048
    assert members["client_ip"] == "203.0.113.7"
    assert (members["host"], members["user"]) == (None, None)
    assert "secret" not in text
    assert text.isprintable()


async def told(directory: Path, outcome: Outcome, duration: float) -> dict[str, Any]:
    """The members of its own that the record of a request has that ended so; `duration` in seconds."""
    log, clock = open_log(directory), Clock(NOW)
    log.start()
    record = stage(log, clock=clock)
    trace = allowed(record)
    await decided(record, trace)
    trace.stage = Stage.FORWARD
    clock.now += duration
    record.outcome(trace, outcome)
    await log.close()
    (found,) = [line for line in lines(directory) if line["type"] == "outcome"]
    assert found["request_id"] == trace.request_id
    return {name: found[name] for name in list(found)[5:-2]}


async def test_an_outcome(tmp_path: Path) -> None:
    outcome = Outcome(200, "inventory", "https://10.0.0.5:8443", 3, 1234, Reason.UPSTREAM_RESET)
    assert await told(tmp_path, outcome, 0.01234567) == {
        "trace_id": "0af7651916cd43dd8448eb211c80319c",
        "route": "inventory",
        "upstream": "inventory",
        "endpoint": "https://10.0.0.5:8443",
        "status": 200,
        "duration_ms": 12.346,
        "bytes_in": 3,
        "bytes_out": 1234,
        "reason": "upstream_reset",
    }


async def test_an_outcome_that_took_more_than_one_try_says_how_many(tmp_path: Path) -> None:
    members = await told(tmp_path, Outcome(200, "inventory", None, 3, 4, attempts=3), 5000.0)
    assert (members["attempts"], members["reason"], members["duration_ms"]) == (3, None, 5_000_000.0)


async def test_an_outcome_of_a_stream_that_was_ended_says_why(tmp_path: Path) -> None:
    outcome = Outcome(101, "inventory", None, 3, 4, Reason.AUTHORITY_ENDED, "token_revoked")
    members = await told(tmp_path, outcome, 0.0)
    assert (members["reason"], members["cause"], members["duration_ms"]) == ("authority_ended", "token_revoked", 0.0)


async def test_an_outcome_that_comes_again_is_told_the_same_and_one_made_of_it_is_not(tmp_path: Path) -> None:
    outcome = Outcome(200, "inventory", "https://10.0.0.5:8443", 3, 1234)
    first, again = await told(tmp_path / "1", outcome, 0.25), await told(tmp_path / "2", outcome, 0.25)
    assert first == again
    gone = await told(tmp_path / "3", replace(outcome, reason=Reason.CLIENT_GONE), 0.25)
    assert gone == {**first, "reason": "client_gone"}
    assert replace(outcome) == outcome


def test_a_refusal_names_its_rule(tmp_path: Path) -> None:
    trace = refused(stage(open_log(tmp_path)), Reason.DENIED_BY_RULE)
    trace.refused = Refused(Reason.DENIED_BY_RULE, rule="no-legacy", audited=("watch",))
    members = json.loads(
        "{" + decision_members(trace, "deny", "denied_by_rule", '"inventory"', facts_text("null", '"c"'))[1:] + "}"
    )
    assert (members["effect"], members["reason"], members["rule"]) == ("deny", "denied_by_rule", "no-legacy")
    assert members["audited"] == ["watch"]


def test_what_an_issuer_in_shadow_would_have_done_is_told_before_what_rules_would(tmp_path: Path) -> None:
    metrics = Metrics()
    record = stage(open_log(tmp_path), metrics)
    trace = allowed(record)
    assert trace.permit is not None
    trial, rule = Shadow("issuer", "trial", Effect.CHALLENGE, None), Shadow("rule", "tighter", Effect.DENY, None)
    trace.principal = Principal(PRINCIPAL.workload, None, PRINCIPAL.client_ip, (trial,))
    trace.permit = Permit(trace.permit.ctx, trace.permit.route, trace.principal, None, None, (), (rule,), None)
    members = json.loads(
        "{" + decision_members(trace, "allow", None, '"inventory"', facts_text("null", '"c"'))[1:] + "}"
    )
    assert members["shadow"] == [
        {"kind": "issuer", "name": "trial", "effect": "challenge"},
        {"kind": "rule", "name": "tighter", "effect": "deny"},
    ]
    assert members["user"] is None


async def test_shadows_of_a_refused_request_are_counted_too(tmp_path: Path) -> None:
    metrics = Metrics()
    record = stage(open_log(tmp_path), metrics)
    trace = refused(record, Reason.CREDENTIALS_MISSING)
    trial = Shadow("issuer", "trial", Effect.ALLOW, None)
    trace.refused = Refused(Reason.CREDENTIALS_MISSING, shadows=(trial,))
    await decided(record, trace)
    assert metrics.shadow_decisions.rows() == [(("inventory", "issuer", "allow"), 1.0)]
