"""Where revocation lists lie, and what they mean, by what the file says."""

from pathlib import Path

import pytest

from gateway.config.load import load
from gateway.config.problem import ConfigInvalid
from gateway.config.schema import Config
from gateway.control.build.lists import list_file, list_rules, list_settings, status_rules
from gateway.kernel.x509.crl import BY_FILE, ListRules
from gateway.kernel.x509.ocsp import StatusRules
from gateway.testing.ca import Authority

ROOT = Authority("cluster.local")


def config(folder: Path, crl: str) -> Config:
    (folder / "ca.pem").write_bytes(ROOT.pem())
    (folder / "ca.crl").write_bytes(ROOT.crl())
    (folder / "routes.yaml").write_text(
        "version: 1\n"
        'listeners: {edge: {address: "127.0.0.1:0"}}\n'
        f"trust_domains: {{cluster.local: {{bundle: ca.pem{crl}}}}}\n"
        'routes: [{name: all, match: {paths: ["*"]}, public: true, respond: {status: 200, body: ok}}]\n'
    )
    return load(folder / "routes.yaml")


@pytest.mark.parametrize(
    ("crl", "rules"),
    [
        ("", BY_FILE),
        (", crl: ca.crl", BY_FILE),
        (", crl: {file: ca.crl, check: leaf}", ListRules(leaf=True)),
        (", crl: {file: ca.crl, on_failure: allow}", ListRules(required=False)),
        (', crl: {url: "https://pki.example/list"}', ListRules(fetched=True)),
    ],
)
def test_what_lists_mean(tmp_path: Path, crl: str, rules: ListRules) -> None:
    assert list_rules(config(tmp_path, crl).trust_domains["cluster.local"].crl) == rules


def test_where_lists_lie(tmp_path: Path) -> None:
    held = config(tmp_path, ", crl: ca.crl")
    crl = held.trust_domains["cluster.local"].crl
    assert list_file(held, crl) == tmp_path / "ca.crl"
    assert list_settings(held, crl) is None
    assert list_file(held, None) is None
    held = config(tmp_path, ', crl: {url: "https://pki.example/list", ca: ca.pem, refresh: 5m}')
    crl = held.trust_domains["cluster.local"].crl
    settings = list_settings(held, crl)
    assert settings is not None
    assert (settings.url, settings.ca, settings.refresh) == ("https://pki.example/list", tmp_path / "ca.pem", 300.0)
    assert list_file(held, crl) == settings.path
    assert settings.path.is_relative_to(held.state_dir)


@pytest.mark.parametrize(
    ("crl", "error"),
    [
        ('"https://pki.example/list"', "crl names a file: write {url: …} for a list that is fetched"),
        ("{on_failure: allow}", "a list lies in a file or is fetched from a url"),
        ('{file: ca.crl, url: "https://pki.example/list"}', "a list lies in a file or is fetched from a url"),
        ('{url: "http://pki.example/list"}', "is not protected on its way"),
        ('{url: "https://169.254.169.254/list"}', "the gateway never connects there"),
        ('{url: "https://pki.example/list", ca: none.pem}', "none.pem: no such file"),
        ("{file: none.crl}", "none.crl: no such file"),
        ('{url: "https://pki.example/list", refresh: 100ms}', "at least 1 is wanted"),
    ],
)
def test_what_cannot_be_meant_is_an_error(tmp_path: Path, crl: str, error: str) -> None:
    with pytest.raises(ConfigInvalid) as invalid:
        config(tmp_path, f", crl: {crl}")
    assert any(error in str(problem) for problem in invalid.value.errors), list(map(str, invalid.value.errors))


@pytest.mark.parametrize(
    ("ocsp", "rules"),
    [
        ("{}", StatusRules()),
        ('"https://ocsp.example"', StatusRules("https://ocsp.example")),
        ("{hosts: [OCSP.example], check: leaf}", StatusRules(hosts=("ocsp.example",), leaf=True)),
        ("{refresh: 1m, max_stale: 1h, nonce: required}", StatusRules(refresh=60, max_stale=3600, nonce=True)),
        ("{on_failure: allow}", StatusRules(required=False)),
    ],
)
def test_how_certificates_are_asked_about(tmp_path: Path, ocsp: str, rules: StatusRules) -> None:
    assert status_rules(config(tmp_path, f", ocsp: {ocsp}").trust_domains["cluster.local"].ocsp) == rules
    assert status_rules(config(tmp_path, "").trust_domains["cluster.local"].ocsp) is None


def test_the_private_authority_of_a_responder_is_a_file_like_others(tmp_path: Path) -> None:
    held = config(tmp_path, ', ocsp: {responder: "https://ocsp.example", ca: ca.pem}')
    rules = status_rules(held.trust_domains["cluster.local"].ocsp)
    assert rules is not None
    assert rules.ca == tmp_path / "ca.pem"


@pytest.mark.parametrize(
    ("ocsp", "error"),
    [
        ('"http://ocsp.example"', "is not protected on its way"),
        ('"https://169.254.169.254"', "the gateway never connects there"),
        ("{hosts: [169.254.169.254]}", "the gateway never connects there"),
        ("{hosts: ['https://ocsp.example']}", "is no host name"),
        ('{responder: "https://ocsp.example", hosts: [ocsp.example]}', "responder is asked, whatever"),
        ("{ca: none.pem}", "none.pem: no such file"),
        ("{refresh: 100ms}", "at least 1 is wanted"),
        ("{on_failure: open}", "deny"),
        ("{respnder: x}", "did you mean 'responder'?"),
    ],
)
def test_what_cannot_be_asked_is_an_error(tmp_path: Path, ocsp: str, error: str) -> None:
    with pytest.raises(ConfigInvalid) as invalid:
        config(tmp_path, f", ocsp: {ocsp}")
    assert any(error in str(problem) for problem in invalid.value.errors), list(map(str, invalid.value.errors))
