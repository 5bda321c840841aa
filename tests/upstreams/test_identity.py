"""A backend proves who it is inside the handshake: when it cannot, not a byte of a request reaches it (M24)."""

import ssl
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from gateway.kernel.x509.fault import CertificateFault
from gateway.model.reason import Reason
from gateway.model.refused import Refused
from gateway.testing.ca import CLIENT_AUTH, Authority, Issued
from gateway.testing.tls import server_context
from gateway.testing.upstream import Upstream
from gateway.upstreams.identity import TlsMaterial, UnreadyTls, UpstreamTls, verify_peer
from tests.backends import BACKEND_ID, GATEWAY_ID, Counts, Pki, cluster, forward, pki, running, send

YESTERDAY = datetime.now(UTC) - timedelta(days=1)


@pytest.fixture(params=["uvloop", "asyncio"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, bool]]:
    return "asyncio", {"use_uvloop": request.param == "uvloop"}


async def outcome(
    issued: Issued, tls: TlsMaterial, trust: Sequence[Authority], host: str = "127.0.0.1"
) -> Reason | None:
    """What a request to a backend with this certificate ends with; no refusal leaves a byte with the backend."""
    async with Upstream(tls=server_context(issued, trust)) as backend:
        async with running(cluster(f"https://{host}:{backend.port}", tls=tls)) as made:
            try:
                await send(forward(made))
            except Refused as refused:
                assert b"".join(bytes(received) for received in backend.bytes_in) == b""
                return refused.reason
        assert backend.calls[0].spiffe_id == GATEWAY_ID
        return None


async def test_M24_the_expected_id_is_let_through_and_ours_is_shown(tmp_path: Path) -> None:
    made = pki(tmp_path)
    assert await outcome(made.authority.issue(uri=BACKEND_ID), made.material(), [made.authority]) is None


@pytest.mark.parametrize(
    "leaf",
    [
        pytest.param({"uri": "spiffe://cluster.local/ns/default/sa/other"}, id="M24-another-id-of-the-domain"),
        pytest.param({"uri": BACKEND_ID + "/x"}, id="M24-longer-id"),
        pytest.param({"uri": BACKEND_ID.upper().replace("SPIFFE", "spiffe")}, id="M24-another-case"),
        pytest.param({"uri": "spiffe://cluster.local"}, id="M24-trust-domain-alone"),
        pytest.param({"uris": [BACKEND_ID, "spiffe://cluster.local/x"]}, id="M24-two-ids"),
        pytest.param({"uris": [BACKEND_ID, "https://x.example"]}, id="M24-a-second-uri"),
        pytest.param({"uri": None, "dns": ["127.0.0.1", "localhost"]}, id="M24-name-instead-of-id"),
        pytest.param({"uri": None, "common_name": BACKEND_ID}, id="M24-common-name"),
        pytest.param({"uri": BACKEND_ID, "is_ca": True}, id="M24-authority-as-leaf"),
        pytest.param({"uri": BACKEND_ID, "key_usage": ("digital_signature", "key_cert_sign")}, id="M24-may-sign"),
        pytest.param({"uri": BACKEND_ID, "extended_key_usage": (CLIENT_AUTH,)}, id="M24-client-certificate"),
        pytest.param(
            {"uri": BACKEND_ID, "not_after": YESTERDAY, "not_before": YESTERDAY - timedelta(1)}, id="M24-expired"
        ),
    ],
)
async def test_another_identity_is_refused(tmp_path: Path, leaf: dict[str, Any]) -> None:
    made = pki(tmp_path)
    assert await outcome(made.authority.issue(**leaf), made.material(), [made.authority]) is Reason.UPSTREAM_IDENTITY


async def test_M24_the_right_id_from_another_authority_is_refused(tmp_path: Path) -> None:
    made, other = pki(tmp_path), Authority("cluster.local")
    assert await outcome(other.issue(uri=BACKEND_ID), made.material(), [made.authority]) is Reason.UPSTREAM_IDENTITY


