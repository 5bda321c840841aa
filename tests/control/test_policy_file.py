"""Policy test files are read as strictly as routes.yaml."""

from ipaddress import ip_address
from pathlib import Path

import pytest

from gateway.config.problem import ConfigInvalid, ConfigUnreadable
from gateway.control.policy_file import PolicyFile, load_tests

WHOLE = """\
config: ../routes.yaml
tests:
  - name: a reader may read
    request: {method: GET, url: "https://api.example.com/api/v1/inventory/42", headers: {x-a: "1", x-b: [a, b]}}
    token: {issuer: corp, claims: {sub: alice, n: 1.5, on: null, list: [a, 2, {b: true}]}}
    client: spiffe://cluster.local/ns/default/sa/web
    posture: {disk_encrypted: true}
    ip: 10.0.0.9
    now: 2026-01-31T12:00:00Z
    listener: edge
    sni: api.example.com
    destination: "[2001:db8::1]:8443"
    expect: {effect: allow, route: inventory, rule: readers}
"""


def read(folder: Path, text: str) -> PolicyFile:
    file = folder / "tests.yaml"
    file.write_text(text, encoding="utf-8")
    return load_tests(file)


def test_every_key_of_the_contract(tmp_path: Path) -> None:
    loaded = read(tmp_path, WHOLE)
    (test,) = loaded.tests
    assert loaded.config == tmp_path / ".." / "routes.yaml"
    assert (test.where.line, test.name) == (3, "a reader may read")
    assert test.request.headers == {"x-a": ("1",), "x-b": ("a", "b")}
    assert test.token is not None
    assert test.token.claims == {"sub": "alice", "n": 1.5, "on": None, "list": ["a", 2, {"b": True}]}
    assert (test.ip, test.now, test.listener) == (ip_address("10.0.0.9"), 1769860800.0, "edge")
    assert test.destination == (ip_address("2001:db8::1"), 8443)
    assert test.expect.given() == {"effect": "allow", "route": "inventory", "rule": "readers"}


def test_only_what_is_written_is_expected(tmp_path: Path) -> None:
    text = "tests:\n- {name: a, request: {url: /}, expect: {status: 404, route: none, rule: null}}\n"
    (test,) = read(tmp_path, text).tests
    assert test.expect.given() == {"status": 404, "route": None, "rule": None}


@pytest.mark.parametrize(
    ("line", "place", "says"),
    [
        ("- {name: a, request: {url: /}, expects: {effect: allow}}", "2:32", "did you mean 'expect'?"),
        ("- {name: a, request: {url: /}, expect: {effect: alow}}", "2:49", "did you mean allow?"),
        ("- {name: a, request: {url: /}, expect: {reason: no_rule}}", "2:49", "is no reason"),
        ("- {name: a, request: {url: /}, expect: {}}", "2:40", "nothing is expected"),
        ("- {name: a, request: {url: /}, expect: {status: '200'}}", "2:49", "a whole number"),
        ("- {name: a, request: {method: GET}, expect: {effect: allow}}", "2:22", "'url' is missing"),
        ("- {name: a, request: {url: /}, ip: here, expect: {effect: allow}}", "2:36", "an IP address is wanted"),
        ("- {name: a, request: {url: /}, now: later, expect: {effect: allow}}", "2:37", "write a time like"),
        ("- {name: a, request: {url: /}, destination: a:1, expect: {effect: allow}}", "2:45", "write the address"),
        ("- {name: a, name: b, request: {url: /}, expect: {effect: allow}}", "2:13", "stands twice"),
        ("- {name: a, request: {url: /}, token: {claims: [a]}, expect: {effect: allow}}", "2:48", "mapping is wanted"),
        ("- {name: a, request: {url: /, headers: {x: '${NOT_SET}'}}, expect: {effect: allow}}", "2:44", "is not set"),
        ("  []", "2:3", "nothing stands in it"),
    ],
)
def test_what_is_wrong_has_its_place(tmp_path: Path, line: str, place: str, says: str) -> None:
    with pytest.raises(ConfigInvalid) as found:
        read(tmp_path, f"tests:\n{line}\n")
    problem = found.value.errors[0]
    assert f"{problem.where.line}:{problem.where.column}" == place
    assert says in str(problem)


@pytest.mark.parametrize("text", ["", "- a\n", "tests: [\n"])
def test_a_file_that_is_no_test_file(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigInvalid):
        read(tmp_path, text)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigUnreadable, match="cannot read"):
        load_tests(tmp_path / "nowhere.yaml")
