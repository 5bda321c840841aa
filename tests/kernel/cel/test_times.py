import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.kernel.cel import timestamp_of_seconds
from gateway.kernel.cel.times import (
    duration_text,
    parse_duration,
    parse_timestamp,
    part,
    timestamp,
    timestamp_text,
    zone,
)

SECOND = 1_000_000_000


@pytest.mark.parametrize(
    ("text", "nanoseconds"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("1970-01-01T00:00:00.000000001Z", 1),
        ("1970-01-01T01:00:00+01:00", 0),
        ("1969-12-31T23:59:59.5z", -SECOND // 2),
        ("2026-11-22t02:44:42-05:30", 1795335282 * SECOND),
    ],
)
def test_timestamps_are_read_to_the_nanosecond(text: str, nanoseconds: int) -> None:
    assert parse_timestamp(text) == nanoseconds


@pytest.mark.parametrize(
    "text",
    ["", "2026-01-01", "2026-01-01T00:00:00", "2026-01-01 00:00:00Z", "2026-13-01T00:00:00Z", "2026-01-01T24:00:00Z",
     "20260101T000000Z", "2026-01-01T00:00:00.0000000001Z", "٢026-01-01T00:00:00Z", "0001-01-01T00:00:00+01:00"],
)  # fmt: skip
def test_what_is_no_timestamp_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        parse_timestamp(text)


@given(st.integers(-62135596800_000000000, 253402300799_999999999))
def test_a_timestamp_survives_its_text(nanoseconds: int) -> None:
    made = timestamp(nanoseconds)
    assert parse_timestamp(timestamp_text(made)) == made


def test_time_ends_with_the_year_9999() -> None:
    with pytest.raises(OverflowError):
        timestamp(parse_timestamp("9999-12-31T23:59:59.999999999Z") + 1)


@pytest.mark.parametrize(
    ("text", "nanoseconds"),
    [("1h30m", 5400 * SECOND), ("-1.5s", -3 * SECOND // 2), ("+10ms", 10_000_000), ("1us2ns", 1002), ("0", 0)],
)
def test_durations_are_read_as_in_go(text: str, nanoseconds: int) -> None:
    assert parse_duration(text) == nanoseconds


@pytest.mark.parametrize("text", ["", "-", "1", "1d", "h", "1h ", "1.h", "999999999999h", "--1s"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        parse_duration(text)


@given(st.integers(min_value=-(1 << 62), max_value=1 << 62))
def test_a_duration_survives_its_text(nanoseconds: int) -> None:
    made = parse_duration(f"{nanoseconds // 1000000000 if nanoseconds >= 0 else -(-nanoseconds // 1000000000)}s")
    assert parse_duration(duration_text(made)) == made


def test_parts_are_those_of_the_time_zone() -> None:
    moment = timestamp_of_seconds(1795315482.25)
    there = zone("-05:00")
    parts = {name: part(name, moment, there) for name in ("getFullYear", "getMonth", "getDate", "getHours")}
    assert parts == {"getFullYear": 2026, "getMonth": 10, "getDate": 21, "getHours": 21}
    utc = zone("+00:00")
    parts = {
        name: part(name, moment, utc)
        for name in ("getDayOfMonth", "getDayOfWeek", "getDayOfYear", "getMinutes", "getSeconds", "getMilliseconds")
    }
    assert parts == {
        "getDayOfMonth": 21, "getDayOfWeek": 0, "getDayOfYear": 325, "getMinutes": 44, "getSeconds": 42,
        "getMilliseconds": 250,
    }  # fmt: skip


def test_a_zone_is_a_name_or_an_offset() -> None:
    for name in ("", "/etc/passwd", "Europe/Nowhere", "+99:00"):
        with pytest.raises(ValueError):
            zone(name)
