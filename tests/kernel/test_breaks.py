import pytest

from gateway.kernel.breaks import breaks


@pytest.mark.parametrize(
    ("written", "count"),
    [(b"", 0), (b"a: b\r\n", 2), (b"a: b\n", 1), (b"a\rb", 1), (b"a\0b\r\n", 3), (b"\x0b\x0c\x85 a", 0)],
)
def test_every_byte_that_could_end_a_line_is_counted(written: bytes, count: int) -> None:
    assert breaks(written) == count
