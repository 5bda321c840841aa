"""Clauses: attributes, absence, repeats, against Istio's tables (Z4 to Z9, Z12, H17)."""

import json
from dataclasses import replace
from ipaddress import ip_address

import pytest

from gateway.model.principal import Principal
from gateway.model.request import RequestContext
from gateway.model.route import Route
from gateway.stages.authorize.clauses import compile_condition, compile_operation, compile_source
from gateway.stages.authorize.facts import Facts
from tests.conformance import vectors
from tests.facts import connection, context, principal, user, workload

ROUTE = Route("r", 0, False, None, "")
NOBODY = principal()


def facts(ctx: RequestContext | None = None, who: Principal = NOBODY) -> Facts:
    return Facts(ctx or context(), ROUTE, who, None)


def holds(key: str, values: tuple[str, ...], about: Facts, *, negated: bool = False, deny: bool = False) -> bool:
    return compile_condition(
        key, values, negated=negated, deny=deny, space_delimited={"corp": frozenset({"scope"})}
    ).test(about)


def from_(key: str, values: tuple[str, ...], about: Facts, *, deny: bool = False) -> bool:
    plain = key.removeprefix("not_")
    return compile_source(plain, values, negated=plain != key, deny=deny, label=f"from.{key}").test(about)


def to(key: str, values: tuple[str, ...], about: Facts, *, deny: bool = False) -> bool:
    plain = key.removeprefix("not_")
    return compile_operation(plain, values, negated=plain != key, deny=deny, label=f"to.{key}").test(about)


WEB = facts(who=principal(workload("spiffe://cluster.local/ns/shop/sa/web.front"), user("alice")))
DNS = facts(who=principal(workload("dns:a.partner.example")))


@pytest.mark.parametrize(
    ("key", "values", "about", "expected"),
    [
        pytest.param("principals", ("spiffe://cluster.local/ns/shop/sa/web.front",), WEB, True, id="Z6-exact"),
        pytest.param("principals", ("spiffe://cluster.local/*",), WEB, True, id="Z6-domain"),
        pytest.param("principals", ("spiffe://cluster.loc/*",), WEB, False, id="Z6-other-domain"),
        pytest.param("principals", ("*/sa/web.front",), WEB, True, id="Z6-suffix"),
        pytest.param("principals", ("dns:*",), DNS, True, id="Z6-dns"),
        pytest.param("principals", ("*",), facts(), False, id="M13-anonymous-is-not-any-principal"),
        pytest.param("namespaces", ("shop",), WEB, True, id="Z6-namespace"),
        pytest.param("namespaces", ("*",), DNS, False, id="Z6-namespace-of-a-dns-name"),
        pytest.param("service_accounts", ("shop/web.front",), WEB, True, id="Z12-literal"),
        pytest.param("service_accounts", ("shop/webxfront",), WEB, False, id="Z12-a-dot-is-a-dot"),
        pytest.param("trust_domains", ("cluster.local",), WEB, True, id="Z6-trust-domain"),
        pytest.param("trust_domains", ("*",), DNS, False, id="Z6-trust-domain-of-a-dns-name"),
        pytest.param("request_principals", ("https://auth.example.com/alice",), WEB, True, id="Z6-iss-sub"),
        pytest.param("request_principals", ("*",), WEB, True, id="Z10-any-user"),
        pytest.param("request_principals", ("*",), DNS, False, id="Z10-certificate-is-no-user"),
        pytest.param("request_principals", ("*/alic",), WEB, False, id="Z5-whole-value"),
        pytest.param("issuers", ("corp",), WEB, True, id="J27-issuer-by-name"),
        pytest.param("issuers", ("other",), WEB, False, id="J27-other-issuer"),
        pytest.param("ip_blocks", ("203.0.113.0/24",), WEB, True, id="Z5-peer-block"),
        pytest.param("ip_blocks", ("10.0.0.0/8",), WEB, False, id="Z5-other-block"),
        pytest.param("not_ip_blocks", ("10.0.0.0/8",), WEB, True, id="Z4-not-block"),
    ],
)
def test_sources(key: str, values: tuple[str, ...], about: Facts, expected: bool) -> None:
    assert from_(key, values, about) is expected


