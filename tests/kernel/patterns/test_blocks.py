"""CIDR blocks."""

from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest

from gateway.kernel.patterns.blocks import by_identity, compile_blocks, parse_block, unmapped


@pytest.mark.parametrize(
    ("blocks", "address", "inside"),
    [
        (["10.0.0.0/8"], "10.255.0.1", True),
        (["10.0.0.0/8"], "11.0.0.1", False),
        (["10.0.0.0/8"], "::ffff:10.0.0.1", True),
        (["10.0.0.5"], "10.0.0.5", True),
        (["10.0.0.5"], "10.0.0.6", False),
        (["2001:db8::/32", "10.0.0.0/8"], "2001:db8::1", True),
        (["2001:db8::/32"], "2001:db9::1", False),
        (["0.0.0.0/0"], "::1", False),
        (["::/0"], "10.0.0.1", False),
    ],
)
def test_an_address_is_in_its_block(blocks: list[str], address: str, inside: bool) -> None:
    assert compile_blocks([parse_block(block) for block in blocks])(ip_address(address)) is inside


@pytest.mark.parametrize(
    ("block", "says"),
    [("10.0.0.1/8", r'write "10\.0\.0\.0/8" or "10\.0\.0\.1"'), ("10.0.0", "no address block"), ("a.b.c.d", "like")],
)
def test_a_bad_block_says_what_to_write(block: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        parse_block(block)


def test_mapped_addresses_are_what_they_are() -> None:
    assert unmapped(ip_address("::ffff:192.0.2.1")) == ip_address("192.0.2.1")
    assert unmapped(ip_address("2001:db8::1")) == ip_address("2001:db8::1")


def test_what_is_remembered_of_an_address_is_its_own_and_made_once() -> None:
    asked: list[str] = []

    def made(address: IPv4Address | IPv6Address) -> str:
        asked.append(str(address))
        return f"<{address}>"

    remembered = by_identity(made)
    addresses = [ip_address(f"192.0.2.{number}") for number in range(200)]
    for _ in range(2):
        assert [remembered(address) for address in addresses] == [f"<{address}>" for address in addresses]
    assert len(asked) == 200
    for number in range(5000):  # each gone before the next is made: an id comes again, and another address with it
        assert remembered(ip_address(number)) == f"<{ip_address(number)}>"
