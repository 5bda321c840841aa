"""What a log says about its policy."""

from pathlib import Path

import yaml

from gateway.config.grants import with_grants
from gateway.control.records import audit_files, decisions
from gateway.control.review import Review
from tests.control.audit_log import Ask, write_log
from tests.control.policy_config import config
from tests.control.test_replay import again
from tests.facts import NOW
from tests.granting import Signer, write_grants

WEB, JOB = "spiffe://cluster.local/ns/default/sa/web", "spiffe://cluster.local/ns/default/sa/job"
ROUTES = """
- name: api
  match: {paths: ["/api/*"], methods: [GET, HEAD, PUT, DELETE]}
  upstream: api
  deny: [{name: never-hit, from: {namespaces: [legacy]}}]
  allow:
    - {name: services, from: {trust_domains: [cluster.local], not_namespaces: [legacy]}}
    - {name: people, from: {request_principals: ["*"]}, to: {methods: [GET, HEAD]}}
    - {name: draft, mode: shadow, to: {methods: [PUT]}}
    - {name: idle, from: {namespaces: [idle]}}
- {name: hello, match: {paths: [/hello]}, public: true, respond: {}}
"""
POLICIES = """
- {name: watch, action: audit, rules: [{name: puts, to: {methods: [PUT]}}, {name: gone, to: {methods: [DELETE]}}]}
"""
STRICT = (
    'strict: {address: "127.0.0.1:8444", tls: {certificate: edge.pem, key: edge.key, client_certificate: required}}'
)


async def review(folder: Path, *asked: Ask) -> Review:
    loaded = config(folder, routes=ROUTES, policies=POLICIES, listeners=STRICT)
    found = Review(loaded)
    found.learn(decisions(audit_files([await write_log(loaded, *asked)])))
    return found


async def test_rules_that_no_record_names(tmp_path: Path) -> None:
    found = await review(tmp_path, Ask(client=WEB, method="PUT"), Ask(user="alice"))
    assert [(each.route, each.rule, each.action, each.mode) for each in found.unused()] == [
        (None, "gone", "audit", "enforce"),
        ("api", "never-hit", "deny", "enforce"),
        ("api", "idle", "allow", "enforce"),
    ]  # fmt: skip
    assert found.decisions == 2


async def test_grants_that_nobody_needed(tmp_path: Path) -> None:
    alice = Signer(tmp_path, "alice")
    needed = {"from": {"request_principals": ["*/alice"]}, "to": {"methods": ["PUT"]}}
    write_grants(
        tmp_path,
        alice.grant(NOW - 60, NOW + 60, name="needed", rule=needed),
        alice.grant(NOW - 60, NOW + 60, name="idle", rule={"from": {"request_principals": ["*/alice"]}}),
    )
    loaded = with_grants(config(tmp_path, routes=ROUTES, more="grants: {signers: {alice: alice.pub}}\n"))
    found = Review(loaded)
    log = await write_log(loaded, Ask(user="alice"), Ask(user="alice", method="PUT"))
    found.learn(decisions(audit_files([log])))
    assert [each.rule for each in found.unused() if each.route is None] == ["grant:idle"]


async def test_callers_that_use_far_less_than_they_may(tmp_path: Path) -> None:
    found = await review(tmp_path, Ask(client=WEB), Ask(client=WEB), *(
        Ask(client=JOB, method=method) for method in ("GET", "PUT", "DELETE")
    ))  # fmt: skip
    (each,) = found.over_privileged()
    assert (each.principal, each.route, each.rule, each.used, each.requests) == (WEB, "api", "services", ("GET",), 2)
    assert each.granted == ("DELETE", "GET", "HEAD", "PUT")


async def test_who_would_break_under_strict_and_since_when(tmp_path: Path) -> None:
    found = await review(
        tmp_path, Ask(user="alice"), Ask(user="alice"), Ask(client=WEB), Ask("/hello"), Ask(),
        Ask(client=WEB, listener="strict"),
    )  # fmt: skip
    assert [
        (each.listener, each.principal.rpartition("/")[2], each.requests, each.routes, each.since)
        for each in found.would_break()
    ] == [("edge", "alice", 2, {"api"}, NOW), ("edge", "192.0.2.7", 1, {"hello"}, NOW)]
    assert found.ready() == []


async def test_a_listener_is_ready_when_everybody_shows_a_certificate(tmp_path: Path) -> None:
    found = await review(tmp_path, Ask(client=WEB), Ask(user="alice", client=JOB))
    assert (found.would_break(), found.ready()) == ([], ["edge"])


async def test_suggestions_are_rules_as_tight_as_their_use(tmp_path: Path) -> None:
    found = await review(tmp_path, Ask(client=WEB), Ask(client=WEB, method="PUT"), Ask(user="alice"))
    services, people = found.suggestions()
    assert (services.rule, services.requests) == ("services", 2)
    assert services.why == "only GET, PUT of DELETE, GET, HEAD, PUT were used; only 1 workload came"
    assert yaml.safe_load(services.yaml) == [
        {
            "name": "services",
            "from": {"principals": [WEB], "not_namespaces": ["legacy"]},
            "to": {"methods": ["GET", "PUT"]},
        }
    ]
    (rule,) = yaml.safe_load(people.yaml)
    assert rule["to"] == {"methods": ["GET"]}
    assert rule["from"]["request_principals"][0].endswith("/alice")


async def test_what_is_suggested_lets_in_all_that_came(tmp_path: Path) -> None:
    asked = (Ask(client=WEB), Ask(client=JOB, method="PUT"), Ask(user="alice"), Ask(user="bob", method="HEAD"))
    found = await review(tmp_path, *asked)
    text = ROUTES
    for old, suggestion in zip(
        ("{name: services, from: {trust_domains: [cluster.local], not_namespaces: [legacy]}}",
         '{name: people, from: {request_principals: ["*"]}, to: {methods: [GET, HEAD]}}'),
        found.suggestions(), strict=True,
    ):  # fmt: skip
        (rule,) = yaml.safe_load(suggestion.yaml)
        assert old in text
        text = text.replace(old, yaml.safe_dump(rule, default_flow_style=True, width=10_000).strip())
    after = tmp_path / "after"
    after.mkdir()
    before = config(tmp_path, routes=ROUTES, policies=POLICIES, listeners=STRICT)
    tighter = config(after, routes=text, policies=POLICIES, listeners=STRICT)
    assert await again(before, tighter, *asked) == {}
    assert await again(before, tighter, Ask(client=JOB, method="DELETE")) == {"r0": "allow->deny no_rule_allows"}
