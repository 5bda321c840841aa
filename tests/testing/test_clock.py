"""A clock that is moved by hand."""

from gateway.testing.clock import Clock


def test_a_clock_moves_only_when_told() -> None:
    clock = Clock(100.0)
    assert (clock(), clock.advance(2.5), clock()) == (100.0, 102.5, 102.5)
    assert clock.datetime.isoformat() == "1970-01-01T00:01:42.500000+00:00"