async def test_M24_a_revoked_backend_is_refused(tmp_path: Path) -> None:
    made = pki(tmp_path)
    revoked, good = made.authority.issue(uri=BACKEND_ID), made.authority.issue(uri=BACKEND_ID)
    crl = tmp_path / "list.crl"
    crl.write_bytes(made.authority.crl([revoked]))
    tls = replace(made.material(), crl=crl)
    assert await outcome(revoked, tls, [made.authority]) is Reason.UPSTREAM_IDENTITY
    assert await outcome(good, tls, [made.authority]) is None


async def test_a_backend_that_does_not_want_our_certificate_is_not_reached(tmp_path: Path) -> None:
    made = pki(tmp_path)
    stranger = Authority("elsewhere.example")
    reason = await outcome(made.authority.issue(uri=BACKEND_ID), made.material(), [stranger])
    assert reason in (Reason.UPSTREAM_CONNECT, Reason.UPSTREAM_PROTOCOL)  # with an alert, or just an end


@pytest.mark.parametrize(
    ("material", "leaf", "reason"),
    [
        pytest.param({}, {"ips": ["127.0.0.1"]}, None, id="M24-address-of-the-url"),
        pytest.param({}, {"ips": ["127.0.0.2"]}, Reason.UPSTREAM_IDENTITY, id="M24-another-address"),
        pytest.param({}, {"dns": ["127.0.0.1"]}, Reason.UPSTREAM_IDENTITY, id="M24-address-as-a-name"),
        pytest.param({}, {"uri": BACKEND_ID}, Reason.UPSTREAM_IDENTITY, id="M24-no-address"),
        pytest.param({"server_name": "inventory.internal"}, {"dns": ["inventory.internal"]}, None, id="M24-named"),
        pytest.param(
            {"server_name": "inventory.internal"}, {"dns": ["x.internal"]}, Reason.UPSTREAM_IDENTITY, id="M24-x"
        ),
        pytest.param({"server_identity": "db.internal"}, {"dns": ["db.internal"]}, None, id="M24-identity-by-name"),
        pytest.param(
            {"server_identity": "db.internal", "server_name": "x.internal"},
            {"dns": ["x.internal"]},
            Reason.UPSTREAM_IDENTITY,
            id="M24-the-sni-is-no-identity",
        ),
    ],
)
async def test_identity_by_name(
    tmp_path: Path, material: dict[str, str], leaf: dict[str, Any], reason: Reason | None
) -> None:
    made = pki(tmp_path)
    tls = replace(made.material(server_identity=None), **material)  # type: ignore[arg-type]
    assert await outcome(made.authority.issue(**leaf), tls, [made.authority]) is reason


async def test_the_name_in_the_url_is_verified_and_not_the_sni(tmp_path: Path) -> None:
    made = pki(tmp_path)
    tls = made.material(server_identity=None, server_name="other.internal")
    assert await outcome(made.authority.issue(dns=["localhost"]), tls, [made.authority], "localhost") is None
    refused = await outcome(made.authority.issue(dns=["other.internal"]), tls, [made.authority], "localhost")
    assert refused is Reason.UPSTREAM_IDENTITY


@pytest.mark.parametrize(
    ("names", "expected", "good"),
    [
        (["api.example.com"], "api.example.com", True),
        (["API.example.com"], "api.EXAMPLE.com", True),
        (["api.example.com"], "api.example.com.", True),
        (["*.example.com"], "api.example.com", True),
        (["*.example.com"], "a.b.example.com", False),
        (["*.example.com"], "example.com", False),
        (["*.com"], "example.com", False),
        (["a*.example.com"], "api.example.com", False),
        (["*"], "localhost", False),
        (["api.example.com.evil.example"], "api.example.com", False),
        ([], "api.example.com", False),
    ],
)
def test_names_are_matched_by_rfc_9525(names: list[str], expected: str, good: bool) -> None:
    leaf = Authority("cluster.local").issue(dns=names, common_name="api.example.com").der
    if good:
        verify_peer(leaf, expected)
        return
    with pytest.raises(CertificateFault):
        verify_peer(leaf, expected)


