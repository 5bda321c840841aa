"""Postures in the file."""

from pathlib import Path

import pytest

from tests.config.sample import changed, judged, loaded

UPSTREAMS = "upstreams:\n"


def with_posture(text: str) -> str:
    return changed((UPSTREAMS, f"posture:\n  managed: {text}\n{UPSTREAMS}"))


def test_a_posture_of_each_kind(folder: Path) -> None:
    (folder / "devices.yaml").write_text("laptop-1: {encrypted: true}\n")
    postures = (
        "posture:\n"
        "  inventory: {source: {http: 'https://10.0.0.9/devices/{device}'}, device: certificate.fingerprint,\n"
        "    require: [device.a, 'device.b <= 3'], max_age: 1h, remediation: https://help.example.com, mode: shadow}\n"
        "  token: {source: {claim: device}}\n"
        "  listed: {source: {file: devices.yaml}, device: claims.device_id}\n"
    )
    route = "    upstream: inventory\n"
    config = loaded(
        folder, changed((UPSTREAMS, postures + UPSTREAMS), (route, route + "    requires: {posture: listed}\n"))
    )
    assert config.posture["inventory"].max_age == 3600
    assert config.posture["token"].max_age == 86400
    assert config.posture["listed"].source.file == folder / "devices.yaml"
    assert config.routes[0].requires is not None
    assert config.routes[0].requires.posture == "listed"


@pytest.mark.parametrize(
    ("posture", "error"),
    [
        ("{device: certificate.uri}", "7:12 'source' is missing"),
        ("{source: {}, device: certificate.uri}", "7:21 a source is one of claim, certificate, file, http and store"),
        ("{source: {claim: a, http: 'https://a/{device}'}}", "7:21 a source is one of"),
        ("{source: {http: 'https://a/{device}'}}", "7:12 'device' is missing"),
        ("{source: {http: 'http://a/{device}'}, device: claims.d}", "7:28 'http://a/device' is not protected"),
        ("{source: {http: 'https://a/b'}, device: claims.d}", "7:28 'https://a/b' does not say where the device"),
        ("{source: {http: 'https://{device}/b'}, device: claims.d}", "7:28 'https://{device}/b' does not say"),
        ("{source: {http: 'https://{device}/{device}'}, device: claims.d}", "7:28 "),
        ("{source: {http: 'https://a/{device}/{x}'}, device: claims.d}", "7:28 "),
        ("{source: {http: 'https://169.254.169.254/{device}'}, device: claims.d}", "7:28 169.254.169.254 is a"),
        ("{source: {certificate: a.b}}", "7:35 'a.b' is no object identifier: write one like 1.3.6.1.4.1.32473.1"),
        ("{source: {certificate: 1.2.3, claim: a}}", "7:21 a source is one of"),
        ("{source: {claim: a, ca: x.pem}}", "7:32 ca is of an http source"),
        ("{source: {claim: a}, device: header.x}", "7:41 'header.x': write certificate.fingerprint"),
        ("{source: {claim: a}, require: ['device.a ==']}", "7:55 a value is wanted"),
        ("{source: {claim: a}, require: [claims.a]}", "7:43 there is no 'claims' here"),
        ("{source: {file: none.yaml}, device: claims.d}", "7:28 cannot read"),
        ("{source: {claim: a}, max_age: 0s}", "7:42 more than 0 is wanted"),
        ("{source: {claim: a}, requires: [x]}", "7:33 unknown key 'requires'"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_its_place(folder: Path, posture: str, error: str) -> None:
    errors, _ = judged(folder, with_posture(posture))
    assert any(one.startswith(error) for one in errors), errors


@pytest.mark.parametrize(("store", "warned"), [("memory://", True), ("redis://127.0.0.1:6379", False)])
def test_a_store_that_nobody_can_write_into_knows_no_device(folder: Path, store: str, warned: bool) -> None:
    text = f"store: {store}\nposture:\n  managed: {{source: {{store: devices}}, device: claims.d}}\n"
    errors, warnings = judged(folder, changed((UPSTREAMS, text + UPSTREAMS)))
    assert errors == []
    warning = "8:29 nobody can write into memory://: no device is ever known (name a Redis as store)"
    assert (warning in warnings) is warned


def test_a_posture_that_is_not_there_is_named(folder: Path) -> None:
    route = "    upstream: inventory\n"
    text = changed((UPSTREAMS, "posture:\n  managed: {source: {claim: a}}\n" + UPSTREAMS),
                   (route, route + "    requires: {posture: manged}\n"))  # fmt: skip
    errors, _ = judged(folder, text)
    assert errors == ["14:25 'manged' is none of posture (did you mean 'managed'?)"]


def test_a_later_route_that_asks_for_no_posture_is_pointed_out(folder: Path) -> None:
    routes = (
        '    match: {paths: ["/api/v1/inventory/*"], methods: [POST]}\n    requires: {posture: managed}\n'
        "    upstream: inventory\n    allow: [{from: {issuers: [corp]}}]\n"
        "  - name: wide\n"
    )
    text = changed(
        (UPSTREAMS, "posture:\n  managed: {source: {claim: a}}\n" + UPSTREAMS),
        ('    match: {paths: ["/api/v1/inventory/*"]}\n', routes + '    match: {paths: ["/api/v1/inventory/*"]}\n'),
    )
    _, warnings = judged(folder, text)
    assert any("wide" in warning and "inventory" in warning for warning in warnings), warnings
