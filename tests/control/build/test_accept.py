"""Listeners of the file into the accept stage."""

from ipaddress import ip_address
from pathlib import Path

import pytest

from gateway.control.build.accept import build_accept, covering, dns_names, via_pseudonym
from gateway.model.reason import Reason
from gateway.model.refused import Refused
from gateway.model.route import Route
from gateway.testing.ca import Authority
from tests.control.policy_config import config, write
from tests.facts import connection, head, trace

LAX = """
lax:
  address: "127.0.0.1:8444"
  tls: {certificates: [{certificate: edge.pem, key: edge.key}, {certificate: other.pem, key: other.key}]}
  paths: {double_slash: merge, encoded_slash: keep, semicolon: keep}
  trusted_proxies: [10.0.0.0/8]
  limits: {body: unlimited}
"""
ROUTES = """
- {name: small, match: {paths: [/small]}, public: true, respond: {}, max_body: 1KiB}
- {name: any, match: {paths: [/any]}, public: true, respond: {}, max_body: unlimited}
- {name: rest, match: {paths: [/rest], listeners: [edge]}, public: true, respond: {}}
"""


def test_each_listener_has_its_own_rules_for_paths_and_proxies(tmp_path: Path) -> None:
    accept = build_accept(config(tmp_path, routes=ROUTES, listeners=LAX))
    odd = head("/a//b;v=1%2Fc", ("x-forwarded-for", "198.51.100.7"))
    ctx = accept(trace(odd, connection(listener="lax", peer="10.0.0.1")))
    assert (ctx.path, ctx.client_ip) == ("/a/b;v=1%2Fc", ip_address("198.51.100.7"))
    with pytest.raises(Refused) as refused:
        accept(trace(odd, connection(peer="10.0.0.1")))
    assert refused.value.reason is Reason.AMBIGUOUS_PATH


def test_M20_certificates_of_the_listener_tell_misdirected_requests(tmp_path: Path) -> None:
    accept = build_accept(config(tmp_path, routes=ROUTES, listeners=LAX))
    to_other = head(host="other.example")
    with pytest.raises(Refused) as refused:
        accept(trace(to_other, connection(listener="lax", sni="api.example.com")))
    assert refused.value.reason is Reason.MISDIRECTED
    assert accept(trace(to_other, connection(listener="lax", sni="other.example", served=1))).host == "other.example"
    assert accept(trace(to_other, connection(sni="api.example.com"))).host == "other.example"  # one certificate


def test_H9_body_limits_of_routes_override_the_listeners(tmp_path: Path) -> None:
    accept = build_accept(config(tmp_path, routes=ROUTES, listeners=LAX))

    def fits(index: int, length: int, listener: str = "edge") -> bool:
        ctx = accept(trace(head(content_length=length), connection(listener=listener)))
        try:
            accept.body(ctx, Route("r", index, True, None, ""))
        except Refused as refused:
            return refused.reason is not Reason.BODY_TOO_LARGE
        return True

    assert [fits(0, 1024), fits(0, 1025), fits(1, 1 << 50), fits(2, 10 << 20), fits(2, (10 << 20) + 1)] == [
        True, False, True, True, False,
    ]  # fmt: skip
    assert fits(2, 1 << 50, "lax")


def test_the_pseudonym_is_the_files_and_tells_nothing_of_it(tmp_path: Path) -> None:
    first = config(tmp_path, routes=ROUTES)
    assert via_pseudonym(first) == via_pseudonym(config(tmp_path, routes=ROUTES))
    other = tmp_path / "other"
    other.mkdir()
    assert via_pseudonym(first) != via_pseudonym(config(other, routes=ROUTES, listeners=LAX))
    assert first.digest[:16] not in via_pseudonym(first)


def test_names_of_a_certificate_are_its_dns_names_alone(tmp_path: Path) -> None:
    authority = Authority("cluster.local")
    both = authority.issue(dns=["A.example", "*.b.example"], ips=["127.0.0.1"], common_name="cn.example")
    none = authority.issue(common_name="cn.example")
    assert dns_names(both.write(tmp_path, "both").certificate) == ("a.example", "*.b.example")
    assert dns_names(none.write(tmp_path, "none").certificate) == ()


def test_a_wildcard_covers_one_label() -> None:
    covered_by = covering([("a.example", "*.example"), ("*.a.example",), ()])
    hosts = ("a.example", "b.example", "x.a.example", "x.y.a.example", "example")
    assert [set(covered_by(host)) for host in hosts] == [{0}, {0}, {1}, set(), set()]


def test_a_certificate_that_is_gone_is_an_error_of_its_file(tmp_path: Path) -> None:
    loaded = config(tmp_path, routes=ROUTES, listeners=LAX)
    (tmp_path / "other.pem").unlink()
    with pytest.raises(OSError, match=r"other\.pem"):
        build_accept(loaded)
    assert write(tmp_path, routes=ROUTES).exists()
