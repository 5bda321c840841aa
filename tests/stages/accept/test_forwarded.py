"""What a trusted proxy may say (H15)."""

from ipaddress import ip_address

import pytest

from gateway.kernel.patterns.blocks import compile_blocks, parse_block
from gateway.stages.accept.forwarded import client_address, client_scheme, request_id

trusted = compile_blocks([parse_block("10.0.0.0/8"), parse_block("2001:db8::/32")])


@pytest.mark.parametrize(
    ("fields", "client"),
    [
        pytest.param(("198.51.100.7",), "198.51.100.7", id="H15-one-hop"),
        pytest.param(("1.1.1.1, 198.51.100.7, 10.0.0.2",), "198.51.100.7", id="H15-rightmost-untrusted"),
        pytest.param(("1.1.1.1", "198.51.100.7", "10.0.0.2"), "198.51.100.7", id="H15-repeats-joined-in-order"),
        pytest.param(("10.0.0.3, 10.0.0.2",), "10.0.0.3", id="H15-all-trusted"),
        pytest.param(("1.1.1.1, unknown, 10.0.0.2",), "10.0.0.2", id="H15-reading-ends-at-no-address"),
        pytest.param((), "10.0.0.1", id="H15-absent"),
        pytest.param(("",), "10.0.0.1", id="H15-empty"),
        pytest.param(("198.51.100.7:4711",), "198.51.100.7", id="H15-with-port"),
        pytest.param(("[2001:db9::1]:4711",), "2001:db9::1", id="H15-ipv6-with-port"),
        pytest.param(("::ffff:198.51.100.7",), "198.51.100.7", id="H15-mapped"),
        pytest.param(("10.0.0.1\x00",), "10.0.0.1", id="H15-nul"),
    ],
)
def test_the_client_is_the_rightmost_untrusted_hop(fields: tuple[str, ...], client: str) -> None:
    assert client_address(ip_address("10.0.0.1"), fields, trusted) == ip_address(client)


def test_scheme_is_one_of_two_or_the_connections_own() -> None:
    assert client_scheme("http", ("https",)) == "https"
    assert client_scheme("http", ("http, HTTPS",)) == "https"
    assert client_scheme("https", ("gopher",)) == "https"
    assert client_scheme("https", ()) == "https"


@pytest.mark.parametrize("said", ["", "x" * 129, "a b", "a\nb", "ü", "a,b", "a/b"])
def test_a_malformed_request_id_is_replaced(said: str) -> None:
    assert request_id("own", (said,)) == "own"


def test_one_well_formed_request_id_is_kept() -> None:
    assert request_id("own", ("A-b_c.9",)) == "A-b_c.9"
    assert request_id("own", ("x" * 128,)) == "x" * 128
    assert request_id("own", ("a", "b")) == "own"
