"""SPIFFE bundles: read whole, or refused whole."""

import json
from typing import Any

import pytest
from spiffe import TrustDomain, X509Bundle

from gateway.control.feeds.bundle import der_certificates, parse_bundle
from gateway.testing.ca import Authority
from tests.bundles import JWT_KEY, bundle, key

ROOT, OTHER = Authority("cluster.local"), Authority("cluster.local")


def test_roots_sequence_and_hint_are_read_and_the_rest_is_passed_over() -> None:
    held = parse_bundle(bundle(ROOT, OTHER, sequence=7, hint=60, another=1))
    assert (held.anchors, held.sequence, held.refresh_hint) == ((ROOT.certificate, OTHER.certificate), 7, 60)
    plain = parse_bundle(bundle(ROOT, sequence=None))
    assert (plain.sequence, plain.refresh_hint) == (None, None)


@pytest.mark.parametrize("keys", [[], [JWT_KEY], [{"kty": "EC"}], [{"use": "new"}, 1]])
def test_K3_no_roots_is_an_answer(keys: list[Any]) -> None:
    assert parse_bundle(json.dumps({"keys": keys}).encode()).anchors == ()


@pytest.mark.parametrize(
    "document",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"<html>", id="html"),
        pytest.param(b"[]", id="a-list"),
        pytest.param(b"{}", id="no-keys"),
        pytest.param(b'{"keys": null}', id="null"),
        pytest.param(b'{"keys": [], "keys": []}', id="twice"),
        pytest.param(bundle(ROOT)[:-1], id="cut-off"),
        pytest.param(bundle(ROOT, spiffe_refresh_hint="60"), id="hint-a-text"),
        pytest.param(bundle(ROOT, spiffe_sequence=-1), id="sequence-negative"),
        pytest.param(bundle(ROOT, spiffe_sequence=True), id="sequence-true"),
        pytest.param(json.dumps({"keys": [key(ROOT) | {"x5c": []}]}).encode(), id="no-certificate"),
        pytest.param(json.dumps({"keys": [key(ROOT) | {"x5c": key(ROOT)["x5c"] * 2}]}).encode(), id="two-certificates"),
        pytest.param(json.dumps({"keys": [key(ROOT) | {"x5c": ["AAAA"]}]}).encode(), id="no-der"),
        pytest.param(json.dumps({"keys": [key(ROOT) | {"x5c": ["-_-_"]}]}).encode(), id="base64url"),
        pytest.param(json.dumps({"keys": [key(ROOT), {"use": "x509-svid", "kty": "EC"}]}).encode(), id="one-bad"),
        pytest.param(json.dumps({"keys": [{"kty": "EC"}] * 1001}).encode(), id="K3-too-many"),
    ],
)
def test_what_cannot_be_read_whole_is_refused(document: bytes) -> None:
    with pytest.raises(ValueError, match="bundle"):
        parse_bundle(document)


def test_certificates_one_behind_the_other_are_read_as_py_spiffe_reads_them() -> None:
    data = ROOT.der + OTHER.der
    theirs = X509Bundle.parse_raw(TrustDomain("cluster.local"), data)
    assert set(der_certificates(data)) == set(theirs.x509_authorities)
    assert der_certificates(b"") == ()
