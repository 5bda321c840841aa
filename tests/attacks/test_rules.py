"""Ways around the rules: from the file to the verdict, through the stages that serve."""

from pathlib import Path

import pytest

from gateway.config.problem import ConfigInvalid
from gateway.control import evidence
from gateway.control.made_up import make_connection, make_head, parse_url
from gateway.control.offline import Offline, Verdict
from gateway.model.json import JSON
from gateway.model.reason import Effect, Reason
from tests.control.policy_config import config
from tests.facts import NOW

ALICE: dict[str, JSON] = {"sub": "alice"}
ANYONE = '{from: {request_principals: ["*"]}}'


async def ask(
    folder: Path,
    *,
    deny: str = "",
    allow: str = f"[{ANYONE}]",
    policies: str = "",
    claims: dict[str, JSON] | None = ALICE,
    client: str | None = None,
    headers: tuple[tuple[str, str], ...] = (),
    method: str = "GET",
    url: str = "https://api.example.com/a",
) -> Verdict:
    """One request against one route with these rules."""
    rules = (f"deny: {deny}\n" if deny else "") + (f"allow: {allow}\n" if allow else "")
    route = f"- name: r\n  match: {{paths: ['/*']}}\n  upstream: api\n  {rules.replace(chr(10), chr(10) + '  ')}"
    offline = Offline(config(folder, routes=route.rstrip(), policies=policies))
    loaded = offline.config
    certificate = evidence.no_certificate(loaded) if client is None else evidence.assumed_certificate(loaded, client)
    token = evidence.no_token(loaded)
    if claims is not None:
        token = evidence.assumed_token(loaded, None, claims, "corp", NOW)
        headers = (*headers, ("authorization", f"Bearer {token.sent}"))
    parsed = parse_url(url)
    over = make_connection(loaded.listeners["edge"], parsed.authority, chain=certificate.sent)
    return await offline.judge(over, make_head(method, parsed, headers), NOW, token, certificate)


async def test_Z1_a_route_without_allow_denies(tmp_path: Path) -> None:
    assert (await ask(tmp_path, allow="")).reason is Reason.NO_RULE_ALLOWS


async def test_Z1_deny_over_allow_whatever_the_order_of_the_file(tmp_path: Path) -> None:
    policies = "- {name: all, action: allow, rules: [{}]}\n- {name: none, action: deny, rules: [{}]}"
    verdict = await ask(tmp_path, policies=policies)
    assert (verdict.reason, verdict.rule) == (Reason.DENIED_BY_RULE, "none[0]")


@pytest.mark.parametrize(
    "bad",
    [
        pytest.param("[]", id="Z2-empty-list"),
        pytest.param("[{from: {}}]", id="Z2-from-that-asks-nothing"),
        pytest.param("[{from: []}]", id="Z2-empty-from"),
        pytest.param("[{to: {methods: []}}]", id="Z2-empty-values"),
        pytest.param("[{from: {principals: ['']}}]", id="Z2-empty-string"),
        pytest.param("[{from: {principals: [cluster.local/ns/a]}}]", id="Z6-principal-not-whole"),
        pytest.param("[{from: {principals: ['spiffe://a*b']}}]", id="Z5-star-inside"),
        pytest.param("[{from: {principals: ['*a*']}}]", id="Z5-star-at-both-ends"),
        pytest.param("[{to: {paths: ['/a/{id}']}}]", id="Z11-named-operator"),
        pytest.param("[{to: {paths: ['/{**}/{**}']}}]", id="Z11-two-rests"),
        pytest.param("[{to: {paths: ['/a/../b']}}]", id="Z13-path-that-never-matches"),
        pytest.param("[{to: {hosts: ['api.example.com:8443']}}]", id="Z13-host-that-never-matches"),
        pytest.param("[{to: {methods: [get]}}]", id="Z13-method-in-lower-case"),
        pytest.param("[{from: {ip_blocks: [10.0.0.1/8]}}]", id="Z13-bits-behind-the-prefix"),
        pytest.param("[{from: {service_accounts: ['ns/*']}}]", id="Z12-pattern-in-an-account"),
        pytest.param("[{from: {issuers: [nobody]}}]", id="Z13-unknown-issuer"),
        pytest.param("[{when: [{key: request.time, values: [x]}]}]", id="Z7-unknown-key"),
        pytest.param("[{when: [{key: 'request.auth.claims[]', values: [x]}]}]", id="Z7-claim-without-a-name"),
        pytest.param("[{when: [{key: 'request.headers[x]'}]}]", id="Z2-condition-without-values"),
    ],
)
@pytest.mark.parametrize("side", ["allow", "deny"])
async def test_a_rule_that_is_not_sound_refuses_the_file(tmp_path: Path, bad: str, side: str) -> None:
    with pytest.raises(ConfigInvalid):
        await (ask(tmp_path, allow=bad) if side == "allow" else ask(tmp_path, deny=bad))


