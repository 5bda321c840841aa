"""X-Forwarded-Client-Cert: Envoy's format, and no way to add elements to it (M27)."""

import dataclasses

import pytest

from gateway.stages.forward.xfcc import ClientCert
from tests.exchange import WORKLOAD

HASH = "ab" * 32


def written(identity: str, by: str | None = None) -> str:
    return ClientCert(by)(dataclasses.replace(WORKLOAD, id=identity)).decode()


def test_the_spiffe_id_and_ours() -> None:
    assert written("spiffe://a/b", "spiffe://a/gw") == f"By=spiffe://a/gw;Hash={HASH};URI=spiffe://a/b"


def test_a_dns_identity_without_one_of_our_own() -> None:
    assert written("dns:client.partner.example") == f"Hash={HASH};DNS=client.partner.example"


@pytest.mark.parametrize(
    ("name", "quoted"),
    [
        pytest.param('a";URI="spiffe://a/admin', r'"a\";URI=\"spiffe://a/admin"', id="M27-quote"),
        pytest.param("a;URI=x", '"a;URI=x"', id="M27-semicolon"),
        pytest.param("a,By=x", '"a,By=x"', id="M27-comma"),
        pytest.param("a=b", '"a=b"', id="M27-equals"),
        pytest.param("a\\", '"a\\\\"', id="M27-backslash"),
    ],
)
def test_separators_are_quoted(name: str, quoted: str) -> None:
    assert written(f"dns:{name}") == f"Hash={HASH};DNS={quoted}"


def test_what_is_remembered_is_one_certificates() -> None:
    write = ClientCert(None)
    one = dataclasses.replace(WORKLOAD, id="spiffe://a/1", fingerprint="1")
    two = dataclasses.replace(WORKLOAD, id="spiffe://a/2", fingerprint="2")
    assert [write(w) for w in (one, two, one)] == [
        b"Hash=1;URI=spiffe://a/1",
        b"Hash=2;URI=spiffe://a/2",
        b"Hash=1;URI=spiffe://a/1",
    ]
