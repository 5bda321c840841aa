"""Offline judging runs the stages that serve, and goes on past the first refusal."""

from pathlib import Path

from gateway.control import evidence
from gateway.control.made_up import make_connection, make_head, parse_url
from gateway.control.offline import Offline, Verdict
from gateway.model.json import JSON
from gateway.model.reason import Effect, Reason
from gateway.model.trace import Stage
from tests.control.policy_config import config
from tests.facts import NOW

ROUTES = """
- name: api
  match: {paths: ["/api/*"], methods: [GET, PUT]}
  upstream: api
  rate_limits: [per-client]
  deny: [{name: no-legacy, from: {namespaces: [legacy]}}]
  allow:
    - {name: readers, from: {request_principals: ["*"]}, to: {methods: [GET]}}
    - {name: writers, from: {request_principals: ["*/root"], namespaces: [ops]}, to: {methods: [PUT]}}
    - {name: draft, mode: shadow, to: {methods: [PUT]}}
  cors: {origins: ["https://app.example.com"]}
- {name: hello, match: {paths: [/hello]}, public: true, respond: {status: 203}}
- {name: gone, match: {paths: [/gone]}, public: true, redirect: {to: "https://example.com/"}}
"""
LIMITS = """
rate_limits:
  per-address: {rate: 600/minute, key: [client_ip]}
  per-client: {rate: 100/minute, key: [principal]}
"""


async def judge(
    offline: Offline,
    method: str,
    url: str,
    *headers: tuple[str, str],
    claims: dict[str, JSON] | None = None,
    client: str | None = None,
) -> Verdict:
    loaded = offline.config
    certificate = evidence.no_certificate(loaded) if client is None else evidence.assumed_certificate(loaded, client)
    connection = make_connection(loaded.listeners["edge"], "api.example.com", chain=certificate.sent)
    bare = make_head(method, parse_url(url), headers)
    token = evidence.no_token(loaded)
    if claims is not None:
        token = evidence.assumed_token(loaded, offline.route_of(connection, bare, NOW), claims, None, NOW)
        bare = make_head(method, parse_url(url), (*headers, ("authorization", f"Bearer {token.sent}")))
    return await offline.judge(connection, bare, NOW, token, certificate)


def offline(folder: Path, client_certificate: str = "optional") -> Offline:
    return Offline(config(folder, routes=ROUTES, more=LIMITS, client_certificate=client_certificate))


async def test_an_allowed_request_names_its_rule_and_place(tmp_path: Path) -> None:
    verdict = await judge(offline(tmp_path), "GET", "/api/x", claims={"sub": "alice"})
    assert (verdict.effect, verdict.status, verdict.rule, verdict.reason) == (Effect.ALLOW, None, "readers", None)
    assert verdict.where is not None
    assert [(judged.rule.name, judged.matched) for judged in verdict.judged] == [
        ("no-legacy", False), ("readers", True), ("writers", False), ("draft", False),
    ]  # fmt: skip


async def test_answers_of_the_gateways_own_have_their_status(tmp_path: Path) -> None:
    judged_by = offline(tmp_path)
    assert (await judge(judged_by, "GET", "/hello")).status == 203
    assert (await judge(judged_by, "GET", "/gone")).status == 308
    asking = (("origin", "https://app.example.com"), ("access-control-request-method", "PUT"))
    preflight = await judge(judged_by, "OPTIONS", "/api/x", *asking)
    assert (preflight.effect, preflight.status, preflight.judged) == (Effect.ALLOW, 204, ())


async def test_a_deny_names_the_nearest_misses(tmp_path: Path) -> None:
    verdict = await judge(offline(tmp_path), "PUT", "/api/x", claims={"sub": "root"})
    assert (verdict.effect, verdict.reason, verdict.rule) == (Effect.DENY, Reason.NO_RULE_ALLOWS, None)
    assert {judged.rule.name: judged.missing for judged in verdict.nearest} == {
        "readers": ("to.methods must be GET: it is PUT",),
        "writers": ("from.namespaces must be ops: it is absent",),
    }
    assert [shadow.name for shadow in verdict.shadows] == ["draft"]


async def test_rules_are_judged_behind_a_refusal_for_whom_the_credentials_present(tmp_path: Path) -> None:
    verdict = await judge(offline(tmp_path), "GET", "/api/x", claims={"sub": "alice", "aud": "another"})
    assert (verdict.effect, verdict.reason) == (Effect.CHALLENGE, Reason.TOKEN_AUDIENCE)
    assert verdict.trace.stage is Stage.AUTHENTICATE
    assert [judged.rule.name for judged in verdict.judged if judged.matched] == ["readers"]
    assert verdict.nearest == []
    nobody = await judge(offline(tmp_path), "GET", "/api/x")
    assert nobody.reason is Reason.CREDENTIALS_MISSING
    assert not any(judged.matched for judged in nobody.judged)


async def test_what_tls_refuses_is_told_before_there_is_a_request(tmp_path: Path) -> None:
    strict = offline(tmp_path, "required")
    for path in ("/hello", "/nowhere", "/%00"):
        verdict = await judge(strict, "GET", path, claims={"sub": "alice"})
        assert (verdict.reason, verdict.status, verdict.at_handshake) == (Reason.CERTIFICATE_REQUIRED, 401, True)
    with_one = await judge(strict, "GET", "/hello", client="spiffe://cluster.local/ns/a/sa/b")
    assert (with_one.effect, with_one.at_handshake) == (Effect.ALLOW, False)
    stranger = await judge(offline(tmp_path), "GET", "/api/x", client="spiffe://evil.example/x")
    assert (stranger.reason, stranger.at_handshake) == (Reason.CERTIFICATE_UNTRUSTED, True)
    malformed = await judge(offline(tmp_path), "GET", "/api/x", client="spiffe://cluster.local/a/../b")
    assert (malformed.reason, malformed.at_handshake) == (Reason.SPIFFE_ID_INVALID, False)
    assert malformed.judged


async def test_a_miss_has_no_rules(tmp_path: Path) -> None:
    for method, path, reason in (("GET", "/x", Reason.NO_ROUTE), ("POST", "/api/x", Reason.METHOD_NOT_ALLOWED)):
        verdict = await judge(offline(tmp_path), method, path)
        assert (verdict.effect, verdict.reason, verdict.judged) == (Effect.NO_ROUTE, reason, ())


async def test_limits_are_named_by_gate(tmp_path: Path) -> None:
    judged_by = offline(tmp_path)
    verdict = await judge(judged_by, "GET", "/api/x", claims={"sub": "alice"})
    assert judged_by.limits(verdict.trace, verdict.principal, by_address=True) == []
    assert judged_by.limits(verdict.trace, verdict.principal, by_address=False) == [
        "per-client (100/minute, not counted)"
    ]
