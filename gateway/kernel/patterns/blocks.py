"""Blocks of IP addresses in CIDR notation, matched by two integer operations each.

An IPv4 address that arrives as IPv4-mapped IPv6 (a dual-stack socket) is compared as the IPv4 address that it is.
A block with host bits set is refused when the file is loaded: it seldom means what it says.
"""

from collections.abc import Callable, Sequence
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import TypeAlias, TypeVar

from gateway.model.connection import IPAddress

Network: TypeAlias = IPv4Network | IPv6Network
InBlocks: TypeAlias = Callable[[IPAddress], bool]
Made = TypeVar("Made")

_REMEMBERED = 4096


def unmapped(address: IPAddress) -> IPAddress:
    """The address itself, or the IPv4 address inside an IPv4-mapped one (RFC 4291 section 2.5.5.2)."""
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


def by_identity(function: Callable[[IPAddress], Made]) -> Callable[[IPAddress], Made]:
    """Remember what was made of an address for as long as the object comes again: to hash one takes three calls."""
    made: dict[int, Made] = {}
    kept: list[IPAddress] = []  # each of them, so that no other object gets its id

    def remembered(address: IPAddress) -> Made:
        try:
            return made[id(address)]
        except KeyError:
            pass
        if len(kept) >= _REMEMBERED:
            made.clear()
            kept.clear()
        result = function(address)
        kept.append(address)
        made[id(address)] = result
        return result

    return remembered


address_text: Callable[[IPAddress], str] = by_identity(
    str
)  # to write one takes longer than most of what is done with it


def compile_blocks(blocks: Sequence[Network]) -> InBlocks:
    """A predicate that is true for an address in any of `blocks`."""
    v4: list[tuple[int, int]] = []
    v6: list[tuple[int, int]] = []
    for network in blocks:
        pair = int(network.netmask), int(network.network_address)
        (v4 if network.version == 4 else v6).append(pair)

    def match(address: IPAddress) -> bool:
        address = unmapped(address)
        number = int(address)
        return any(number & mask == base for mask, base in (v4 if address.version == 4 else v6))

    return match


def parse_block(block: str) -> Network:
    """The network that `block` writes: CIDR, or one address. Raises ValueError."""
    try:
        return ip_network(block)
    except ValueError:
        pass
    try:
        network = ip_network(block, strict=False)
    except ValueError:
        raise ValueError(f'"{block}" is no address block: write one like 10.0.0.0/8 or 2001:db8::/32') from None
    address = ip_address(block.partition("/")[0])
    raise ValueError(f'"{block}" has bits set behind its prefix: write "{network}" or "{address}"')
