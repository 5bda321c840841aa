"""Whatever a policy holds, what becomes of it loads, and anything lost is said."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.convert.writing import yaml_text
from tests.convert.merging import imported, merged

_VALUES = st.sampled_from(
    ["a", "*", "a*", "*a", "a*b", "", "/a", "/a/*", "/{*}/b", "/{**}x", "//", "/a?b", "/%2e", "spiffe://a/b", "a/b",
     "a/b/c", "10.0.0.0/8", "10.1.1.1/8", "::1", "1.2.3", "GET", "get", "P*", "80", "0", "http://x", "a.example:80",
     "A.Example.", "é", "dns:x", "on", "${HOME}", "$$", "\t"]
)  # fmt: skip
_LIST = st.lists(_VALUES, max_size=3) | st.just("text") | st.none()
_SIDES = [
    "principals", "requestPrincipals", "namespaces", "serviceAccounts", "trustDomains", "ipBlocks", "remoteIpBlocks",
]  # fmt: skip


def _keys(*names: str) -> st.SearchStrategy[dict[str, Any]]:
    both = [*names, *(f"not{name[0].upper()}{name[1:]}" for name in names), "not", "odd"]
    return st.dictionaries(st.sampled_from(both), _LIST, max_size=3)


_CONDITION = st.fixed_dictionaries(
    {},
    optional={
        "key": st.sampled_from(
            ["source.ip", "source.principal", "source.serviceAccount", "request.headers[x]", "request.headers[:path]",
             "request.headers[ ]", "request.auth.claims[a][b]", "request.auth.claims[]", "destination.port",
             "connection.sni", "source.user", "", "request.headers[:authority]"]
        ),
        "values": _LIST,
        "notValues": _LIST,
    },
)  # fmt: skip
_RULE = st.fixed_dictionaries(
    {},
    optional={
        "from": st.lists(st.fixed_dictionaries({}, optional={"source": _keys(*_SIDES)}), max_size=2),
        "to": st.lists(st.fixed_dictionaries({"operation": _keys("hosts", "ports", "methods", "paths")}), max_size=2),
        "when": st.lists(_CONDITION, max_size=2),
    },
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
@given(st.sampled_from(["ALLOW", "DENY", "AUDIT"]), st.lists(_RULE, max_size=2))
def test_every_fragment_loads(folder: Path, action: str, rules: list[dict[str, Any]]) -> None:
    resource = {
        "apiVersion": "security.istio.io/v1",
        "kind": "AuthorizationPolicy",
        "metadata": {"name": "p", "namespace": "n"},
        "spec": {"action": action, "rules": rules},
    }
    found = imported(folder, yaml_text(resource))
    merged(folder, found)
    carried: Any = found.config.get("policies", [{"rules": []}])
    assert len(carried[0]["rules"]) == len(rules) or found.not_carried
    allowing = [rule for rule in carried[0]["rules"] if action == "ALLOW" and "mode" not in rule]
    assert allowing.count({}) == rules.count({}) * (action == "ALLOW")  # none became a rule for everybody


@pytest.mark.parametrize("routes", [(), ("one", "one", "t*")])
def test_policies_stand_on_the_chosen_routes(folder: Path, routes: tuple[str, ...]) -> None:
    text = "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {name: p}\nspec: {rules: [{}]}\n"
    policies: Any = imported(folder, text, routes=routes).config["policies"]
    assert policies[0]["routes"] == (["one", "t*"] if routes else ["*"])