GROUPS = "when: [{key: 'request.auth.claims[groups]', %s: [admins]}]"


@pytest.mark.parametrize(
    ("rules", "effect"),
    [
        pytest.param({"allow": f"[{{{GROUPS % 'values'}}}]"}, Effect.DENY, id="Z9-allow-values"),
        pytest.param({"allow": f"[{{{GROUPS % 'not_values'}}}]"}, Effect.DENY, id="Z9-allow-not-values"),
        pytest.param({"deny": f"[{{{GROUPS % 'values'}}}]"}, Effect.ALLOW, id="Z9-deny-values"),
        pytest.param({"deny": f"[{{{GROUPS % 'not_values'}}}]"}, Effect.DENY, id="Z9-deny-not-values"),
    ],
)
@pytest.mark.parametrize("who", ["token-without-the-claim", "certificate-alone"])
async def test_an_absent_claim_never_opens(tmp_path: Path, rules: dict[str, str], effect: Effect, who: str) -> None:
    callers = "[{from: [{request_principals: ['*']}, {principals: ['*']}]}]"
    without_token = who == "certificate-alone"
    verdict = await ask(
        tmp_path,
        **{"allow": callers, **rules},  # type: ignore[arg-type]
        claims=None if without_token else ALICE,
        client="spiffe://cluster.local/ns/a/sa/b" if without_token else None,
    )
    assert verdict.effect is effect


@pytest.mark.parametrize(
    ("claim", "effect"),
    [
        pytest.param("admins", Effect.ALLOW, id="Z8-string"),
        pytest.param(["users", "admins"], Effect.ALLOW, id="Z8-element"),
        pytest.param("admins users", Effect.DENY, id="Z8-undelimited-claim-is-one-value"),
        pytest.param(["admins users"], Effect.DENY, id="Z8-element-is-one-value"),
        pytest.param([["admins"]], Effect.DENY, id="Z8-list-in-a-list"),
        pytest.param({"admins": True}, Effect.DENY, id="Z8-object"),
        pytest.param("ADMINS", Effect.DENY, id="Z8-case"),
        pytest.param("admins\x00", Effect.DENY, id="Z8-nul"),
        pytest.param(True, Effect.DENY, id="Z8-boolean"),
        pytest.param(None, Effect.DENY, id="Z8-null"),
    ],
)
async def test_a_claim_matches_as_the_strings_that_it_holds(tmp_path: Path, claim: JSON, effect: Effect) -> None:
    verdict = await ask(tmp_path, allow=f"[{{{GROUPS % 'values'}}}]", claims={"sub": "alice", "groups": claim})
    assert verdict.effect is effect


HEADER = "when: [{key: 'request.headers[x-role]', values: [%s]}]"


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param((("x-role", "user"), ("x-role", "admin")), id="H17-bad-last"),
        pytest.param((("x-role", "admin"), ("x-role", "user")), id="H17-bad-first"),
        pytest.param((("X-Role", "admin"), ("x-ROLE", "user")), id="H17-names-in-any-case"),
    ],
)
async def test_a_repeated_header_gets_around_no_rule(tmp_path: Path, headers: tuple[tuple[str, str], ...]) -> None:
    denied = await ask(tmp_path, deny=f"[{{{HEADER % 'admin'}}}]", headers=headers)
    assert denied.reason is Reason.DENIED_BY_RULE
    for wanted in ("user", "admin"):
        refused = await ask(tmp_path, allow=f"[{{{HEADER % wanted}}}]", headers=headers)
        assert refused.reason is Reason.NO_RULE_ALLOWS


