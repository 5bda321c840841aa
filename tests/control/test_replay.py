"""Recorded decisions judged again: what flips, and what is never guessed."""

import shutil
from pathlib import Path

import pytest

from gateway.config.grants import load_with_grants
from gateway.config.schema import Config
from gateway.control.records import audit_files
from gateway.control.replay import Judged, judge_all
from gateway.model.json import JSON
from tests.control.audit_log import Ask, write_log
from tests.control.policy_config import config, write
from tests.facts import NOW
from tests.granting import Signer, write_grants

WEB, OPS = "spiffe://cluster.local/ns/default/sa/web", "spiffe://cluster.local/ns/ops/sa/root"
BEFORE = """
- name: api
  match: {paths: ["/api/*"]}
  upstream: api
  deny: [{name: gone, when: [{key: "request.auth.claims[tenant]", values: [gone]}]}]
  allow:
    - {name: readers, from: {request_principals: ["*"]}, to: {methods: [GET]}}
    - {name: ops, from: {namespaces: [ops]}}
    - {name: canary, to: {methods: [PUT]}, when: [{key: "request.headers[x-canary]", values: ["1"]}]}
- {name: hello, match: {paths: [/hello]}, public: true, respond: {}}
"""
LIMITS = "rate_limits: {all: {rate: 1/minute, key: [principal]}}"
ASKED = (
    Ask(user="alice"),
    Ask(user="bob", claims={"tenant": "gone"}),
    Ask(user="carol", method="PUT", headers=(("x-canary", "1"),)),
    Ask(user="carol", method="PUT", headers=(("x-canary", "2"),)),
    Ask(client=OPS, method="DELETE"),
    Ask(client=WEB, method="DELETE"),
    Ask(),
    Ask("/hello"),
    Ask("/nowhere"),
    Ask("/api/%00"),
    Ask(user="dave", claims={"aud": "another"}),
    Ask("/api/x", "OPTIONS", headers=(("origin", "https://a.example"), ("access-control-request-method", "GET"))),
)


async def again(before: Config, after: Config, *asked: Ask, told: bool = True) -> dict[str, str]:
    """By request id: what became of each that did not stay as it was."""
    shutil.rmtree(before.audit.directory, ignore_errors=True)
    log = await write_log(before, *asked, told=told)
    became = {}
    found = [judged async for judged in judge_all(after, audit_files([log]))]
    assert len(found) == len(asked)
    for judged in found:
        if judged.answer is None:
            became[judged.decision.request_id] = f"? {judged.why}"
        elif judged.answer.allowed is not judged.decision.allowed:
            became[judged.decision.request_id] = f"{_arrow(judged)} {judged.answer.rule or judged.answer.reason}"
    return became


def _arrow(judged: Judged) -> str:
    assert judged.answer is not None
    return f"{judged.decision.effect}->{judged.answer.effect}"


def changed(folder: Path, *replacements: tuple[str, str], **parts: str) -> Config:
    text = BEFORE
    for old, new in replacements:
        assert old in text
        text = text.replace(old, new)
    made = folder / "after"
    made.mkdir(exist_ok=True)
    return config(made, routes=text, **parts)


async def test_the_same_file_flips_nothing_and_leaves_nothing_open(tmp_path: Path) -> None:
    before = config(tmp_path, routes=BEFORE)
    assert await again(before, before, *ASKED) == {}


async def test_another_file_of_the_same_rules_flips_nothing(tmp_path: Path) -> None:
    told = await again(config(tmp_path, routes=BEFORE), changed(tmp_path, ("name: ops,", "name: of-ops,")), *ASKED)
    assert told == {
        "r9": "? the bytes that it was refused for are not recorded",
        "r10": "? whose credentials were sent is not recorded",
        "r11": "? whether it was a preflight, and of which origin, is not recorded",
    }


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("methods: [GET]", "methods: [HEAD]", {"r0": "allow->deny no_rule_allows"}),
        ("values: [gone]", "values: [other]", {"r1": "deny->allow readers"}),
        ('values: ["1"]', 'values: ["2"]', {"r2": "allow->deny no_rule_allows", "r3": "deny->allow canary"}),
        ("namespaces: [ops]", "namespaces: [default]", {"r4": "allow->deny no_rule_allows", "r5": "deny->allow ops"}),
        ("public: true", "allow: [{}]", {"r7": "allow->challenge credentials_missing"}),
        ('["/api/*"]', "[/other]", {f"r{number}": "allow->no_route no_route" for number in (0, 2, 4)}),
    ],
)
async def test_what_flips_names_its_rule(tmp_path: Path, old: str, new: str, told: dict[str, str]) -> None:
    found = await again(config(tmp_path, routes=BEFORE), changed(tmp_path, (old, new)), *ASKED[:9])
    assert found == told


