"""URLs and names that a file may hold: which hosts, and which addresses never.

A host that the file names may be private; link-local, metadata, unspecified and multicast addresses never (K2).
What a program could read as another address (0x7f.1, 2130706433) is no host.
"""

from collections.abc import Collection
from dataclasses import dataclass
from ipaddress import ip_address
from urllib.parse import urlsplit

from gateway.kernel.patterns.hosts import parse_host

_METADATA_NAMES = frozenset({"metadata.google.internal", "metadata.goog", "instance-data"})


@dataclass(frozen=True, slots=True)
class Url:
    """A judged URL."""

    scheme: str
    host: str  # lower case, without brackets
    loopback: bool


def judge_host(host: str) -> bool:
    """True for a loopback host. Raises ValueError for what may not be connected to; `host` has no brackets."""
    try:
        address = ip_address(host)
    except ValueError:
        pass
    else:
        from gateway.kernel.egress import kind_of

        kind = kind_of(address)
        if kind is not None and kind not in ("private", "loopback"):
            article = "an" if kind.startswith("u") else "a"
            raise ValueError(f"{host} is {article} {kind} address: the gateway never connects there")
        return kind == "loopback"
    try:
        name = parse_host(host)
    except ValueError:
        raise ValueError(f"{host!r} is no host name: write one like api.example.com") from None
    if name.rpartition(".")[2].isdigit() or name.rpartition(".")[2].startswith("0x"):
        raise ValueError(f"{host!r} is neither a name nor an address in its usual form")
    if name in _METADATA_NAMES:
        raise ValueError(f"{host} is a cloud's metadata service: the gateway never connects there")
    return name == "localhost" or name.endswith(".localhost")


def judge_url(text: str, *, schemes: Collection[str] = ("https", "http"), path: bool = True) -> Url:
    """A URL that the gateway may call. Raises ValueError, which says what to write.

    With `path=False` nothing may stand behind the port.
    """
    example = f"{next(iter(schemes))}://host:port"
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise ValueError(f"{text!r} is not a URL: write one like {example}") from None
    if parts.scheme not in schemes or not parts.hostname or not text.isascii() or not text.isprintable() or " " in text:
        raise ValueError(f"{text!r} is not a URL here: write one like {example}")
    if parts.username is not None or parts.password is not None:
        raise ValueError("a URL here holds no user and no password")
    if parts.fragment or "#" in text:
        raise ValueError(f"{text!r}: remove the fragment (#)")
    if not path and (parts.path or parts.query or "?" in text):
        raise ValueError(f"{text!r}: nothing stands behind the port: write {parts.scheme}://{parts.netloc}")
    if port == 0:
        raise ValueError(f"{text!r}: port 0 cannot be connected to")
    return Url(parts.scheme, parts.hostname, judge_host(parts.hostname))


def judge_secure_url(text: str) -> Url:
    """An https URL; http only to this machine (K1). Raises ValueError."""
    url = judge_url(text)
    if url.scheme == "http" and not url.loopback:
        raise ValueError(f"{text!r} is not protected on its way: write https:// (http:// only to loopback)")
    return url