@pytest.mark.parametrize(
    ("url", "headers"),
    [
        pytest.param("https://API.Example.com./a", (), id="P5-host-in-another-case-with-a-dot"),
        pytest.param("https://api.example.com:9999/a", (), id="P5-host-with-a-port"),
        pytest.param("/a", (("host", "api.example.com"),), id="P5-host-in-the-field"),
    ],
)
async def test_a_host_is_denied_in_every_spelling(
    tmp_path: Path, url: str, headers: tuple[tuple[str, str], ...]
) -> None:
    verdict = await ask(tmp_path, deny="[{to: {hosts: [api.EXAMPLE.com]}}]", url=url, headers=headers)
    assert verdict.reason is Reason.DENIED_BY_RULE


@pytest.mark.parametrize(
    "field",
    ["x-forwarded-for", "x-real-ip", "forwarded", "x-client-ip", "x-envoy-external-address", "true-client-ip"],
)
async def test_H15_no_field_moves_a_caller_into_a_block(tmp_path: Path, field: str) -> None:
    allow = "[{from: {remote_ip_blocks: [10.0.0.0/8]}}, {from: {ip_blocks: [10.0.0.0/8]}}]"
    value = "for=10.0.0.1" if field == "forwarded" else "10.0.0.1"
    assert (await ask(tmp_path, allow=allow, headers=((field, value),))).reason is Reason.NO_RULE_ALLOWS


async def test_Z6_a_prefix_of_a_domain_is_no_other_domain(tmp_path: Path) -> None:
    allow = "[{from: {principals: ['spiffe://cluster.local/*']}}]"
    inside = await ask(tmp_path, allow=allow, claims=None, client="spiffe://cluster.local/ns/a/sa/b")
    assert inside.effect is Effect.ALLOW
    outside = await ask(tmp_path, allow=allow, claims=None, client="spiffe://cluster.local.evil/ns/a/sa/b")
    assert outside.effect is Effect.CHALLENGE


async def test_Z12_a_dot_in_an_account_is_a_dot(tmp_path: Path) -> None:
    allow = "[{from: {service_accounts: [ns/a.b]}}]"
    for account, effect in (("a.b", Effect.ALLOW), ("axb", Effect.DENY), ("a.bc", Effect.DENY)):
        client = f"spiffe://cluster.local/ns/ns/sa/{account}"
        assert (await ask(tmp_path, allow=allow, claims=None, client=client)).effect is effect


async def test_Z19_shadow_grants_and_denies_nothing(tmp_path: Path) -> None:
    shadow = "{name: s, mode: shadow, from: {request_principals: ['*']}}"
    assert (await ask(tmp_path, allow=f"[{shadow}]")).reason is Reason.NO_RULE_ALLOWS
    denied = await ask(tmp_path, deny=f"[{shadow}]")
    assert denied.effect is Effect.ALLOW
    assert [each.name for each in denied.shadows] == ["s"]


async def test_Z16_a_method_that_misses_does_not_fall_to_rules_of_its_route(tmp_path: Path) -> None:
    allow = "[{from: {request_principals: ['*']}, to: {methods: [GET]}}]"
    for method in ("HEAD", "POST", "PROPFIND"):
        assert (await ask(tmp_path, allow=allow, method=method)).reason is Reason.NO_RULE_ALLOWS


async def test_H16_an_override_is_not_the_method_that_is_judged(tmp_path: Path) -> None:
    allow = "[{to: {methods: [GET]}, from: {request_principals: ['*']}}]"
    override = (("x-http-method-override", "GET"),)
    assert (await ask(tmp_path, allow=allow, method="DELETE", headers=override)).reason is Reason.NO_RULE_ALLOWS


@pytest.mark.parametrize(
    "field",
    [
        pytest.param("x_role", id="H14-underscore"),
        pytest.param("x.role", id="H14-dot"),
        pytest.param("X__Role", id="H14-two-underscores"),
    ],
)
async def test_another_spelling_of_a_field_grants_nothing(tmp_path: Path, field: str) -> None:
    verdict = await ask(tmp_path, allow=f"[{{{HEADER % 'admin'}}}]", headers=((field, "admin"),))
    assert verdict.reason is Reason.NO_RULE_ALLOWS


async def test_Z10_an_unknown_token_is_never_nobody(tmp_path: Path) -> None:
    stranger: dict[str, JSON] = {"sub": "alice", "iss": "https://other.example"}
    verdict = await ask(tmp_path, claims=stranger)
    assert verdict.reason is Reason.TOKEN_ISSUER
