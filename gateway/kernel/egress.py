"""Which addresses the gateway itself may connect to (contract section 2, Egress).

Rule: judged after resolution, at each connect, on the address that is then connected to; a name proves nothing.
Invariant: link-local, cloud metadata, unspecified, multicast and reserved addresses are refused whatever a file says.
"""

import socket
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address

from gateway.model.connection import IPAddress
from gateway.model.noun import noun

# Metadata services of the clouds that are not link-local: Alibaba, Azure's wire server, Oracle, AWS over IPv6.
_METADATA = frozenset(map(ip_address, ("100.100.100.200", "168.63.129.16", "192.0.0.192", "fd00:ec2::254")))
_NAT64 = IPv6Network("64:ff9b::/96")  # RFC 6052


class EgressRefused(OSError):  # noqa: N818 - a verdict; an OSError, so that it ends a connect like any other failure
    """The gateway may not connect there. The message names the host and the kind of address."""


@noun
class Egress:
    """The hosts that the file names for one purpose; everything else was learned from elsewhere."""

    hosts: frozenset[str]  # lower case, without brackets and port

    def check(self, host: str, address: IPAddress) -> None:
        """May `host` be reached at `address`? Raises EgressRefused."""
        kind = kind_of(address)
        if kind is None:
            return
        named = host.lower() in self.hosts
        if kind == "private" and named:
            return
        if kind == "loopback" and named and is_loopback_host(host):
            return
        raise EgressRefused(f"{host} resolves to a {kind} address, which is refused here")


def kind_of(address: IPAddress) -> str | None:
    """None for a public address, else what makes it special, in a word or two for the message."""
    plain = _plain(address)
    if plain in _METADATA:
        return "cloud metadata"
    if plain.is_unspecified:
        return "unspecified"
    if plain.is_multicast:
        return "multicast"
    if plain.is_link_local:
        return "link-local"
    if plain.is_loopback:
        return "loopback"
    if plain.is_reserved:
        return "reserved"
    return None if plain.is_global else "private"


def is_loopback_host(host: str) -> bool:
    """True for `localhost`, a name below it (RFC 6761 section 6.3), and loopback addresses."""
    name = host.lower().removesuffix(".")
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return _plain(ip_address(name)).is_loopback
    except ValueError:
        return False


async def resolve(host: str, port: int, egress: Egress) -> list[IPAddress]:
    """The addresses of `host` to connect to, in the resolver's order.

    Raises EgressRefused when any of them is refused, for a name that mixes good and bad is an attack or a mistake;
    OSError when the name does not resolve.
    """
    from asyncio import get_running_loop  # a loop is there: `check`, which reads addresses alone, need not load one

    loop = get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    addresses = list(dict.fromkeys(ip_address(str(info[4][0]).partition("%")[0]) for info in found))
    for address in addresses:
        egress.check(host, address)
    return addresses


def _plain(address: IPAddress) -> IPv4Address | IPv6Address:
    """The IPv4 address that an IPv6 one stands for, where it does: mapped, 6to4 or NAT64."""
    if isinstance(address, IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour
        if inner is None and address in _NAT64:
            inner = IPv4Address(int(address) & 0xFFFFFFFF)
        if inner is not None:
            return inner
    return address