def test_the_peer_and_the_client_are_two_addresses() -> None:
    behind = facts(context(over=connection(peer="10.0.0.1"), client_ip="198.51.100.7"))
    assert from_("ip_blocks", ("10.0.0.0/8",), behind)
    assert not from_("remote_ip_blocks", ("10.0.0.0/8",), behind)
    assert from_("remote_ip_blocks", ("198.51.100.7",), behind)
    assert holds("source.ip", ("10.0.0.1",), behind)
    assert holds("remote.ip", ("198.51.100.0/24",), behind)
    assert holds("destination.ip", ("192.0.2.1",), behind)


@pytest.mark.parametrize(
    ("key", "values", "expected"),
    [
        pytest.param("hosts", ("API.Example.com",), True, id="P5-host-in-any-case"),
        pytest.param("hosts", ("*.example.com",), True, id="Z5-host-suffix"),
        pytest.param("not_hosts", ("*.example.com",), False, id="Z4-not-host"),
        pytest.param("ports", ("8443", "443"), True, id="Z5-port"),
        pytest.param("not_ports", ("8443",), False, id="Z4-not-port"),
        pytest.param("methods", ("GET",), True, id="Z5-method"),
        pytest.param("methods", ("*",), True, id="Z5-any-method"),
        pytest.param("methods", ("POST",), False, id="Z5-other-method"),
        pytest.param("not_methods", ("GET", "HEAD"), False, id="Z4-neither-method"),
        pytest.param("paths", ("/admin/*",), True, id="Z5-path-prefix"),
        pytest.param("paths", ("/admin/{*}",), True, id="Z11-path-template"),
        pytest.param("paths", ("/Admin/x",), False, id="P5-path-case"),
        pytest.param("not_paths", ("/admin/*", "/x"), False, id="Z4-neither-path"),
    ],
)
def test_operations(key: str, values: tuple[str, ...], expected: bool) -> None:
    assert to(key, values, facts(context("/admin/x"))) is expected


CLAIMS = facts(
    who=principal(
        None,
        user(
            groups=["dev", "ops", 7],
            scope="read  write admin:all",
            realm={"roles": ["owner"], "level": 3, "deep": {"er": "x"}},
            level=5,
            admin=True,
            empty="",
            none=[],
            aud=["api", "web"],
            azp="spa",
        ),
    )
)


@pytest.mark.parametrize(
    ("key", "values", "expected"),
    [
        pytest.param("request.auth.claims[groups]", ("ops",), True, id="Z8-any-element"),
        pytest.param("request.auth.claims[groups]", ("op",), False, id="Z8-whole-element"),
        pytest.param("request.auth.claims[groups]", ('["dev", "ops"]',), False, id="Z8-never-the-json-text"),
        pytest.param("request.auth.claims[groups]", ("7",), False, id="Z8-number-in-a-list"),
        pytest.param("request.auth.claims[scope]", ("write",), True, id="Z8-space-delimited"),
        pytest.param("request.auth.claims[scope]", ("admin",), False, id="J28-whole-words"),
        pytest.param("request.auth.claims[scope]", ("read  write admin:all",), False, id="Z8-words-not-the-text"),
        pytest.param("request.auth.claims[realm][roles]", ("owner",), True, id="Z8-nested"),
        pytest.param("request.auth.claims[realm][deep][er]", ("x",), True, id="Z8-nested-deeper"),
        pytest.param("request.auth.claims[realm][level]", ("3",), False, id="Z8-nested-number"),
        pytest.param("request.auth.claims[realm]", ("*",), False, id="Z8-an-object-is-no-string"),
        pytest.param("request.auth.claims[level]", ("5",), False, id="Z8-number"),
        pytest.param("request.auth.claims[level]", ("*",), False, id="Z8-number-and-star"),
        pytest.param("request.auth.claims[admin]", ("true", "True", "1"), False, id="Z8-boolean"),
        pytest.param("request.auth.claims[empty]", ("*",), False, id="Z5-present-but-empty"),
        pytest.param("request.auth.claims[none]", ("*",), False, id="Z8-empty-list"),
        pytest.param("request.auth.audiences", ("web",), True, id="Z7-audiences"),
        pytest.param("request.auth.presenter", ("spa",), True, id="Z7-presenter"),
        pytest.param("request.auth.principal", ("*/alice",), True, id="Z7-principal"),
        pytest.param("connection.sni", ("API.example.com",), True, id="Z7-sni"),
        pytest.param("destination.port", ("8443",), True, id="Z7-port"),
    ],
)
def test_conditions(key: str, values: tuple[str, ...], expected: bool) -> None:
    assert holds(key, values, CLAIMS) is expected


