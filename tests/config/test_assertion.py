"""`assertion`: who signs with what, and what a route may ask of it."""

from pathlib import Path

import pytest

from tests.config.sample import SMALL, changed, judged, loaded

ID = "identity: {certificate: certs/gateway.pem, key: certs/gateway.key}\n"
KEY = "assertion: {key: certs/assertion.key}\n"
SEVERAL = "without a key each replica would sign with its own, and store says that there are several"
FORWARD = ("    upstream: inventory\n", "    upstream: inventory\n    forward: {assertion: %s}\n")


def asking(value: str) -> str:
    return changed((FORWARD[0], FORWARD[1] % value))


def test_the_least_is_nothing_where_the_gateway_has_an_id(folder: Path) -> None:
    held = loaded(folder, SMALL + ID + "assertion: {}\n").assertion
    assert held is not None
    assert (held.key, held.issuer, held.previous) == (None, None, ())


def test_the_whole(folder: Path) -> None:
    text = "assertion: {key: certs/assertion.key, issuer: gw, previous: [certs/gateway.key, certs/assertion.key]}\n"
    held = loaded(folder, SMALL + text).assertion
    assert held is not None
    assert held.key == folder / "certs/assertion.key"
    assert (held.issuer, len(held.previous)) == ("gw", 2)


@pytest.mark.parametrize(
    ("text", "errors"),
    [
        pytest.param(KEY, ["14:1 the gateway has no SPIFFE id to sign as (add issuer)"], id="nameless"),
        pytest.param(
            KEY + "identity: {certificate: certs/edge.pem, key: certs/edge.key}\n",
            ["14:1 the gateway has no SPIFFE id to sign as (add issuer)"],
            id="identity-without-an-id",
        ),
        pytest.param(
            "store: redis://127.0.0.1\nassertion: {issuer: a}\n",
            [f"15:1 {SEVERAL} (add key)"],
            id="several-replicas-without-a-key",
        ),
        pytest.param("store: redis://127.0.0.1\n" + ID + KEY, [], id="several-replicas-with-a-key"),
        pytest.param(
            "assertion: {issuer: a, key: certs/none.key}\n",
            ["14:29 cannot read certs/none.key: no such file or directory"],
            id="no-file",
        ),
        pytest.param(
            "assertion: {issuer: a, key: certs/audit.key}\n",
            ["14:29 certs/audit.key holds another kind of key: a P-256 key signs with ES256"],
            id="another-kind",
        ),
        pytest.param(
            "assertion: {issuer: a, key: certs/edge.pem}\n",
            ["14:29 certs/edge.pem holds no private key in PEM without a password"],
            id="a-certificate",
        ),
        pytest.param(
            "assertion: {issuer: a, previous: [certs/assertion.key, empty.pem]}\n",
            ["14:56 empty.pem holds no private key in PEM without a password"],
            id="previous",
        ),
        pytest.param("assertion: {issuer: a, kee: b}\n", ["14:24 unknown key 'kee' (did you mean 'key'?)"], id="typo"),
    ],
)
def test_faults(folder: Path, text: str, errors: list[str]) -> None:
    assert judged(folder, SMALL + text)[0] == errors


@pytest.mark.parametrize(
    ("value", "enabled", "claims"),
    [("true", True, ()), ("false", False, ()), ("{claims: [email, groups]}", True, ("email", "groups"))],
)
def test_a_route_says_whether_and_what(folder: Path, value: str, enabled: bool, claims: tuple[str, ...]) -> None:
    asked = loaded(folder, asking(value)).routes[0].forward.assertion
    assert (asked.enabled, asked.claims) == (enabled, claims)


@pytest.mark.parametrize(
    ("value", "error"),
    [
        ("yes", "yes is a text in YAML 1.2: write true"),
        ("1", "true or false is wanted"),
        ("{claims: []}", "nothing stands in it: remove the key or name something"),
        ("{claim: [a]}", "unknown key 'claim' (did you mean 'claims'?)"),
        ("{claims: [email, sub]}", "'sub' is a claim that the gateway makes itself"),
    ],
)
def test_what_a_route_may_not_ask(folder: Path, value: str, error: str) -> None:
    errors = judged(folder, asking(value))[0]
    assert len(errors) == 1
    assert errors[0].partition(" ")[2] == error


def test_a_public_route_tells_of_no_caller(folder: Path) -> None:
    text = asking("{claims: [email]}").replace("    forward:", "    public: true\n    forward:")
    assert [line.partition(" ")[2] for line in judged(folder, text)[0]] == [
        "backends of a public route are told of no caller"
    ]


@pytest.mark.parametrize(
    "path", ["/.well-known/gateway/*", "/.well-known/gateway/jwks.json", "/.well-known/gateway/{*}"]
)
def test_no_route_claims_what_is_the_gateways(folder: Path, path: str) -> None:
    errors = judged(folder, changed(("/api/v1/inventory/*", path)))[0]
    assert [line.partition(" ")[2] for line in errors] == ["/.well-known/gateway/ belongs to the gateway"]
