"""Each warning of contract section 2, and what must not raise it."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from gateway.config.load import load
from gateway.testing.ca import Authority
from tests.config.sample import SMALL, changed, judged, write

ROUTE = "    upstream: inventory\n"
ALLOW = '{from: {request_principals: ["*"]}, to: {methods: [GET]}}'
OTHER = "  - name: other\n    match: {paths: [%s]}\n    upstream: inventory\n%s"
WRITES = "the rule inventory.allow[0] lets every caller write (name the callers, or require a scope)"
LIMITS = "rate_limits: {each: {rate: 1/second, key: [client_ip]}}"
NEVER = "the rule inventory.allow[0] can never match"
NOBODY = "nothing says whose client certificates are believed: none ever is (add trust_domains or client_authorities)"
PAIR = "{certificate: certs/edge.pem, key: certs/edge.key}"
TWO = "listeners:\n  b: {address: 127.0.0.1:1}\n"


def rule(text: str) -> list[tuple[str, str]]:
    return [(ALLOW, text)]


CASES = [
    pytest.param([], "", [], id="the-smallest-file"),
    # addresses of the gateway's own
    pytest.param([("audiences:", "shared_signals: {audience: a}, audiences:")], "", [], id="events-over-tls"),
    pytest.param(
        [
            ("0.0.0.0:8443", "127.0.0.1:8443"),
            (", tls: {certificate: certs/edge.pem, key: certs/edge.key}", ""),
            ("audiences:", "shared_signals: {audience: a}, audiences:"),
        ],
        "",
        ["5:62 no listener has tls, so there is no address that it could be sent to"],
        id="events-without-tls",
    ),
    # handshakes
    pytest.param(
        [(f"tls: {PAIR}", f"tls: {{resumption: true, certificates: [{PAIR}, {PAIR}]}}")],
        "",
        ["3:53 nothing is resumed where SNI chooses between certificates"],
        id="resumption-with-sni",
    ),
    pytest.param([("tls: {", "tls: {resumption: true, ")], "", [], id="resumption"),
    # routes against routes
    pytest.param(
        [],
        OTHER % ("/api/v1/inventory/x", ""),
        ["14:5 the route other is never reached: inventory takes its requests first"],
        id="unreachable",
    ),
    pytest.param(
        [],
        OTHER % ('"/api/v1/inventory/{*}"', ""),
        ["14:5 the route other is never reached: inventory takes its requests first"],
        id="unreachable-template",
    ),
    pytest.param([], OTHER % ("/api/v1/inventory", ""), [], id="the-path-without-its-slash-is-another"),
    pytest.param([], OTHER % ("/api/v1/inventory/x, /y", ""), [], id="reached-by-one-path"),
    pytest.param(
        [("match: {", "match: {hosts: [a.example], ")],
        OTHER % ("/api/v1/inventory/x", ""),
        [],
        id="reached-by-other-hosts",
    ),
    pytest.param(
        [("match: {", "match: {methods: [GET], ")],
        OTHER % ("/api/*", "    public: true\n"),
        [
            (
                "9:5 requests with other methods or headers than inventory asks for go to the route other, "
                "which asks less (add a "
                "deny or the same demands there)"
            )
        ],
        id="weaker-below",
    ),
    pytest.param(
        [("match: {", "match: {headers: {x-a: b}, ")],
        OTHER % ("/api/*", "    public: true\n"),
        [
            (
                "9:5 requests with other methods or headers than inventory asks for go to the route other, "
                "which asks less (add a "
                "deny or the same demands there)"
            )
        ],
        id="weaker-below-by-header",
    ),
    pytest.param([("match: {", "match: {methods: [GET], ")], OTHER % ("/api/*", ""), [], id="below-and-not-weaker"),
    pytest.param(
        [("match: {", "match: {methods: [GET], ")], OTHER % ("/x", "    public: true\n"), [], id="weaker-elsewhere"
    ),
    pytest.param(
        [("listeners:\n", TWO)],
        "  - {name: p, match: {paths: [/x]}, public: true, respond: {}}\n",
        ["15:5 the public route p is served on every listener (name the listeners that it is meant for)"],
        id="public-everywhere",
    ),
    pytest.param(
        [("listeners:\n", TWO)],
        "  - {name: p, match: {paths: [/x], listeners: [b]}, public: true, respond: {}}\n",
        [],
        id="public-on-one",
    ),
    pytest.param(
        [("listeners:\n", 'listeners:\n  b: {address: "0.0.0.0:80", redirect: https}\n')],
        "  - {name: p, match: {paths: [/x]}, public: true, respond: {}}\n",
        [],
        id="a-redirecting-listener-serves-nothing",
    ),
    # rules
    pytest.param(
        rule("{}"), "", ["13:9 the rule inventory.allow[0] matches every request: it would allow all"], id="allow-all"
    ),
    *(
        pytest.param(
            rule(text),
            "",
            ["13:9 the rule inventory.allow[0] matches every request: it would allow all"],
            id=f"allow-all-by-{name}",
        )
        for name, text in (
            ("path", '{to: {paths: ["*"]}}'),
            ("root", '{to: {paths: ["/*"]}}'),
            ("method", '{to: {methods: ["*"]}}'),
            ("one-of-two", '{to: [{methods: [GET]}, {hosts: ["*"], methods: ["*"]}]}'),
        )
    ),
    pytest.param(rule('{from: {request_principals: ["*"]}}'), "", [f"13:9 {WRITES}"], id="star-on-every-method"),
    pytest.param(rule("{to: {methods: [POST]}}"), "", [f"13:9 {WRITES}"], id="no-caller-named-on-writes"),
    pytest.param(
        [*rule("{to: {methods: [POST]}}"), (ROUTE, f"{ROUTE}    public: true\n")],
        "",
        [],
        id="anonymous-writes-on-purpose",
    ),
    pytest.param(rule("{to: {methods: [GET]}}"), "", [], id="no-caller-named-on-reads"),
    pytest.param(
        rule('{from: {request_principals: ["*"]}, to: {methods: [GET, POST]}}'),
        "",
        [f"13:9 {WRITES}"],
        id="star-on-writes",
    ),
    pytest.param(
        [*rule('{from: {request_principals: ["*"]}}'), (ROUTE, f"{ROUTE}    requires: {{scopes: [w]}}\n")],
        "",
        [],
        id="star-with-a-scope",
    ),
    pytest.param(
        [*rule('{from: {request_principals: ["*"]}}'), ("match: {", "match: {methods: [GET], ")],
        "",
        [],
        id="star-on-a-route-of-reads",
    ),
    pytest.param(
        rule("{from: {issuers: [corp]}, to: {paths: [/x]}}"), "", [f"13:9 {NEVER}"], id="rule-over-another-path"
    ),
    pytest.param(
        [*rule("{from: {issuers: [corp]}, to: {methods: [POST]}}"), ("match: {", "match: {methods: [GET], ")],
        "",
        [f"13:9 {NEVER}"],
        id="rule-over-another-method",
    ),
    pytest.param(
        rule('{from: {principals: ["*"]}, to: {methods: [GET]}}'),
        "",
        [f"13:9 {NEVER}"],
        id="workloads-where-none-are-asked-for",
    ),
    pytest.param(
        rule("{from: {issuers: [corp], not_issuers: [corp]}}"), "", [f"13:9 {NEVER}"], id="rule-against-itself"
    ),
    pytest.param(rule("{from: {issuers: [corp]}, to: {paths: [/api/*]}}"), "", [], id="rule-over-more"),
    *(
        pytest.param(rule(f"{{from: {{request_principals: [{text!r}]}}}}"), "", expected, id=f"users-{name}")
        for name, text, expected in (
            ("of-no-issuer", "https://nobody.example/alice", [f"13:9 {NEVER}"]),
            ("of-no-issuer-prefix", "https://nobody.example/*", [f"13:9 {NEVER}"]),
            ("of-the-issuer", "https://auth.example.com/realms/internal/alice", []),
            ("of-the-issuer-prefix", "https://auth.example.com/*", []),
            ("of-any-issuer", "*/alice", []),
        )
    ),
    pytest.param(
        rule("{from: {issuers: [corp]}, to: {ports: [1]}}"), "", [f"13:9 {NEVER}"], id="rule-over-another-port"
    ),
    pytest.param(rule("{from: {issuers: [corp]}, to: {ports: [8443, 1]}}"), "", [], id="rule-over-the-port"),
    pytest.param(
        [*rule("{from: {issuers: [corp]}, to: {hosts: [a.example]}}"), ("match: {", "match: {hosts: [B.example], ")],
        "",
        [f"13:9 {NEVER}"],
        id="rule-over-another-host",
    ),
    pytest.param(
        [*rule("{from: {issuers: [corp]}, to: {hosts: [b.example]}}"), ("match: {", "match: {hosts: [B.example], ")],
        "",
        [],
        id="rule-over-the-host",
    ),
    # the rest
    pytest.param(
        [("https://inventory.internal:8443", "http://10.0.0.1:1")],
        "",
        ["7:27 http://10.0.0.1:1 is neither encrypted nor verified on its way (write https://)"],
        id="http-upstream",
    ),
    pytest.param(
        [("version: 1", f"version: 1\nworkers: 2\n{LIMITS}")],
        "",
        [
            "2:1 memory:// with 2 workers: each counts alone, its share of every rate (use redis://)",
            "2:1 memory:// with 2 workers: a DPoP proof can be used once in each of them (use redis://)",
        ],
        id="memory-with-several-workers",
    ),
    pytest.param(
        [("version: 1", "version: 1\nworkers: 2"), ("audiences:", "binding: {dpop: off}, audiences:")],
        "",
        [
            "2:1 memory:// with 2 workers: each counts alone, its share of every rate (use redis://)",
            "6:78 binding is off: a stolen token that is bound to a key works without it",
        ],
        id="memory-with-several-workers-and-no-proofs",
    ),
    pytest.param(
        [("version: 1", "version: 1\nrate_limits: {each: {rate: 100/second, key: [client_ip], lease: 10}}")],
        "",
        ["2:58 memory:// is not asked: there is nothing to lease"],
        id="lease-of-memory",
    ),
    pytest.param(
        [("version: 1", f"version: 1\nworkers: 2\nstore: redis://127.0.0.1\n{LIMITS}")],
        "",
        [],
        id="redis-with-several-workers",
    ),
    pytest.param(
        [("[api-service]", '["*"]')],
        "",
        ["5:73 a token for any audience is accepted, also for another service"],
        id="any-audience",
    ),
    pytest.param(
        [("audiences:", "binding: {mtls: off, dpop: off}, audiences:")],
        "",
        [
            "5:78 binding is off: a stolen token that is bound to a certificate works without it",
            "5:89 binding is off: a stolen token that is bound to a key works without it",
        ],
        id="binding-off",
    ),
    pytest.param(
        [("tls: {", "tls: {client_certificate: optional, ")],
        "",
        [f"3:61 {NOBODY}"],
        id="certificates-of-nobody",
    ),
    pytest.param(
        [
            (
                "routes:\n",
                (
                    'policies:\n  - {name: p, action: allow, routes: ["x*"], rules: [{from: {issuers: '
                    "[corp]}}]}\nroutes:\n"
                ),
            )
        ],
        "",
        ["9:39 no route has a name like 'x*': the policy covers nothing by it"],
        id="policy-over-nothing",
    ),
    pytest.param(
        [("routes:\n", "policies:\n  - {name: p, action: deny, rules: [{to: {paths: [/admin/*]}}]}\nroutes:\n")],
        "",
        [],
        id="a-deny-is-a-safeguard",
    ),
]


@pytest.mark.parametrize(("changes", "more", "expected"), CASES)
def test_each_warning_stands_at_its_place(
    folder: Path, changes: list[tuple[str, str]], more: str, expected: list[str]
) -> None:
    assert judged(folder, changed(*changes) + more) == ([], expected)


def test_the_smallest_file_warns_of_two_things(folder: Path) -> None:
    config = load(write(folder, SMALL))
    assert [f"{one.where.line}:{one.where.column} {one}" for one in config.warnings] == [
        "1:1 checkpoints are unsigned: who can write the audit files can rewrite them unseen (add audit.signing_key)",
        "6:1 no identity: the gateway proves nothing to backends (add identity)",
    ]


@pytest.mark.parametrize(
    ("day", "warning"),
    [
        pytest.param(1, "is not valid yet", id="before"),
        pytest.param(3, None, id="fresh"),
        pytest.param(6, "expires in 6 days", id="in-its-last-week"),
        pytest.param(9, "expires in 3 days", id="in-its-last-third"),
        pytest.param(20, "has expired", id="after"),
    ],
)
def test_a_certificate_near_its_end_is_a_warning(tmp_path: Path, day: int, warning: str | None) -> None:
    authority = Authority("x")
    issued = authority.issue(dns=["a"], not_before=_november(2), not_after=_november(12))
    (tmp_path / "certs").mkdir()
    issued.write(tmp_path / "certs", "edge")
    config = load(write(tmp_path, SMALL), now=_november(day).timestamp())
    found = [str(one) for one in config.warnings if "certificate" in str(one)]
    assert [one.partition(" (")[0] for one in found] == (
        [] if warning is None else [f"edge.pem: the certificate {warning}"]
    )


@pytest.mark.parametrize(("minute", "warned"), [(30, False), (50, True)])
def test_what_lives_an_hour_is_near_its_end_in_its_last_third_alone(tmp_path: Path, minute: int, warned: bool) -> None:
    begin = _november(2)
    issued = Authority("x").issue(dns=["a"], not_before=begin, not_after=begin + timedelta(hours=1))
    (tmp_path / "certs").mkdir()
    issued.write(tmp_path / "certs", "edge")
    config = load(write(tmp_path, SMALL), now=begin.timestamp() + 60 * minute)
    assert any("expires in" in str(one) for one in config.warnings) is warned


def _november(day: int) -> datetime:
    return datetime(2026, 11, day, tzinfo=UTC)


def test_two_thousand_routes_are_compared_without_comparing_each_with_each(folder: Path) -> None:
    head = SMALL.partition("routes:\n")[0]
    routes = "".join(
        f"  - {{name: r{i}, match: {{paths: [/r{i}/*]}}, public: true, respond: {{}}}}\n" for i in range(2000)
    )
    last = "  - {name: last, match: {paths: [/r7/x]}, public: true, respond: {}}\n"
    errors, warnings = judged(folder, f"{head}routes:\n{routes}{last}")
    assert errors == []
    assert warnings == ["2009:5 the route last is never reached: r7 takes its requests first"]