ABSENT = [
    ("no-token", "request.auth.claims[groups]", facts()),
    ("another-issuers-token", "request.auth.claims[groups]", facts(who=principal(None, user(issuer_name="other")))),
    ("nested", "request.auth.claims[realm][roles]", facts(who=principal(None, user(realm={})))),
    ("nested-in-no-object", "request.auth.claims[realm][roles]", facts(who=principal(None, user(realm="x")))),
    ("header", "request.headers[x-tenant]", facts()),
    ("principal", "request.auth.principal", facts()),
    ("workload", "source.principal", facts()),
    ("namespace", "source.namespace", DNS),
    ("account", "source.serviceAccount", DNS),
    ("domain", "source.trustDomain", DNS),
    ("sni", "connection.sni", facts(context(over=connection(sni=None)))),
]


@pytest.mark.parametrize(("key", "about"), [pytest.param(key, about, id=f"Z9-{name}") for name, key, about in ABSENT])
def test_what_is_absent_never_matches_and_never_grants(key: str, about: Facts) -> None:
    values = ("dns:x",) if key == "source.principal" else ("x/y",) if "Account" in key else ("x",)
    assert not holds(key, values, about, deny=False)
    assert not holds(key, values, about, deny=True)
    assert not holds(key, values, about, negated=True, deny=False)
    assert holds(key, values, about, negated=True, deny=True)


@pytest.mark.parametrize("key", ["principals", "namespaces", "service_accounts", "trust_domains", "request_principals"])
def test_Z9_a_negated_source_that_is_absent_denies_and_does_not_allow(key: str) -> None:
    values = ("dns:x",) if key == "principals" else ("x/y",) if key == "service_accounts" else ("x",)
    assert from_(f"not_{key}", values, facts(), deny=True)
    assert not from_(f"not_{key}", values, facts(), deny=False)


def test_a_negated_condition_on_something_present_means_neither() -> None:
    for deny in (True, False):
        assert not holds("request.auth.claims[groups]", ("x", "dev"), CLAIMS, negated=True, deny=deny)
        assert holds("request.auth.claims[groups]", ("x", "y"), CLAIMS, negated=True, deny=deny)
        assert holds("request.auth.claims[level]", ("5",), CLAIMS, negated=True, deny=deny)


@pytest.mark.parametrize(
    ("sent", "allow", "deny", "allow_not", "deny_not"),
    [
        pytest.param(("good",), True, True, False, False, id="H17-one-good"),
        pytest.param(("bad",), False, False, True, True, id="H17-one-bad"),
        pytest.param(("good", "bad"), False, True, False, True, id="H17-good-then-bad"),
        pytest.param(("bad", "good"), False, True, False, True, id="H17-bad-then-good"),
        pytest.param(("good", "good"), True, True, False, False, id="H17-good-twice"),
    ],
)
def test_a_repeated_header_never_helps(
    sent: tuple[str, ...], allow: bool, deny: bool, allow_not: bool, deny_not: bool
) -> None:
    about = facts(context(headers={"x-tag": sent}))
    key, values = "request.headers[X-Tag]", ("good",)
    assert holds(key, values, about, deny=False) is allow
    assert holds(key, values, about, deny=True) is deny
    assert holds(key, values, about, negated=True, deny=False) is allow_not
    assert holds(key, values, about, negated=True, deny=True) is deny_not


