"""Where an issuer's keys and endpoints are: OpenID Connect Discovery, then RFC 8414.

Rule: a metadata document counts only if its `issuer` is ours, byte by byte (Discovery 4.3, RFC 8414 section 3.3).
Invariant: only a missing document leads to the second address, never one that names another issuer.
"""

from urllib.parse import urlsplit

from gateway.control.feeds.fetch import Fetcher, FetchError, NotServedError, check_url
from gateway.kernel.strict import NotStrict, parse_object


async def discover_jwks_uri(issuer: str, fetcher: Fetcher) -> str:
    """The issuer's `jwks_uri`. Raises FetchError."""
    return await discover_endpoint(issuer, "jwks_uri", fetcher)


async def discover_endpoint(issuer: str, member: str, fetcher: Fetcher, *, mtls: bool = False) -> str:
    """The URL under `member` in the issuer's metadata; `mtls`: for a client with a certificate. Raises FetchError."""
    try:
        document = await fetcher.get(issuer.rstrip("/") + "/.well-known/openid-configuration")
    except NotServedError:
        document = await fetcher.get(oauth_metadata_url(issuer))
    return read_endpoint(issuer, member, document.body, mtls=mtls)


def read_endpoint(issuer: str, member: str, document: bytes, *, mtls: bool = False) -> str:
    """The URL under `member` of a metadata document that is `issuer`'s. Raises FetchError.

    With `mtls` its alias for clients with a certificate, where it has one (RFC 8705 section 5).
    """
    try:
        metadata = parse_object(document)
    except NotStrict as error:
        raise FetchError(f"the discovery document is {error}") from None
    if metadata.get("issuer") != issuer:
        raise FetchError("the discovery document names another issuer")
    aliases = metadata.get("mtls_endpoint_aliases") if mtls else None
    uri = aliases.get(member, metadata.get(member)) if isinstance(aliases, dict) else metadata.get(member)
    if not isinstance(uri, str):
        raise FetchError(f"the discovery document has no {member}")
    check_url(uri)
    return uri


def oauth_metadata_url(issuer: str) -> str:
    """RFC 8414 section 3.1: the well-known part stands between host and path."""
    parts = urlsplit(issuer)
    return f"{parts.scheme}://{parts.netloc}/.well-known/oauth-authorization-server{parts.path.rstrip('/')}"
