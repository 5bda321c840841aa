"""Contexts that trust exactly what they were given."""

import ssl

import pytest

from gateway.testing.ca import Authority
from gateway.testing.tls import client_context, server_context
from tests.testing.test_ca import handshake


def test_each_side_sees_the_other_and_the_chosen_protocol() -> None:
    ca = Authority("cluster.local")
    leaf = ca.issue(uri="spiffe://cluster.local/ns/default/sa/web")
    server = server_context(ca.issue(dns=["localhost"]), [ca], alpn=["http/1.1"])
    client = client_context([ca], leaf, check_hostname=False, alpn=["http/1.1"])
    assert handshake(server, client) == leaf.der


def test_a_client_with_trust_refuses_a_stranger_and_one_without_believes_anyone() -> None:
    ca = Authority("cluster.local")
    server = server_context(Authority("cluster.local").issue())
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(server, client_context([ca], check_hostname=False))
    assert handshake(server, client_context([])) is None


def test_an_optional_client_certificate_may_be_absent() -> None:
    ca = Authority("cluster.local")
    server = server_context(ca.issue(), [ca], client_certificate=ssl.CERT_OPTIONAL)
    assert handshake(server, client_context([])) is None