def test_H17_a_deny_sees_the_joined_value_that_a_backend_would_see() -> None:
    about = facts(context(headers={"x-tag": ("a", "b")}))
    assert holds("request.headers[x-tag]", ("a,b",), about, deny=True)
    assert holds("request.headers[x-tag]", ("a, b",), about, deny=True)
    assert not holds("request.headers[x-tag]", ("a,b",), about, deny=False)


def test_H7_a_rule_over_the_host_header_sees_the_host_that_is_judged() -> None:
    about = facts(context(host="b.example", headers={"host": ("a.example",)}))
    for name in ("host", "Host", ":authority"):
        assert holds(f"request.headers[{name}]", ("B.example",), about)
        assert not holds(f"request.headers[{name}]", ("a.example",), about)
    assert holds("request.headers[:method]", ("GET",), about)


def test_Z7_istio_condition_validity_table() -> None:
    for row in json.loads(vectors("authz/istio_matcher_tables.json").read_text())["when_condition_validity"]:
        key, values = row["key"], tuple(row["values"])
        ours = row["valid"]
        if key.startswith("experimental."):
            ours = False  # Envoy's own: no attribute of the contract
        if key == "source.principal" or (key == "source.serviceAccount" and values == ("sa",)):
            ours = False  # written whole here
        if ours:
            holds(key, values, CLAIMS)
        else:
            with pytest.raises(ValueError):
                holds(key, values, CLAIMS)


def test_istio_trust_domain_and_port_validity_tables() -> None:
    tables = json.loads(vectors("authz/istio_matcher_tables.json").read_text())
    for row in tables["trust_domain_value_validity"]:
        if row["valid"]:
            from_("trust_domains", (row["value"],), WEB)
        else:
            with pytest.raises(ValueError):
                from_("trust_domains", (row["value"],), WEB)
    for row in tables["port_validity"]:
        if row["valid"]:
            to("ports", (row["value"],), WEB)
        else:
            with pytest.raises(ValueError):
                to("ports", (row["value"],), WEB)


def test_Z12_istio_service_account_validity_table() -> None:
    for row in json.loads(vectors("authz/istio_matcher_tables.json").read_text())["service_account_value_validity"]:
        if row["valid"] and row["value"] != "sa":  # Istio fills in the policy's namespace; a file here has none
            from_("service_accounts", (row["value"],), WEB)
        else:
            with pytest.raises(ValueError):
                from_("service_accounts", (row["value"],), WEB)


def test_Z6_istio_request_principal_table() -> None:
    for row in json.loads(vectors("authz/istio_matcher_tables.json").read_text())["request_principal_match"]["cases"]:
        if row["pattern"] == "https://accounts.*":
            continue  # Istio splits a pattern at its last slash; the contract matches iss/sub as one string
        who = principal(None, replace(user(row["sub"]), issuer=row["iss"]))
        assert from_("request_principals", (row["pattern"],), facts(who=who)) == row["match"], row


def test_istio_claim_key_table() -> None:
    for row in json.loads(vectors("authz/istio_matcher_tables.json").read_text())["claim_key_parsing"]:
        if row["path"] is None:
            with pytest.raises(ValueError):
                holds(row["key"], ("x",), CLAIMS)
            continue
        nested: object = "x"
        for name in reversed(row["path"]):
            nested = {name: nested}
        assert isinstance(nested, dict)
        about = facts(who=principal(None, user(**nested)))
        assert holds(row["key"], ("x",), about), row


@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        ("principals", "cluster.local/ns/a/sa/b", 'write "spiffe://cluster.local'),
        ("principals", "spiffe://a*b", "write"),
        ("ip_blocks", "10.0.0.1/8", "write"),
    ],
)
def test_Z13_a_bad_value_says_what_to_write(key: str, value: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        from_(key, (value,), WEB)


def test_an_ipv4_mapped_peer_is_in_ipv4_blocks() -> None:
    over = replace(connection(), peer_ip=ip_address("::ffff:10.0.0.1"))
    assert from_("ip_blocks", ("10.0.0.0/8",), facts(context(over=over)))
