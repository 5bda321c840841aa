"""Policy tests are judged as serving would judge them, and compared in what they expect alone."""

from pathlib import Path

import pytest

from gateway.config.problem import ConfigInvalid
from gateway.control.policy_tests import Suite, run_tests
from tests.control.policy_config import write

ROUTES = """
- name: api
  match: {paths: ["/api/*"]}
  upstream: api
  requires: {audiences: [api]}
  deny: [{name: from-afar, from: {not_ip_blocks: [10.0.0.0/8]}, to: {methods: [DELETE]}}]
  allow:
    - {name: readers, from: {request_principals: ["*"]}, to: {methods: [GET]}}
    - {name: named, when: [{key: connection.sni, values: [other.example]}], to: {methods: [DELETE]}}
    - {name: local, when: [{key: destination.ip, values: [10.1.0.0/16]}], to: {methods: [PATCH]}}
    - {name: draft, mode: shadow, to: {methods: [PUT]}}
- {name: hello, match: {paths: [/hello]}, public: true, respond: {status: 203}}
"""
POLICIES = """
- {name: tenants, action: deny, rules: [{when: [{key: "request.auth.claims[tenant]", values: [gone]}]}]}
"""


async def run(folder: Path, *tests: str, certificate: str = "optional") -> Suite:
    config = write(folder, routes=ROUTES, policies=POLICIES, client_certificate=certificate)
    file = folder / "tests.yaml"
    lines = "".join(f"- {{name: test {number}, {test}}}\n" for number, test in enumerate(tests))
    file.write_text(f"config: routes.yaml\ntests:\n{lines}", encoding="utf-8")
    return await run_tests([file], config, given=False)


async def one(folder: Path, test: str, certificate: str = "optional") -> dict[str, str | int | None]:
    suite = await run(folder, f"{test}, expect: {{effect: allow}}", certificate=certificate)
    return suite.tested[0].actual


async def test_only_the_written_expectations_are_compared(tmp_path: Path) -> None:
    suite = await run(
        tmp_path,
        "request: {url: /hello}, expect: {status: 203}",
        "request: {url: /hello}, expect: {status: 203, rule: readers, effect: allow}",
        "request: {url: /api/x}, token: {claims: {sub: a}}, expect: {effect: allow, rule: readers}",
        "request: {url: /nowhere}, expect: {route: none, reason: no_route}",
    )
    assert [tested.different for tested in suite.tested] == [[], ["rule"], [], []]
    assert suite.tested[1].actual == {
        "effect": "allow", "status": 203, "reason": None, "route": "hello", "rule": None,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("test", "reason", "rule"),
    [
        ("request: {url: /api/x}", "credentials_missing", None),
        ("request: {url: /api/x}, token: {claims: {sub: a, aud: other}}", "token_audience", None),
        ("request: {url: /api/x}, token: {claims: {sub: a, exp: 1}}", "token_expired", None),
        ("request: {url: /api/x}, now: 100, token: {claims: {sub: a, exp: 101}}", None, "readers"),
        ("request: {url: /api/x}, token: {issuer: corp, claims: {sub: a, iss: 'https://x'}}", "token_issuer", None),
        ("request: {url: /api/x}, token: {claims: {sub: a, tenant: gone}}", "denied_by_rule", "tenants[0]"),
        ("request: {url: /api/x, method: DELETE}, token: {claims: {sub: a}}", "denied_by_rule", "from-afar"),
        ("request: {url: /api/x, method: DELETE}, ip: 10.1.1.1, token: {claims: {sub: a}}", "no_rule_allows", None),
        (
            "request: {url: /api/x, method: DELETE}, ip: 10.1.1.1, sni: other.example, token: {claims: {sub: a}}",
            None,
            "named",
        ),
        ("request: {url: /api/x, method: PATCH}, token: {claims: {sub: a}}", "no_rule_allows", None),
        ("request: {url: /api/x, method: PATCH}, destination: 10.1.2.3, token: {claims: {sub: a}}", None, "local"),
        ("request: {url: /api/x}, client: 'spiffe://evil.example/x'", "certificate_untrusted", None),
        ("request: {url: /hello}, client: 'spiffe://cluster.local/a/../b'", "spiffe_id_invalid", None),
        ("request: {url: /hello}, client: 'dns:a.partner.example'", "certificate_untrusted", None),
        ("request: {url: '/api/%2e%2e%2fx'}", "ambiguous_path", None),
        ("request: {url: /api/x, headers: {authorization: [Bearer a, Bearer b]}}", "bad_request", None),
    ],
)
async def test_facts_are_made_up_and_judged(tmp_path: Path, test: str, reason: str | None, rule: str | None) -> None:
    actual = await one(tmp_path, test)
    assert (actual["reason"], actual["rule"]) == (reason, rule)


async def test_a_handshake_that_would_be_refused(tmp_path: Path) -> None:
    suite = await run(tmp_path, "request: {url: /hello}, expect: {effect: challenge}", certificate="required")
    (tested,) = suite.tested
    assert (tested.different, tested.actual["reason"]) == ([], "certificate_required")
    assert tested.verdict.at_handshake


async def test_coverage_counts_enforced_rules_that_were_reached(tmp_path: Path) -> None:
    suite = await run(
        tmp_path,
        "request: {url: /api/x}, token: {claims: {sub: a}}, expect: {effect: allow}",
        "request: {url: /api/x}, token: {claims: {sub: a, aud: other}}, expect: {effect: challenge}",
        "request: {url: /api/x, method: PUT}, token: {claims: {sub: a, tenant: gone}}, expect: {effect: deny}",
    )
    assert [(rule.route, rule.rule, rule.hits, rule.misses) for rule in suite.coverage] == [
        (None, "tenants[0]", 1, 1), ("api", "from-afar", 0, 2), ("api", "readers", 1, 1), ("api", "named", 0, 2),
        ("api", "local", 0, 2),
    ]  # fmt: skip
    assert suite.percent == 40.0


async def test_what_cannot_be_judged_is_an_error_of_its_test(tmp_path: Path) -> None:
    with pytest.raises(ConfigInvalid, match=r"tests.yaml:4:3: error: test 1: no issuer is named 'nobody'"):
        await run(
            tmp_path,
            "request: {url: /hello}, expect: {status: 203}",
            "request: {url: /hello}, token: {issuer: nobody}, expect: {status: 203}",
        )


async def test_a_config_that_is_given_stands_above_the_files(tmp_path: Path) -> None:
    await run(tmp_path, "request: {url: /hello}, expect: {status: 203}")
    other = write(tmp_path, routes="- {name: bye, match: {paths: [/hello]}, public: true, respond: {status: 204}}")
    suite = await run_tests([tmp_path / "tests.yaml"], other, given=True)
    assert [tested.actual["route"] for tested in suite.tested] == ["bye"]
    assert (suite.coverage, suite.percent) == ([], 100.0)
