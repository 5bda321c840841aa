"""Where the gateway itself may connect to."""

from ipaddress import ip_address

import pytest

from gateway.kernel.egress import Egress, EgressRefused, is_loopback_host, kind_of, resolve

ALWAYS = {
    "169.254.169.254": "link-local",
    "169.254.0.1": "link-local",
    "fe80::1": "link-local",
    "100.100.100.200": "cloud metadata",
    "168.63.129.16": "cloud metadata",
    "192.0.0.192": "cloud metadata",
    "fd00:ec2::254": "cloud metadata",
    "0.0.0.0": "unspecified",
    "::": "unspecified",
    "224.0.0.1": "multicast",
    "ff02::1": "multicast",
    "255.255.255.255": "reserved",
    "240.0.0.1": "reserved",
    "::ffff:169.254.169.254": "link-local",
    "64:ff9b::a9fe:a9fe": "link-local",
    "2002:a9fe:a9fe::1": "link-local",
}
PRIVATE = ["10.0.0.1", "172.16.0.1", "192.168.1.1", "100.64.0.1", "fd12::1", "::ffff:10.0.0.1", "64:ff9b::a00:1"]
LOOPBACK = ["127.0.0.1", "127.1.2.3", "::1", "::ffff:127.0.0.1"]


@pytest.mark.parametrize(("address", "kind"), ALWAYS.items())
def test_K2_some_addresses_are_refused_whatever_the_file_names(address: str, kind: str) -> None:
    host = "named.example"
    assert kind_of(ip_address(address)) == kind
    for name in (host, address):
        with pytest.raises(EgressRefused, match=kind):
            Egress(frozenset({host, address})).check(name, ip_address(address))


@pytest.mark.parametrize("address", PRIVATE)
def test_K2_private_only_for_a_host_that_the_file_names(address: str) -> None:
    egress = Egress(frozenset({"auth.internal"}))
    egress.check("auth.internal", ip_address(address))
    egress.check("AUTH.internal", ip_address(address))
    with pytest.raises(EgressRefused, match="private"):
        egress.check("other.internal", ip_address(address))


@pytest.mark.parametrize("address", LOOPBACK)
def test_K2_loopback_only_where_the_file_says_so(address: str) -> None:
    egress = Egress(frozenset({"auth.internal", "localhost", "127.0.0.1"}))
    egress.check("localhost", ip_address(address))
    with pytest.raises(EgressRefused, match="loopback"):
        egress.check("auth.internal", ip_address(address))
    with pytest.raises(EgressRefused, match="loopback"):
        Egress(frozenset()).check("localhost", ip_address(address))


@pytest.mark.parametrize("address", ["93.184.215.14", "2606:2800:21f:cb07::1", "::ffff:93.184.215.14"])
def test_public_addresses_are_nobodys_business(address: str) -> None:
    assert kind_of(ip_address(address)) is None
    Egress(frozenset()).check("anything.example", ip_address(address))


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("localhost", True),
        ("LOCALHOST.", True),
        ("api.localhost", True),
        ("127.0.0.1", True),
        ("::1", True),
        ("localhost.example", False),
        ("notlocalhost", False),
        ("10.0.0.1", False),
        ("", False),
    ],
)
def test_which_hosts_are_this_machine(host: str, loopback: bool) -> None:
    assert is_loopback_host(host) is loopback


async def test_K2_names_are_judged_by_what_they_resolve_to() -> None:
    assert set(map(str, await resolve("localhost", 80, Egress(frozenset({"localhost"}))))) & {"127.0.0.1", "::1"}
    with pytest.raises(EgressRefused):
        await resolve("localhost", 80, Egress(frozenset()))
    with pytest.raises(EgressRefused):
        await resolve("2130706433", 80, Egress(frozenset()))  # 127.0.0.1 in one number, as resolvers take it
    with pytest.raises(OSError, match=r".+"):
        await resolve("no-such-host.invalid", 80, Egress(frozenset()))
