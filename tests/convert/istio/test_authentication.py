from pathlib import Path
from typing import Any

import pytest

from tests.conformance import vectors
from tests.convert.merging import imported, lines, merged

HEAD = "apiVersion: security.istio.io/v1\nkind: {kind}\nmetadata: {{name: it, namespace: foo}}\nspec: {spec}\n"
ISSUER = 'issuer: "https://auth.example.com", audiences: [api]'


def request(rule: str) -> str:
    return HEAD.format(kind="RequestAuthentication", spec=f"{{jwtRules: [{{{rule}}}]}}")


def peer(spec: str) -> str:
    return HEAD.format(kind="PeerAuthentication", spec=spec)


@pytest.mark.parametrize(
    ("rule", "issuer"),
    [
        (ISSUER, {}),
        (f"{ISSUER}, jwksUri: https://auth.example.com/keys", {"jwks_uri": "https://auth.example.com/keys"}),
        (f"{ISSUER}, spaceDelimitedClaims: [groups]", {"space_delimited_claims": ["scope", "permission", "groups"]}),
        (f'{ISSUER}, fromHeaders: [{{name: Authorization, prefix: "Bearer "}}]', {}),
        (f"{ISSUER}, presence: REQUIRED, forwardOriginalToken: false", {}),
    ],
)
def test_an_issuer_is_carried(folder: Path, rule: str, issuer: dict[str, Any]) -> None:
    found = imported(folder, request(rule))
    assert found.config == {"issuers": {"it": {"issuer": "https://auth.example.com", "audiences": ["api"], **issuer}}}
    assert found.not_carried == ()
    merged(folder, found)
    assert any("requests without a token" in note for note in found.notes)


@pytest.mark.parametrize(
    ("more", "path"),
    [
        ("timeout: 5s", "timeout"),
        ("forwardOriginalToken: true", "forwardOriginalToken"),
        ("fromParams: [t]", "fromParams"),
        ("fromCookies: [t]", "fromCookies"),
        ("fromHeaders: [{name: x-token}]", "fromHeaders[0]"),
        ("outputPayloadToHeader: x", "outputPayloadToHeader"),
        ("outputClaimToHeaders: [{header: x, claim: y}]", "outputClaimToHeaders[0]"),
        ("presence: OPTIONAL", "presence"),
        ("colour: red", "colour"),
    ],
)
def test_what_an_issuer_has_besides_is_said(folder: Path, more: str, path: str) -> None:
    found = imported(folder, request(f"{ISSUER}, {more}"))
    assert [lost.path for lost in found.not_carried] == [f"spec.jwtRules[0].{path}"]
    assert "issuers" in found.config


@pytest.mark.parametrize(
    "rule",
    [
        pytest.param('issuer: "https://auth.example.com"', id="J10-no-audiences"),
        pytest.param(f"{ISSUER}, jwksUri: http://auth.example.com/keys", id="K1-plain-keys"),
        pytest.param(f'{ISSUER}, jwks: "{{}}"', id="inline-keys"),
        pytest.param("audiences: [api]", id="no-issuer"),
        pytest.param("issuer: someone, audiences: [api]", id="no-url-to-discover"),
    ],
)
def test_an_issuer_that_would_be_believed_too_widely_is_left_out(folder: Path, rule: str) -> None:
    found = imported(folder, request(rule))
    assert found.config == {}
    assert any("is left out" in line or "an issuer is wanted" in line for line in lines(found))


def test_J21_issuers_that_could_be_confused_are_not_both_carried(folder: Path) -> None:
    text = request(ISSUER) + "---\n" + request('issuer: "https://auth.example.com/b", audiences: [api]')
    found = imported(folder, text)
    assert list(found.config["issuers"]) == ["it"]  # type: ignore[call-overload]
    assert len(found.not_carried) == 1
    merged(folder, found)


def test_invalid_and_valid_golden_requests(folder: Path) -> None:
    golden = vectors("authz/istio-golden")
    invalid = imported(folder, (golden / "crd-reqauth-invalid.yaml").read_text())
    assert invalid.config == {}
    assert len({lost.resource for lost in invalid.not_carried}) >= 18
    valid = imported(folder, (golden / "crd-reqauth-valid.yaml").read_text())
    assert {lost.path.rpartition(".")[2] for lost in valid.not_carried} >= {"fromCookies", "timeout", "fromHeaders[0]"}


@pytest.mark.parametrize(("mode", "value"), [("STRICT", "required"), ("PERMISSIVE", "optional"), ("DISABLE", "none")])
def test_a_mode_is_what_a_listener_asks_for(folder: Path, mode: str, value: str) -> None:
    found = imported(folder, peer(f"{{mtls: {{mode: {mode}}}}}"))
    assert found.not_carried == ()
    tls = merged(folder, found).listeners["edge"].tls
    assert tls is not None
    assert tls.client_certificate == value


def test_the_strictest_of_several_modes_stands_and_the_rest_is_said(folder: Path) -> None:
    text = "---\n".join(peer(f"{{mtls: {{mode: {mode}}}}}") for mode in ("PERMISSIVE", "STRICT", "UNSET", "ODD"))
    found = imported(folder, text + "---\n" + peer("{portLevelMtls: {8080: {mode: DISABLE}}, selector: {}}"))
    assert found.config == {"listeners": {"edge": {"tls": {"client_certificate": "required"}}}}
    assert [lost.path for lost in found.not_carried] == [
        "spec.mtls.mode", "spec.mtls.mode", "spec.portLevelMtls.8080", "spec.selector",
    ]  # fmt: skip
