"""`gateway explain`: what people and scripts read."""

import json
from pathlib import Path
from typing import Any

import pytest

from gateway.cli.main import main
from gateway.testing.ca import Authority
from gateway.testing.issuer import Issuer
from tests.control.policy_config import ISSUER, place, write

ROUTES = """
- name: inventory
  match: {paths: ["/api/v1/inventory/*"], methods: [GET, POST]}
  upstream: api
  rate_limits: [per-address, per-client]
  requires: {scopes: ["inventory:read"]}
  deny: [{name: no-legacy, from: {principals: ["spiffe://cluster.local/ns/legacy/*"]}}]
  allow:
    - {name: readers, from: {request_principals: ["*"]}, to: {methods: [GET]}}
    - name: payment-writes
      from: {principals: ["spiffe://cluster.local/ns/default/sa/payment"]}
      to: {methods: [POST]}
- {name: health, match: {paths: [/health]}, public: true, respond: {status: 200, body: ok}}
"""
POLICIES = """
- name: outside
  action: deny
  rules: [{from: {not_ip_blocks: [10.0.0.0/8]}, to: {paths: ["*/secret"]}}]
"""
LIMITS = """
rate_limits:
  per-address: {rate: 600/minute, key: [client_ip]}
  per-client: {rate: 100/minute, key: [principal]}
"""
URL = "https://api.example.com/api/v1/inventory/42"
READER = '{"sub": "alice", "scope": "inventory:read"}'


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return write(tmp_path, routes=ROUTES, policies=POLICIES, more=LIMITS)


def explain(file: Path, capsys: pytest.CaptureFixture[str], *args: str) -> tuple[int, dict[str, Any]]:
    code = main(["explain", "-c", str(file), "--json", *args])
    document: dict[str, Any] = json.loads(capsys.readouterr().out)
    return code, document