def test_files_that_do_not_do_are_found_when_it_is_built(tmp_path: Path) -> None:
    made = Pki(Authority("cluster.local"), tmp_path)
    material = made.material()
    (tmp_path / "empty.pem").write_text("")
    with pytest.raises((OSError, ssl.SSLError)):
        UpstreamTls(replace(material, authorities=tmp_path / "empty.pem"), ["127.0.0.1"])
    other = Authority("cluster.local").issue(uri=GATEWAY_ID).write(tmp_path, "other")
    with pytest.raises((OSError, ssl.SSLError)):
        UpstreamTls(replace(material, key=other.key), ["127.0.0.1"])
    with pytest.raises(FileNotFoundError):
        UpstreamTls(replace(material, crl=tmp_path / "missing"), ["127.0.0.1"])


def test_M24_no_environment_variable_moves_the_systems_roots(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = pki(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(made.authority.write(tmp_path, "planted")))
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path))
    tls = UpstreamTls(TlsMaterial("db.internal", None, None), ["db.internal"])
    loaded = tls.context("db.internal").get_ca_certs(binary_form=True)
    assert made.authority.der not in loaded


def test_the_fingerprint_follows_what_lies_in_the_files(tmp_path: Path) -> None:
    made = pki(tmp_path)
    material = made.material()
    first, same = UpstreamTls(material, ["a"]), UpstreamTls(material, ["a"])
    made.authority.issue(uri=GATEWAY_ID).write(tmp_path, "gateway")
    renewed = UpstreamTls(material, ["a"])
    assert first.fingerprint == same.fingerprint != renewed.fingerprint
    assert repr(first) == f"UpstreamTls({BACKEND_ID}, {first.fingerprint[:12]})"


async def test_M24_what_lies_in_memory_does_as_files_do(tmp_path: Path) -> None:
    made = pki(tmp_path)
    files = made.material()
    assert isinstance(files.certificate, Path)
    assert isinstance(files.key, Path)
    held = replace(
        files,
        authorities=made.authority.pem(),
        certificate=files.certificate.read_bytes(),
        key=files.key.read_bytes(),
    )
    backend = made.authority.issue(uri=BACKEND_ID)
    assert await outcome(backend, held, [made.authority]) is None
    assert UpstreamTls(held, ["a"]).fingerprint == UpstreamTls(replace(held), ["a"]).fingerprint
    for stranger in (replace(held, authorities=b""), replace(held, authorities=Authority("cluster.local").pem())):
        assert await outcome(backend, stranger, [made.authority]) is Reason.UPSTREAM_IDENTITY
    other = made.authority.issue(uri=GATEWAY_ID).key_pem()
    with pytest.raises(ssl.SSLError):
        UpstreamTls(replace(held, key=other), ["a"])


async def test_certificates_that_are_not_there_yet_refuse_and_send_nothing(tmp_path: Path) -> None:
    made = pki(tmp_path)
    counts = Counts()
    async with made.backend() as backend, running(cluster(backend.url, tls=made.material(), counts=counts)) as to:
        to.rotate(UnreadyTls(Reason.IDENTITY_UNAVAILABLE, "no SVID yet"))
        with pytest.raises(Refused) as refused:
            await send(forward(to))
        assert (refused.value.reason, backend.connections) == (Reason.IDENTITY_UNAVAILABLE, 0)
        assert counts.seen == {"identity_unavailable": 1}
        to.rotate(UpstreamTls(made.material(), ["127.0.0.1"]))
        await send(forward(to))
    assert backend.calls[0].spiffe_id == GATEWAY_ID
