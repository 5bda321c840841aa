"""Who can reach a request: the rules turned around, never wider than they judge."""

from pathlib import Path

import pytest

from gateway.control.made_up import choose_listener, parse_url
from gateway.control.offline import Offline
from gateway.control.reach import Reachable, who
from gateway.model.reason import Reason
from gateway.model.refused import Refused
from tests.control.policy_config import ISSUER, config
from tests.facts import NOW

WEB = "spiffe://cluster.local/ns/default/sa/web"
LISTENERS = """
bare: {address: "127.0.0.1:8444", tls: {certificate: edge.pem, key: edge.key, client_certificate: none}}
strict: {address: "127.0.0.1:8445", tls: {certificate: edge.pem, key: edge.key, client_certificate: required}}
"""


def reach(folder: Path, rules: str, *, method: str = "GET", url: str = "/api/x", listener: str = "edge",
          policies: str = "") -> Reachable:  # fmt: skip
    loaded = config(folder, routes=f"- {{name: api, match: {{paths: ['/api/*']}}, {rules}}}", policies=policies,
                    listeners=LISTENERS)  # fmt: skip
    parsed = parse_url(url)
    return who(Offline(loaded), method, parsed, choose_listener(loaded, parsed, listener), NOW)


def allowed(folder: Path, rule: str, **more: str) -> list[tuple[str, str, tuple[str, ...]]]:
    found = reach(folder, f"upstream: api, allow: [{rule}]", **more)
    assert not found.anyone
    return [(way.principal, way.kind, way.conditions) for way in found.ways]


@pytest.mark.parametrize(
    ("rule", "ways"),
    [
        (f'{{from: {{principals: ["{WEB}"]}}}}', [(WEB, "workload", ())]),
        ('{from: {principals: ["spiffe://cluster.local/a/*"]}}', [("spiffe://cluster.local/a/*", "workload", ())]),
        ('{from: {principals: ["spiffe://evil.example/*", "dns:a.example"]}}', []),
        ("{from: {trust_domains: [cluster.local, other.example]}}", [("spiffe://cluster.local/*", "workload", ())]),
        ("{from: {namespaces: [ops]}}", [("spiffe://cluster.local/ns/ops/sa/*", "workload", ())]),
        (
            "{from: {service_accounts: [default/web]}}", [(WEB, "workload", ())],
        ),
        ('{from: {request_principals: ["*"]}}', [("*", "user", ())]),
        ("{from: {issuers: [corp]}}", [(f"{ISSUER}/*", "user", ())]),
        (f'{{from: {{request_principals: ["{ISSUER}/alice", "https://b/b"]}}}}', [(f"{ISSUER}/alice", "user", ())]),
        ("{when: ['claims.a == \"b\"']}", [("*", "any", ('claims.a == "b" must be true',))]),
        ("{}", [("*", "any", ())]),
        ("{to: {methods: [POST]}}", []),
        ("{to: [{methods: [POST]}, {paths: [/api/x]}]}", [("*", "any", ())]),
        ("{mode: shadow}", []),
        (
            "{from: {remote_ip_blocks: [10.0.0.0/8]}, when: [{key: 'request.headers[x-a]', not_values: [b]}]}",
            [("*", "any", (
                "from.remote_ip_blocks must be 10.0.0.0/8", "when request.headers[x-a] must not be b",
            ))],
        ),
        (
            f'{{from: {{principals: ["{WEB}"], namespaces: [ops]}}}}', [],
        ),
        (
            f'{{from: {{principals: ["{WEB}"], not_namespaces: [ops]}}}}', [(WEB, "workload", ())],
        ),
        (
            f'{{from: {{principals: ["{WEB}"], request_principals: ["*"]}}}}',
            [("*", "user", (f"from.principals must be {WEB}",))],
        ),
        (
            f'{{from: [{{principals: ["{WEB}"]}}, {{issuers: [corp]}}]}}',
            [(WEB, "workload", ()), (f"{ISSUER}/*", "user", ())],
        ),
    ],
)  # fmt: skip
def test_an_allow_rule_names_its_callers(
    tmp_path: Path, rule: str, ways: list[tuple[str, str, tuple[str, ...]]]
) -> None:
    assert allowed(tmp_path, rule) == ways


@pytest.mark.parametrize(
    ("deny", "ways"),
    [
        ("{name: no, from: {namespaces: [default]}}", []),
        ("{name: no, from: {namespaces: [legacy]}}", [()]),
        ('{name: no, from: {principals: ["spiffe://cluster.local/*"]}}', []),
        ("{name: no, to: {methods: [POST]}}", [()]),
        ("{name: no, mode: shadow}", [()]),
        ("{name: no}", []),
        (
            "{name: no, from: {request_principals: ['*']}}",
            [("no must not deny: from.request_principals must be *",)],
        ),
        (
            "{name: no, from: {ip_blocks: [10.0.0.0/8]}, to: {methods: [GET]}}",
            [("no must not deny: from.ip_blocks must be 10.0.0.0/8",)],
        ),
    ],
)
def test_a_deny_takes_away_or_stands_as_a_condition(tmp_path: Path, deny: str, ways: list[tuple[str, ...]]) -> None:
    rules = f'upstream: api, deny: [{deny}], allow: [{{from: {{principals: ["{WEB}"]}}}}]'
    assert [way.conditions for way in reach(tmp_path, rules).ways] == ways