async def test_who_is_not_trusted_any_more_is_refused(tmp_path: Path) -> None:
    before = config(tmp_path, routes=BEFORE)
    issuers = 'corp: {issuer: "https://other.example", audiences: [api-service]}'
    assert await again(before, changed(tmp_path, issuers=issuers), *ASKED[:1], *ASKED[4:5]) == {
        "r0": "allow->challenge token_issuer"
    }
    strict = changed(tmp_path, client_certificate="required")
    assert await again(before, strict, *ASKED[:1], *ASKED[4:5]) == {"r0": "allow->challenge certificate_required"}


async def test_a_name_that_was_not_recorded_is_undecidable_where_the_answer_hangs_on_it(tmp_path: Path) -> None:
    before = config(tmp_path, routes=BEFORE)
    tenant = ("[tenant]", "[org][tenant]")
    assert await again(before, changed(tmp_path, tenant), Ask(user="a"), Ask(user="a", method="POST"), Ask()) == {
        "r0": "? the claim org.tenant is not recorded"  # r1 is refused whatever it is; r2 sent no token
    }
    header = ("[x-canary]", "[x-other]")
    asked = (Ask(user="a", method="PUT"), Ask(user="a"), Ask(client=OPS, method="PUT"))
    assert await again(before, changed(tmp_path, header), *asked) == {"r0": "? the header x-other is not recorded"}


async def test_absence_is_known_where_the_rules_of_that_time_asked(tmp_path: Path) -> None:
    before = config(tmp_path, routes=BEFORE)
    after = changed(tmp_path, ("name: canary", "name: c"))
    claims: dict[str, JSON] = {"tenant": "acme"}
    asked = (
        Ask(user="a", method="PUT", claims=claims),
        Ask(user="b", method="PUT", claims=claims, headers=(("x-canary", "0"),)),
    )
    assert await again(before, after, *asked[:1]) == {}  # the config's record says what was asked for
    assert await again(before, after, *asked, told=False) == {}  # another decision of the route shows it
    assert await again(before, after, *asked[:1], told=False) == {"r0": "? the header x-canary is not recorded"}


@pytest.mark.parametrize("audit", [{"inputs": "digests"}, {"inputs": "none"}, {"redact": ("x-canary",)}])
async def test_a_digest_is_no_value(tmp_path: Path, audit: dict[str, object]) -> None:
    before = config(tmp_path, routes=BEFORE)
    before = before.replace(audit=before.audit.replace(**audit))
    told = await again(before, changed(tmp_path, ("name: canary", "name: c")), ASKED[2])
    assert list(told) == ["r0"]
    assert "the header x-canary" in told["r0"]
    assert await again(before, before, *ASKED) == {}


async def test_a_cut_value_is_no_value(tmp_path: Path) -> None:
    long = Ask(user="a", method="PUT", headers=(("x-canary", "1" * 300),))
    told = await again(config(tmp_path, routes=BEFORE), changed(tmp_path, ('"1"', '"1*"')), long)
    assert told == {"r0": "? the header x-canary is not recorded"}


async def test_scopes_and_audiences_are_judged_by_what_was_recorded(tmp_path: Path) -> None:
    def demanding(demand: str) -> str:
        return BEFORE.replace("  upstream: api\n", f"  upstream: api\n  requires: {{{demand}}}\n")

    asked = (Ask(user="a", claims={"scope": "read write"}), Ask(user="a", claims={"scp": ["write"]}))
    read = config(tmp_path, routes=demanding("scopes: [read]"))
    (tmp_path / "after").mkdir()
    write = config(tmp_path / "after", routes=demanding("scopes: [write]"))
    assert await again(read, write, *asked) == {"r1": "deny->allow readers"}
    bare = config(tmp_path, routes=BEFORE)
    assert await again(bare, write, *asked) == {
        f"r{number}": "? the claim scope, the claim scp are not recorded" for number in (0, 1)
    }
    named = config(tmp_path / "after", routes=demanding("audiences: [inventory]"))
    assert await again(bare, named, Ask(user="a")) == {"r0": "? the claim aud is not recorded"}
    both = demanding("audiences: [inventory, api]")
    assert await again(config(tmp_path, routes=both), named, Ask(user="a"), Ask(user="a", claims={"aud": "api"})) == {
        "r1": "allow->challenge token_audience"
    }


async def test_the_peer_behind_a_trusted_proxy_is_not_recorded(tmp_path: Path) -> None:
    blocks = ("namespaces: [ops]", "ip_blocks: [192.0.2.0/24]")
    before = config(tmp_path, routes=BEFORE)
    assert await again(before, changed(tmp_path, blocks), Ask(client=WEB, method="DELETE")) == {"r0": "deny->allow ops"}
    after = changed(tmp_path, blocks)
    edge = after.listeners["edge"].replace(trusted_proxies=after.routes[0].allow[1].from_[0].ip_blocks)
    behind = after.replace(listeners={"edge": edge})
    assert await again(before, behind, Ask(client=WEB, method="DELETE")) == {
        "r0": "? the peer of the connection is not recorded"
    }


