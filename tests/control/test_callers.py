"""A rule's callers: who is named, and what is left to ask of each."""

from pathlib import Path

from gateway.control.callers import ANY, ANYONE, callers
from gateway.control.made_up import parse_url
from gateway.control.offline import Offline
from gateway.stages.authorize import Clause
from tests.control.policy_config import ISSUER, config
from tests.facts import connection

ROUTES = """
- name: api
  match: {paths: [/api]}
  upstream: api
  allow:
    - from: {request_principals: ["ISSUER/alice"], principals: ["*"], ip_blocks: [10.0.0.0/8]}
    - from: {ip_blocks: [10.0.0.0/8]}
""".replace("ISSUER", ISSUER)


def clauses(offline: Offline, rule: int) -> list[Clause]:
    candidate = offline.candidates(connection(), "GET", parse_url("/api"), 0.0)[-1]
    groups = offline.rules_of(candidate.route, "edge")[rule].groups
    return [clause for alternatives in groups for clause in alternatives[0]]


def test_the_user_is_named_before_the_workload(tmp_path: Path) -> None:
    loaded = config(tmp_path, routes=ROUTES)
    offline = Offline(loaded)
    ((caller, rest),) = callers(loaded, loaded.listeners["edge"], clauses(offline, 0), ANY)
    assert (caller.name, caller.kind) == (f"{ISSUER}/alice", "user")
    assert caller.known_user is not None
    assert caller.known_user.subject == "alice"
    assert [clause.key for clause in rest] == ["from.principals", "from.ip_blocks"]


def test_who_is_not_named_is_everyone(tmp_path: Path) -> None:
    loaded = config(tmp_path, routes=ROUTES)
    unnamed = clauses(Offline(loaded), 1)
    assert list(callers(loaded, loaded.listeners["edge"], unnamed, ANYONE)) == [(ANYONE, unnamed)]