@pytest.mark.parametrize(
    ("allow", "deny", "left"),
    [
        ("spiffe://cluster.local/ns/legacy/*", "spiffe://cluster.local/*", 0),
        ("spiffe://cluster.local/*", "spiffe://cluster.local/ns/legacy/*", 1),
        ("spiffe://cluster.local/ns/a/*", "spiffe://cluster.local/ns/b/*", None),
        ("*", "spiffe://cluster.local/*", 1),
        ("*/web", "*/sa/web", 1),
        ("*/sa/web", "*/web", 0),
    ],
)
def test_patterns_are_subtracted_as_far_as_they_cover(tmp_path: Path, allow: str, deny: str, left: int | None) -> None:
    rules = (
        f'upstream: api, deny: [{{name: no, from: {{principals: ["{deny}"]}}}}], '
        f'allow: [{{from: {{principals: ["{allow}"]}}}}]'
    )
    ways = reach(tmp_path, rules).ways
    assert [len(way.conditions) for way in ways] == ([] if left == 0 else [left or 0])


def test_public_routes_are_for_anyone_less_their_denies(tmp_path: Path) -> None:
    public = "public: true, respond: {}"
    assert reach(tmp_path, public).anyone
    claims = "- {name: p, action: deny, rules: [{when: [{key: 'request.auth.claims[a]', values: [b]}]}]}"
    assert reach(tmp_path, public, policies=claims).anyone  # who sends no token has no claim
    expression = "- {name: p, action: deny, rules: [{when: ['has(claims.a) && claims.a == \"b\"']}]}"
    assert reach(tmp_path, public, policies=expression).anyone
    afar = "- {name: p, action: deny, rules: [{from: {not_ip_blocks: [10.0.0.0/8]}}]}"
    found = reach(tmp_path, public, policies=afar)
    assert not found.anyone
    assert [(way.principal, way.kind, way.rule, way.conditions) for way in found.ways] == [
        ("*", "anyone", None, ("p[0] must not deny: from.not_ip_blocks must not be 10.0.0.0/8",))
    ]
    ruled = reach(tmp_path, f'{public}, allow: [{{name: web, from: {{principals: ["{WEB}"]}}}}, {{name: all}}]')
    assert [(way.principal, way.kind, way.rule) for way in ruled.ways] == [
        (WEB, "workload", "web"),
        ("*", "anyone", "all"),
    ]
    assert reach(tmp_path, public, policies="- {name: p, action: deny, rules: [{}]}").ways == ()


def test_what_the_listener_and_the_route_demand(tmp_path: Path) -> None:
    users = '{from: {request_principals: ["*"]}}'
    assert allowed(tmp_path, users, listener="strict") == [("*", "user", ("a client certificate must be shown",))]
    assert allowed(tmp_path, f'{{from: {{principals: ["{WEB}"]}}}}', listener="bare") == []
    assert allowed(tmp_path, f'{{from: {{principals: ["{WEB}"], request_principals: ["*"]}}}}', listener="bare") == []
    demanding = "upstream: api, requires: {certificate: true, audiences: [a], scopes: [s]}, allow: [{}]"
    assert [way.conditions for way in reach(tmp_path, demanding).ways] == [
        (
            "a client certificate must be shown", "a token for the audience a must be sent",
            "the token must have the scope s",
        )
    ]  # fmt: skip
    assert reach(tmp_path, demanding, listener="bare").ways == ()


def test_routes_that_hang_on_headers_stand_beside_the_one_below(tmp_path: Path) -> None:
    loaded = config(tmp_path, routes="""
    - {name: canary, match: {paths: [/api], headers: {x-canary: "1"}}, upstream: api, allow: [{name: a}]}
    - {name: main, match: {paths: [/api]}, public: true, respond: {}}
    - {name: never, match: {paths: [/api], headers: {x-b: "1"}}, upstream: api, allow: [{name: b}]}
    """)  # fmt: skip
    found = who(Offline(loaded), "GET", parse_url("/api"), loaded.listeners["edge"], NOW)
    assert found.routes == ("canary", "main")
    assert [(way.route, way.conditions) for way in found.ways] == [
        ("canary", ("the header x-canary must be 1",)), ("main", ()),
    ]  # fmt: skip
    assert found.anyone


def test_what_is_not_served_is_reached_by_nobody(tmp_path: Path) -> None:
    assert reach(tmp_path, "upstream: api, allow: [{}]", url="/other") == Reachable((), ())
    with pytest.raises(Refused) as refused:
        reach(tmp_path, "upstream: api, allow: [{}]", url="/api/%00")
    assert refused.value.reason is Reason.AMBIGUOUS_PATH
