from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st
from limits import parse_many

from gateway.config.schema import units
from gateway.config.schema.units import Address


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("300ms", 0.3), ("5s", 5), ("10m", 600), ("24h", 86400), ("7d", 604800), ("1.5s", 1.5), ("0s", 0)],
)
def test_durations_are_one_number_and_one_unit(text: str, seconds: float) -> None:
    assert units.duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["5", "5 s", "1h30m", "-5s", "5S", "s", "5sec", "\u0665s", "1e3s", "inf"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(ValueError, match="is not a duration: write one number and one unit"):
        units.duration(text)


@pytest.mark.parametrize(("text", "size"), [("64KiB", 65536), ("10MiB", 10 << 20), ("1GiB", 1 << 30), ("0B", 0)])
def test_sizes_are_binary(text: str, size: int) -> None:
    assert units.size(text) == size
    assert units.size(units.in_bytes(size)) == size


@pytest.mark.parametrize("text", ["10MB", "10M", "10 MiB", "1.5MiB", "-1KiB", "KiB", "10kib"])
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(ValueError, match="is not a size"):
        units.size(text)


@given(
    count=st.integers(1, 10**6),
    separator=st.sampled_from(["/", " per ", " / ", "per "]),
    multiple=st.one_of(st.just(""), st.integers(1, 100).map(lambda n: f"{n} ")),
    period=st.sampled_from(["second", "minutes", "Hour", "days", "MONTH", "year"]),
)
def test_rates_are_read_as_the_library_limits_reads_them(
    count: int, separator: str, multiple: str, period: str
) -> None:
    text = f"{count}{separator}{multiple}{period}"
    (oracle,) = parse_many(text)
    mine = units.rate(text)
    assert (mine.count, mine.period) == (oracle.amount, oracle.get_expiry())


@given(st.text("0123456789/ permintushod,;sc", max_size=20))
def test_what_limits_does_not_read_is_no_rate(text: str) -> None:
    try:
        mine = units.rate(text)
    except ValueError:
        return
    (oracle,) = parse_many(text)
    assert (mine.count, mine.period) == (oracle.amount, oracle.get_expiry())


def test_a_rate_lets_something_through_and_is_one() -> None:
    with pytest.raises(ValueError, match="lets nothing through"):
        units.rate("0/minute")
    with pytest.raises(ValueError, match="several rates"):
        units.rate("1/minute; 10/hour")


@pytest.mark.parametrize(
    ("text", "address", "loopback"),
    [
        ("0.0.0.0:8443", Address("0.0.0.0", 8443), False),
        ("127.0.0.1:0", Address("127.0.0.1", 0), True),
        ("[::1]:9", Address("::1", 9), True),
        ("[2001:DB8::0]:9", Address("2001:db8::", 9), False),
        ("localhost:80", Address("localhost", 80), True),
    ],
)
def test_listener_addresses(text: str, address: Address, loopback: bool) -> None:
    assert units.address(text) == address
    assert address.loopback is loopback
    assert units.address(str(address)) == address


@pytest.mark.parametrize(
    "text",
    [
        "8443",
        ":8443",
        "0.0.0.0",
        "example.com:80",
        "::1:80",
        "[127.0.0.1]:80",
        "1.2.3.4:65536",
        "1.2.3.4:-1",
        "1.2.3.4:٨",
    ],
)
def test_what_is_no_address(text: str) -> None:
    with pytest.raises(ValueError, match="is not an"):
        units.address(text)


def test_the_admin_address_may_be_a_socket() -> None:
    assert units.admin_address("unix:///run/gateway.sock") == Address("", 0, "/run/gateway.sock")
    assert units.admin_address("unix:///run/gateway.sock").loopback
    with pytest.raises(ValueError, match="unix:///absolute/path"):
        units.admin_address("unix://relative.sock")


@given(st.floats(0.001, 10**7).map(lambda value: round(value, 3)))
def test_a_duration_in_words_reads_back(seconds: float) -> None:
    assert units.duration(units.in_words(seconds)) == pytest.approx(seconds, abs=0.0011)


def test_networks_come_from_one_parser() -> None:
    from gateway.kernel.patterns.blocks import parse_block

    assert parse_block("10.0.0.0/8") == ip_network("10.0.0.0/8")