def test_an_allowed_request(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, found = explain(file, capsys, "GET", URL, "--claims", READER)
    assert code == 0
    assert {key: found[key] for key in ("effect", "status", "reason", "route", "rule", "where", "nearest")} == {
        "effect": "allow", "status": None, "reason": None, "route": "inventory", "rule": "readers",
        "where": place(file, "{name: readers"), "nearest": [],
    }  # fmt: skip
    assert [(stage["stage"], stage["result"]) for stage in found["stages"]] == [
        (name, "ok")
        for name in (
            "accept", "route", "ratelimit.address", "authenticate", "posture", "ratelimit.caller", "authorize",
        )
    ]  # fmt: skip
    details = {stage["stage"]: stage["detail"] for stage in found["stages"]}
    assert details["ratelimit.address"] == "per-address (600/minute, not counted)"
    assert details["ratelimit.caller"] == "per-client (100/minute, not counted)"
    assert details["authenticate"] == f"user {ISSUER}/alice"
    assert [(rule["rule"], rule["action"], rule["mode"], rule["matched"]) for rule in found["rules"]] == [
        ("outside[0]", "deny", "enforce", False),
        ("no-legacy", "deny", "enforce", False),
        ("readers", "allow", "enforce", True),
        ("payment-writes", "allow", "enforce", False),
    ]
    assert all(rule["why"] for rule in found["rules"])


@pytest.mark.parametrize(
    ("args", "effect", "status", "reason", "rule"),
    [
        (("POST", URL, "--claims", READER), "deny", 403, "no_rule_allows", None),
        (("GET", URL + "/secret", "--claims", READER), "deny", 403, "denied_by_rule", "outside[0]"),
        (("GET", URL, "--claims", '{"sub": "alice"}'), "deny", 403, "scope_missing", None),
        (("GET", URL), "challenge", 401, "credentials_missing", None),
        (("GET", URL, "--claims", '{"sub": "a", "aud": "x"}'), "challenge", 401, "token_audience", None),
        (("GET", URL, "--claims", '{"sub": "a", "exp": 1}'), "challenge", 401, "token_expired", None),
        (("GET", URL, "--client", "spiffe://cluster.local/a//b"), "challenge", 401, "spiffe_id_invalid", None),
        (("GET", URL + "/%2e%2e/..//x"), "refuse", 400, "ambiguous_path", None),
        (("GET", "https://api.example.com/x"), "no_route", 404, "no_route", None),
        (("DELETE", URL), "no_route", 405, "method_not_allowed", None),
        (("TRACE", URL), "no_route", 405, "method_not_allowed", None),
        (("GET", "/health", "--header", "Host: a,b"), "refuse", 400, "bad_request", None),
        (("GET", "/health", "--header", "Expect: more"), "refuse", 417, "expectation_failed", None),
    ],
)
def test_a_refused_request_names_its_reason(
    file: Path,
    capsys: pytest.CaptureFixture[str],
    args: tuple[str, ...],
    effect: str,
    status: int,
    reason: str,
    rule: str | None,
) -> None:
    code, found = explain(file, capsys, *args)
    assert code == 1
    assert (found["effect"], found["status"], found["reason"], found["rule"]) == (effect, status, reason, rule)
    results = [stage["result"] for stage in found["stages"]]
    refused = results.index("refused")
    assert set(results[:refused]) <= {"ok"}
    assert set(results[refused + 1 :]) <= {"not reached"}


def test_a_deny_lists_what_would_have_been_enough(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, found = explain(file, capsys, "POST", URL, "--claims", READER)
    assert found["where"] == place(file, "name: inventory")
    assert found["nearest"] == [
        {"rule": "readers", "where": place(file, "{name: readers"), "missing": ["to.methods must be GET: it is POST"]},
        {
            "rule": "payment-writes",
            "where": place(file, "name: payment-writes"),
            "missing": ["from.principals must be spiffe://cluster.local/ns/default/sa/payment: it is absent"],
        },
    ]


def test_a_missing_scope_points_at_what_the_route_requires(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, found = explain(file, capsys, "GET", URL, "--claims", '{"sub": "alice"}')
    assert found["where"] == place(file, '{scopes: ["inventory:read"]}')
    assert found["stages"][-1]["detail"] == "scope_missing: the scope inventory:read is required"


def test_peer_listener_and_time_are_as_given(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert explain(file, capsys, "GET", URL + "/secret", "--claims", READER, "--ip", "10.1.2.3")[0] == 0
    claims = '{"sub": "alice", "scope": "inventory:read", "exp": 2000000000}'
    assert explain(file, capsys, "GET", URL, "--claims", claims, "--now", "2033-05-18T03:00:00Z")[0] == 0
    late = explain(file, capsys, "GET", URL, "--claims", claims, "--now", "2033-05-19T03:00:00Z")
    assert late[1]["reason"] == "token_expired"
    assert explain(file, capsys, "GET", "/health", "--listener", "edge", "--now", "1800000000")[0] == 0


def test_a_real_token_and_a_real_certificate(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    issuer = Issuer(ISSUER)
    keys = file.parent / "jwks.json"
    keys.write_text(json.dumps(issuer.jwks()), encoding="utf-8")
    token = issuer.token("alice", scope="inventory:read")
    assert explain(file, capsys, "GET", URL, "--token", token, "--jwks", str(keys))[0] == 0
    sent = ("--header", f"Authorization: Bearer {token}", "--jwks", str(keys))
    assert explain(file, capsys, "GET", URL, *sent)[0] == 0
    stranger = Authority("cluster.local").issue(uri="spiffe://cluster.local/ns/a/sa/b").write(file.parent, "stranger")
    code, found = explain(file, capsys, "GET", URL, "--client-cert", str(stranger.certificate))
    assert (code, found["reason"], found["at"]) == (1, "certificate_untrusted", "handshake")


def test_only_a_gateway_that_serves_asks_about_a_certificate(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = Authority("asked.example")
    root.write(tmp_path, "asked")
    file = write(tmp_path, routes=ROUTES, policies=POLICIES, more=LIMITS)
    asked = "trust_domains:\n  asked.example: {bundle: asked.pem, ocsp: {}}\n"
    file.write_text(file.read_text().replace("trust_domains:\n", asked))
    leaf = root.issue(uri="spiffe://asked.example/a").write(tmp_path, "leaf")
    code, found = explain(file, capsys, "GET", URL, "--client-cert", str(leaf.certificate))
    assert (code, "only the OCSP responder of asked.example" in found["error"]["message"]) == (2, True)


def test_the_handshake_of_a_strict_listener(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = write(tmp_path, routes=ROUTES, policies=POLICIES, more=LIMITS, client_certificate="required")
    code, found = explain(file, capsys, "GET", URL, "--claims", READER)
    assert (code, found["status"], found["reason"], found["at"]) == (1, 401, "certificate_required", "handshake")
    assert [rule["rule"] for rule in found["rules"] if rule["matched"]] == ["readers"]


def test_a_certificate_that_nobody_asks_for_is_not_sent(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = write(tmp_path, routes=ROUTES, policies=POLICIES, more=LIMITS, client_certificate="none")
    code, found = explain(file, capsys, "GET", URL, "--client", "spiffe://cluster.local/ns/a/sa/b")
    assert (code, found["reason"]) == (1, "credentials_missing")
    assert "asks for no client certificate" in found["notes"][0]


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (("GET", URL, "--posture", "{"), "--posture is no JSON"),
        (("GET", URL, "--posture", "[]"), "--posture is one JSON object"),
        (("GET", URL, "--claims", "{"), "--claims is no JSON"),
        (("GET", URL, "--claims", "[]"), "one JSON object"),
        (("GET", URL, "--claims", "{}", "--issuer", "x"), "no issuer is named"),
        (("GET", URL, "--claims", "{}", "--token", "x"), "not allowed with"),
        (("GET", URL, "--ip", "x"), "no IP address"),
        (("GET", URL, "--header", "x"), "NAME:VALUE"),
        (("GET", URL, "--now", "x"), "2026-01-31"),
        (("GET", URL, "--listener", "x"), "no listener is named"),
        (("GET", "example.com"), "write one like"),
        (("GET", URL, "--client-cert", "/absent.pem"), "cannot read"),
        (("GET", URL, "--token", Issuer(ISSUER).token()), "--jwks FILE"),
        (("GET",), "wanted"),
    ],
)  # fmt: skip
def test_what_cannot_be_told_says_what_to_give(
    file: Path, capsys: pytest.CaptureFixture[str], args: tuple[str, ...], says: str
) -> None:
    code, found = explain(file, capsys, *args)
    assert code == 2
    assert says in found["error"]["message"]


def test_an_invalid_file_cannot_tell(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = write(tmp_path, routes=ROUTES + "  nonsense: 1\n", more=LIMITS)
    assert main(["explain", "-c", str(file), "GET", "/"]) == 2
    assert main(["explain", "-c", str(tmp_path / "absent.yaml"), "GET", "/"]) == 2
    capsys.readouterr()


def test_no_token_is_ever_shown(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    token = Issuer("https://unknown.example").token("alice")
    main(["explain", "-c", str(file), "GET", URL, "--header", f"Authorization: Bearer {token}"])
    shown = capsys.readouterr()
    for part in token.split("."):
        assert part not in shown.out + shown.err


MANAGED = """
posture:
  managed:
    source: {http: "https://posture.internal/{device}"}
    device: certificate.fingerprint
    require: [device.encrypted]
    remediation: https://help.example.com
"""
DEVICES = """
- name: asks
  match: {paths: ["/*"]}
  upstream: api
  requires: {posture: managed}
  allow: [{name: owners, when: ['device.owner == claims.sub && claims.level > 3']}]
"""


def test_facts_about_a_device_are_taken_as_known(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = write(tmp_path, routes=DEVICES, more=MANAGED)
    claims = ("--claims", '{"sub": "alice", "level": 4}')
    good = ("--posture", '{"encrypted": true, "owner": "alice"}')
    code, found = explain(file, capsys, "GET", URL, *claims, *good)
    assert (code, found["effect"], found["rule"]) == (0, "allow", "owners")
    assert {stage["stage"]: stage["detail"] for stage in found["stages"]}["posture"] == "device assumed"
    code, found = explain(file, capsys, "GET", URL, *claims, "--posture", '{"encrypted": false, "owner": "alice"}')
    assert (code, found["status"], found["reason"]) == (1, 403, "posture_failed")
    assert found["where"] == place(file, "source:")
    assert found["rules"][0]["matched"]  # judged all the same, over what is known of the device
    refused = next(stage for stage in found["stages"] if stage["result"] == "refused")
    assert refused["detail"] == "posture_failed: managed: not met: device.encrypted"
    code, found = explain(file, capsys, "GET", URL, *claims)
    assert found["reason"] == "posture_failed"


def test_a_deny_says_which_part_of_an_expression_fails(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = write(tmp_path, routes=DEVICES, more=MANAGED)
    args = ("GET", URL, "--claims", '{"sub": "bob"}', "--posture", '{"encrypted": true, "owner": "alice"}')
    _, found = explain(file, capsys, *args)
    assert found["nearest"][0]["missing"] == [
        "when device.owner == claims.sub is false",
        "when claims.level > 3 cannot be judged: claims.level is absent",
    ]


def test_a_token_of_an_issuer_in_shadow_is_judged_and_counts_as_not_sent(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trial = f'corp: {{issuer: "{ISSUER}", audiences: [api-service], mode: shadow}}'
    file = write(tmp_path, routes=ROUTES, more=LIMITS, issuers=trial)
    for claims, would in ((READER, "taken"), ('{"sub": "alice", "aud": "other"}', "refused")):
        code, found = explain(file, capsys, "GET", URL, "--claims", claims)
        assert (code, found["reason"]) == (1, "credentials_missing")
        detail = next(stage["detail"] for stage in found["stages"] if stage["stage"] == "authenticate")
        assert detail.endswith(f"issuer corp is in shadow: its token counts as not sent, and would be {would}")
        assert not any(rule["matched"] for rule in found["rules"] if rule["rule"] == "readers")
        code, found = explain(file, capsys, "GET", "https://api.example.com/health", "--claims", claims)
        assert code == 0


def test_a_limit_is_told_with_what_this_caller_is_given(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    limits = """
rate_limits:
  per-address: {rate: 600/minute, key: [client_ip], mode: shadow}
  per-client:
    rate: [10/second, 1000/day]
    concurrency: 5
    overrides: [{match: {claims: {tier: gold}}, rate: 100/second}]
"""
    routes = ROUTES.replace("[per-address, per-client]", "[per-address, {limit: per-client, cost: 2}]")
    file = write(tmp_path, routes=routes, policies=POLICIES, more=limits)
    for claims, expected in (
        (READER, "per-client (10/second, 1000/day, 5 at once, costs 2, not counted)"),
        (
            READER.replace("}", ', "tier": "gold"}'),
            "per-client (100/second, 5 at once, override 0, costs 2, not counted)",
        ),
    ):
        _, found = explain(file, capsys, "GET", URL, "--claims", claims)
        details = {stage["stage"]: stage["detail"] for stage in found["stages"]}
        assert details["ratelimit.address"] == "per-address (600/minute, shadow, not counted)"
        assert details["ratelimit.caller"] == expected


RESTRICTED = """
- name: vault
  match: {paths: [/vault]}
  upstream: api
  classification: restricted
  requires: {scopes: [read]}
  allow: [{name: everyone, from: {request_principals: ["*"]}}]
"""
CLASSES = """
classes:
  restricted:
    requires: {acr: [phr], max_auth_age: 15m}
"""


def test_a_login_that_is_not_enough_points_at_the_class_that_asks(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = write(tmp_path, routes=RESTRICTED, more=CLASSES)
    args = ("GET", "https://api.example.com/vault", "--now", "1000", "--claims")
    code, found = explain(file, capsys, *args, '{"sub": "a", "scope": "read", "acr": "low", "auth_time": 900}')
    assert (code, found["effect"], found["status"], found["reason"]) == (1, "challenge", 401, "step_up_required")
    assert found["where"] == place(file, "{acr: [phr]")
    assert [(each["key"], each["value"], each["class"]) for each in found["requires"]] == [
        ("acr", "phr", "restricted"),
        ("max_auth_age", "15m", "restricted"),
        ("scopes", "read", None),
    ]
    assert found["requires"][2]["where"] == place(file, "{scopes: [read]}")
    code, found = explain(file, capsys, *args, '{"sub": "a", "scope": "read", "acr": "phr", "auth_time": 100}')
    assert (code, found["effect"]) == (0, "allow")
    code, found = explain(file, capsys, *args, '{"sub": "a", "scope": "read", "acr": "phr", "auth_time": 99}')
    assert found["reason"] == "step_up_required"
    main(["explain", "-c", str(file), *args, '{"sub": "a"}'])
    page = capsys.readouterr().out
    assert "step_up_required: acr is none of those that the route requires" in page
    assert "requires\n           acr            phr  class restricted" in page


def test_a_handshake_is_explained_as_the_request_that_it_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    chat = """
- name: chat
  match: {paths: ["/chat"]}
  upstream: api
  websocket: {origins: ["https://app.example.com"], token_subprotocol: bearer}
  allow: [{from: {request_principals: ["*"]}}]
"""
    file, asked = (
        write(tmp_path, routes=ROUTES + chat, policies=POLICIES, more=LIMITS),
        ("--header", "Upgrade: websocket"),
    )
    found = explain(file, capsys, "GET", "https://api.example.com/chat", "--claims", READER, *asked)[1]
    assert (found["effect"], found["route"]) == ("allow", "chat")
    evil = ("--header", "Origin: https://evil.example")
    found = explain(file, capsys, "GET", "https://api.example.com/chat", "--claims", READER, *asked, *evil)[1]
    assert (found["effect"], found["reason"]) == ("deny", "cors_refused")
    found = explain(file, capsys, "GET", URL, "--claims", READER, *asked)[1]
    assert (found["effect"], found["reason"]) == ("refuse", "upgrade_refused")
