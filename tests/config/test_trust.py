"""`identity` and `trust_domains`: files, bundle endpoints and the Workload API."""

from pathlib import Path

import pytest

from tests.config.sample import SMALL, judged, loaded

API = "identity: {workload_api: unix:///run/spire/agent.sock}\n"
WEB = '{url: "https://a.example/b", profile: https_web}'
SVID = (
    '{url: "https://a.example/b", profile: https_spiffe, endpoint_spiffe_id: "spiffe://a.example/s",'
    " bootstrap: certs/cluster-ca.pem}"
)


def domain(bundle: str) -> str:
    return f"trust_domains: {{a.example: {{bundle: {bundle}}}}}\n"


def faults(folder: Path, text: str) -> list[str]:
    return [line.partition(" ")[2] for line in judged(folder, SMALL + text)[0]]


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(API, id="identity"),
        pytest.param("identity: {workload_api: unix:///s, hint: internal}\n", id="hint"),
        pytest.param(API + domain("workload_api"), id="bundle"),
        pytest.param(domain(WEB), id="https-web"),
        pytest.param(domain(WEB.replace("}", ", ca: certs/provider-ca.pem}")), id="https-web-ca"),
        pytest.param(domain(SVID), id="https-spiffe"),
        pytest.param(domain("certs/cluster-ca.pem"), id="file"),
        pytest.param(domain("{file: certs/cluster-ca.pem}"), id="file-in-full"),
        pytest.param(domain(WEB.replace("https://a.example", "http://127.0.0.1:1")), id="loopback"),
        pytest.param(API + "assertion: {}\n", id="assertion-named-by-the-svid"),
    ],
)
def test_what_is_sound(folder: Path, text: str) -> None:
    assert faults(folder, text) == []


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("identity: {}\n", "nothing proves the gateway (write certificate and key, or workload_api)"),
        (
            "identity: {certificate: certs/gateway.pem}\n",
            "nothing proves the gateway (write certificate and key, or workload_api)",
        ),
        (
            "identity: {certificate: certs/gateway.pem, key: certs/gateway.key, hint: a}\n",
            "a hint chooses among the SVIDs of workload_api",
        ),
        ("identity: {workload_api: /run/s}\n", "'/run/s' is no socket: write unix:///absolute/path"),
        ("identity: {workload_api: 'unix://run/s'}\n", "'unix://run/s' is no socket: write unix:///absolute/path"),
        (
            "identity: {workload_api: 'tcp://127.0.0.1:1'}\n",
            "'tcp://127.0.0.1:1' is no socket: write unix:///absolute/path",
        ),
        (domain("workload_api"), "nothing says where the Workload API is (add identity.workload_api)"),
        (domain("{}"), "nothing says where the bundle is, or two things do (write a file, or {url, profile})"),
        (
            domain(WEB.replace("{", "{file: certs/cluster-ca.pem, ")),
            "nothing says where the bundle is, or two things do (write a file, or {url, profile})",
        ),
        (
            domain('{url: "https://a.example"}'),
            "nothing says how the endpoint proves itself (add profile: https_web or https_spiffe)",
        ),
        (
            domain("{file: certs/cluster-ca.pem, profile: https_web}"),
            "profile belongs to a bundle endpoint (write url, or the file alone)",
        ),
        (
            domain(WEB.replace("https://", "http://")),
            "'http://a.example/b' is not protected on its way: write https:// (http:// only to loopback)",
        ),
        (
            domain(WEB.replace("a.example", "169.254.169.254")),
            "169.254.169.254 is a link-local address: the gateway never connects there",
        ),
        (domain(WEB.replace("}", ", bootstrap: certs/cluster-ca.pem}")), "bootstrap belongs to profile https_spiffe"),
        (
            domain(SVID.replace('endpoint_spiffe_id: "spiffe://a.example/s",', "")),
            "profile https_spiffe needs endpoint_spiffe_id",
        ),
        (
            domain(SVID.replace("spiffe://a.example/s", "spiffe://a.example")),
            "an id without a path signs for a trust domain, it is no peer's",
        ),
        (domain(SVID.replace(" bootstrap: certs/cluster-ca.pem", "")), "profile https_spiffe needs bootstrap"),
        (
            domain(SVID.replace("https://", "http://127.0.0.1/")),
            "an endpoint that proves itself by an SVID has an https:// URL",
        ),
        (domain(SVID.replace("certs/cluster-ca.pem", "none.pem")), "cannot read none.pem: no such file or directory"),
        (
            domain(WEB.replace("}", ", ca: broken.pem}")),
            "broken.pem: a certificate in it cannot be read: is the file whole?",
        ),
        (API.replace("{", "{key: certs/gateway.key, "), "workload_api stands beside files (write one of both)"),
        (
            "client_authorities: {p: {bundle: workload_api, names: [a.example]}}\n",
            "cannot read workload_api: no such file or directory",
        ),
    ],
)
def test_what_is_not(folder: Path, text: str, fault: str) -> None:
    assert faults(folder, text) == [fault]


def test_what_is_in_force_is_shown_as_it_is_written(folder: Path) -> None:
    from gateway.config.effective import Effective

    for bundle, shown in (("workload_api", "workload_api"), ("certs/cluster-ca.pem", "certs/cluster-ca.pem")):
        config = loaded(folder, SMALL + API + domain(bundle))
        plain = Effective(config).plain()
        assert isinstance(plain, dict)
        assert plain["trust_domains"] == {"a.example": {"bundle": shown}}
