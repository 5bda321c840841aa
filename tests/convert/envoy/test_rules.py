"""What the export cannot carry: it is said, and never allows more."""

from pathlib import Path
from typing import Any

import pytest

from gateway.config.load import load
from gateway.config.schema import Requires
from gateway.convert.envoy.bootstrap import Exported, export
from gateway.convert.envoy.rules import ALLOW, DENY, LOG, Rules
from gateway.convert.report import Report

FILE = """\
version: 1
listeners:
  edge: {address: "127.0.0.1:8443", tls: {certificate: certs/edge.pem, key: certs/edge.key}}
  other: {address: "127.0.0.1:8444", tls: {certificate: certs/edge.pem, key: certs/edge.key}}
trust_domains:
  cluster.local: {bundle: certs/cluster-ca.pem}
policies:
  - {name: here, action: deny, listeners: [other], rules: [{from: {namespaces: [a]}}]}
routes:
  - name: all
    match: {paths: ["/*"]}
    respond: {status: 200}
    deny: [{name: cel, from: {namespaces: [b]}, when: ['request.method == "PUT"']}]
    allow:
      - {name: lost, from: {namespaces: [c]}, when: ['request.method == "GET"']}
      - {name: kept, from: {namespaces: [c]}}
      - {name: tried, mode: shadow, from: {namespaces: [d]}}
"""


@pytest.fixture
def config_file(folder: Path) -> Path:
    path = folder / "routes.yaml"
    path.write_text(FILE, encoding="utf-8")
    return path


def filters_of(found: Exported, listener: int) -> dict[str, Any]:
    """By filter name, what the first route says of it."""
    resources: Any = found.bootstrap["static_resources"]
    manager = resources["listeners"][listener]["filter_chains"][0]["filters"][-1]["typed_config"]
    per_route = manager["route_config"]["virtual_hosts"][0]["routes"][0]["typed_per_filter_config"]
    return {name: per_route[name]["rbac"] for name in (DENY, LOG, ALLOW)}


def test_an_allow_rule_with_cel_is_left_out_and_a_deny_rule_asks_less(config_file: Path) -> None:
    found = export(load(config_file, env={}))
    filters = filters_of(found, 0)
    assert set(filters[ALLOW]["rules"]["policies"]) == {"kept"}
    assert set(filters[ALLOW]["shadow_rules"]["policies"]) == {"tried"}
    assert "cel" in filters[DENY]["rules"]["policies"]
    assert [(lost.where.line, lost.path, lost.why.rpartition(": ")[2]) for lost in found.not_carried] == [
        (13, "cel.when[0]", "left out of the rule, which denies more"),
        (15, "lost.when[0]", "and so the rule is left out"),
    ]


def test_a_policy_stands_on_its_own_listeners(config_file: Path) -> None:
    found = export(load(config_file, env={}))
    assert "here[0]" not in filters_of(found, 0)[DENY]["rules"]["policies"]
    assert "here[0]" in filters_of(found, 1)[DENY]["rules"]["policies"]


def test_a_requirement_that_cannot_be_asked_denies(config_file: Path) -> None:
    config = load(config_file, env={})
    required = Requires(scopes=("read",), acr=("phr",))
    report = Report()
    rules = Rules(config, report).per_route(config.routes[0].replace(requires=required), "edge")
    denied: Any = rules[DENY]
    assert denied["rbac"]["rules"]["policies"]["all: acr required"]["principals"] == [
        {"not_id": {"not_id": {"any": True}}}
    ]
    assert "routes[all].requires.acr" in [lost.path for lost in report.not_carried]


def test_a_route_without_rules_denies_and_a_public_one_does_not(folder: Path, config_file: Path) -> None:
    text = FILE[: FILE.index("    allow:")]
    config_file.write_text(text, encoding="utf-8")
    assert filters_of(export(load(config_file, env={})), 0)[ALLOW]["rules"] == {"action": "ALLOW", "policies": {}}
    config_file.write_text(text + "    public: true\n", encoding="utf-8")
    assert "rules" not in filters_of(export(load(config_file, env={})), 0)[ALLOW]