async def test_routes_chosen_by_an_unknown_header_must_agree(tmp_path: Path) -> None:
    before = config(tmp_path, routes=BEFORE)
    beta = '- {name: beta, match: {paths: ["/api/*"], headers: {x-beta: "*"}}, upstream: api, allow: [{RULE}]}\n'
    (tmp_path / "after").mkdir()
    for rule, told in (
        ("to: {methods: [GET]}", {}),
        ("to: {methods: [PUT]}", {"r0": "? the headers that choose the route are not recorded"}),
    ):
        after = config(tmp_path / "after", routes=beta.replace("RULE", rule) + BEFORE)
        assert await again(before, after, Ask(user="a")) == told


async def test_limits_are_never_counted_again(tmp_path: Path) -> None:
    limited = BEFORE.replace("  upstream: api\n", "  upstream: api\n  rate_limits: [all]\n")
    before = config(tmp_path, routes=limited, more=LIMITS)
    log = await write_log(before, Ask(user="a"))
    (file,) = log.glob("*.jsonl")
    text = file.read_text().replace('"effect":"allow","reason":null', '"effect":"limit","reason":"rate_limited"')
    file.write_text(text)
    after = changed(tmp_path)
    (judged,) = [each async for each in judge_all(after, [file])]
    assert judged.answer is not None
    assert judged.answer.allowed  # no limit is left
    after = changed(tmp_path, ("  upstream: api\n", "  upstream: api\n  rate_limits: [all]\n"), more=LIMITS + "\n")
    (judged,) = [each async for each in judge_all(after, [file])]
    assert judged.answer is None
    assert "limits" in judged.why


async def test_a_record_without_its_listener_is_judged_on_all_that_it_may_have_met(tmp_path: Path) -> None:
    inner = 'inner: {address: "127.0.0.1:8444", tls: {certificate: edge.pem, key: edge.key}}'
    before = config(tmp_path, routes=BEFORE, listeners=inner)
    log = await write_log(before, Ask(user="alice"))
    (file,) = log.glob("*.jsonl")
    file.write_text(file.read_text().replace('"listener":"edge",', ""))
    policy = "- {name: p, action: deny, listeners: [inner], rules: [{}]}"
    for policies, undecidable in (("", False), (policy, True)):
        after = changed(tmp_path, policies=policies, listeners=inner)
        (judged,) = [each async for each in judge_all(after, [file])]
        assert (judged.answer is None) is undecidable


async def test_a_login_is_judged_as_of_then(tmp_path: Path) -> None:
    route = "- {name: api, match: {paths: ['/api/*']}, upstream: api, allow: [{from: {request_principals: ['*']}}]"
    loose = config(tmp_path, routes=route + "}\n")
    strict = config(tmp_path, routes=route + ", requires: {acr: [phr], max_auth_age: 15m}}\n")
    fresh: dict[str, JSON] = {"acr": "phr", "auth_time": int(NOW)}
    stale: dict[str, JSON] = {"acr": "phr", "auth_time": int(NOW) - 1000}
    asked = [Ask(user="a", claims=fresh), Ask(user="b", claims=stale)]
    assert await again(loose, strict, *asked) == dict.fromkeys(("r0", "r1"), "? the claim acr is not recorded")
    stricter = config(tmp_path, routes=route + ", requires: {acr: [phr], max_auth_age: 15m, scopes: [x]}}\n")
    assert await again(strict, stricter, *asked[:1]) == {"r0": "? the claim scope, the claim scp are not recorded"}
    older = config(tmp_path, routes=route + ", requires: {acr: [phr], max_auth_age: 1h}}\n")
    assert await again(older, strict, *asked[:2]) == {"r1": "allow->challenge step_up_required"}


async def test_what_was_granted_is_judged_as_of_then(tmp_path: Path) -> None:
    alice = Signer(tmp_path, "alice")
    signers = "grants: {signers: {alice: alice.pub}}\n"
    file = write(tmp_path, routes=BEFORE, more=signers)
    write_grants(tmp_path, alice.grant(NOW - 60, NOW + 60))
    asked = [Ask(user="bob", method="POST"), Ask(user="bob", method="PATCH"), Ask(user="carol", method="POST")]
    before = load_with_grants(file)
    assert await again(before, before, *asked) == {}
    write_grants(tmp_path, alice.grant(NOW - 60, NOW))
    assert await again(before, load_with_grants(file), *asked) == {"r0": "allow->deny no_rule_allows"}
    (tmp_path / "grants.yaml").unlink()
    assert await again(load_with_grants(file), before, *asked) == {"r0": "deny->allow grant:g1"}
