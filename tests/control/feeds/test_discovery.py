"""Metadata documents, and where they stand."""

import json
from functools import partial

import pytest

from gateway.control.feeds.discovery import oauth_metadata_url, read_endpoint
from gateway.control.feeds.fetch import FetchError


@pytest.mark.parametrize(
    ("issuer", "url"),
    [
        ("https://a.example", "https://a.example/.well-known/oauth-authorization-server"),
        ("https://a.example/", "https://a.example/.well-known/oauth-authorization-server"),
        ("https://a.example:8443/t/x", "https://a.example:8443/.well-known/oauth-authorization-server/t/x"),
    ],
)
def test_rfc_8414_puts_the_well_known_part_between_host_and_path(issuer: str, url: str) -> None:
    assert oauth_metadata_url(issuer) == url


@pytest.mark.parametrize(
    "document",
    [
        pytest.param(b"[]", id="K1-no-object"),
        pytest.param(b'{"issuer":"https://a.example","issuer":"https://a.example"}', id="K1-issuer-twice"),
        pytest.param(b'{"issuer":["https://a.example"],"jwks_uri":"https://a.example/k"}', id="K1-issuer-in-a-list"),
        pytest.param(b'{"issuer":"https://a.example/","jwks_uri":"https://a.example/k"}', id="K1-slash"),
        pytest.param(b'{"issuer":"HTTPS://a.example","jwks_uri":"https://a.example/k"}', id="K1-other-case"),
        pytest.param(b'{"issuer":"https://a.example"}', id="no-jwks-uri"),
        pytest.param(b'{"issuer":"https://a.example","jwks_uri":1}', id="jwks-uri-no-text"),
        pytest.param(b'{"issuer":"https://a.example","jwks_uri":"http://a.example/k"}', id="K1-plain-http"),
    ],
)
def test_a_document_that_is_not_the_issuers_is_refused(document: bytes) -> None:
    with pytest.raises(FetchError):
        read_endpoint("https://a.example", "jwks_uri", document)


def test_the_issuers_own_document_says_where_its_keys_are() -> None:
    document = {"issuer": "https://a.example", "jwks_uri": "https://keys.example/k", "more": [1]}
    assert read_endpoint("https://a.example", "jwks_uri", json.dumps(document).encode()) == "https://keys.example/k"


def test_a_client_with_a_certificate_asks_where_the_issuer_says_that_those_ask() -> None:
    """RFC 8705 section 5."""
    aliases = {"token_endpoint": "https://mtls.a.example/token"}
    both = {"token_endpoint": "https://a.example/token", "introspection_endpoint": "https://a.example/introspect"}
    document = json.dumps({"issuer": "https://a.example", **both, "mtls_endpoint_aliases": aliases}).encode()
    read = partial(read_endpoint, "https://a.example", document=document)
    assert read(member="token_endpoint", mtls=True) == "https://mtls.a.example/token"
    assert read(member="token_endpoint") == "https://a.example/token"
    assert read(member="introspection_endpoint", mtls=True) == "https://a.example/introspect"
    bad = json.dumps({"issuer": "https://a.example", **both, "mtls_endpoint_aliases": {"token_endpoint": "http://a.b"}})
    with pytest.raises(FetchError):
        read_endpoint("https://a.example", "token_endpoint", bad.encode(), mtls=True)
