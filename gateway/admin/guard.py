"""Who may call the admin address, judged from the request's head alone.

The Host must name the address (a rebound DNS name cannot), a foreign Origin is refused (a browser cannot be made to
call it), and everything but health and metrics needs the token, which is compared in constant time.
"""

import hmac
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path

from gateway.admin.token import make_local_token


@dataclass(frozen=True, slots=True)
class AdminSettings:
    """How the address is guarded."""

    host: str  # as configured: an address or a name; "" on a Unix socket
    token: str | None = field(repr=False)  # None: only the open paths exist
    secure: bool = False  # served over TLS


def settings_for(host: str, token: str | None, state_dir: Path, *, secure: bool = False) -> AdminSettings:
    """Settings of an address: a local one without a token gets a random one in `state_dir`.

    `host` is "" for a Unix socket. Raises OSError when the token cannot be written.
    """
    if token is None and is_local(host):
        token = make_local_token(state_dir)
    return AdminSettings(host, token, secure)


def is_local(host: str) -> bool:
    """True for a Unix socket and for loopback."""
    if host in ("", "localhost"):
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def host_is_ours(host: str, settings: AdminSettings, local_address: str | None) -> bool:
    """Whether a Host field names this address: `localhost`, the configured host, or the address that was reached."""
    name = _name(host)
    ours = {"localhost", settings.host.lower()}
    if local_address is not None and not local_address.startswith("/"):  # a Unix socket's path names no host
        ours.add(_plain(local_address))
    return name != "" and name in ours


def origin_is_ours(origin: str, host: str, settings: AdminSettings) -> bool:
    """Whether an Origin field is the address's own (RFC 6454): same scheme, and host and port as in Host."""
    return origin.lower() == f"{'https' if settings.secure else 'http'}://{host.lower()}"


def token_is_right(authorization: str, settings: AdminSettings) -> bool:
    """Whether an Authorization field holds the token (RFC 6750 section 2.1)."""
    scheme, _, credential = authorization.partition(" ")
    given = credential.strip(" ").encode("utf-8", "surrogateescape") if scheme.lower() == "bearer" else b""
    return settings.token is not None and hmac.compare_digest(given, settings.token.encode())


def _name(host: str) -> str:
    """The host of a Host field, without port, brackets and one trailing dot; "" for what is none."""
    if host.startswith("["):
        inside, bracket, port = host[1:].partition("]")
        return _plain(inside) if bracket and (port == "" or _is_port(port)) else ""
    name, colon, port = host.partition(":")
    if colon and not _is_port(colon + port):
        return ""
    return _plain(name.lower().removesuffix("."))


def _is_port(text: str) -> bool:
    return text[:1] == ":" and text[1:].isascii() and text[1:].isdigit()


def _plain(address: str) -> str:
    """One spelling for an IP address; a name stays as it is."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return address
    mapped = parsed.ipv4_mapped if parsed.version == 6 else None
    return str(mapped or parsed)
