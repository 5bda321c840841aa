"""One line is read as the format says, and refused otherwise."""

from hashlib import sha256

import pytest

from gateway.cli.audit.line import Altered, read_line

ZEROS = "0" * 64
BODY = f'{{"type":"config","time":"2027-01-15T08:00:00.250000Z","seq":7,"stream":"here-w0","a":1,"prev":"{ZEROS}"'


def sealed(body: str) -> bytes:
    return f'{body},"hash":"{sha256(body.encode()).hexdigest()}"}}\n'.encode()


def test_a_record() -> None:
    line = read_line(sealed(BODY))
    assert (line.kind, line.time, line.seq, line.stream) == ("config", "2027-01-15T08:00:00.250000Z", 7, "here-w0")
    assert line.prev == ZEROS.encode()
    assert line.hash == sha256(BODY.encode()).hexdigest().encode()
    assert line.members["a"] == 1


def test_bytes_that_do_not_have_the_hash() -> None:
    with pytest.raises(Altered):
        read_line(sealed(BODY).replace(b'"a":1', b'"a":2'))


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"\n",
        sealed(BODY)[:-1],
        sealed(BODY).replace(b'"prev"', b'"perv"'),
        sealed(BODY).replace(b',"hash":', b', "hash":'),
        sealed(BODY.replace("{", "[", 1)),
        sealed(BODY.replace('"seq":7', '"seq":0')),
        sealed(BODY.replace('"seq":7', '"seq":"7"')),
        sealed(BODY.replace('"seq":7,', "")),
        sealed(BODY.replace("08:00:00.250000Z", "08:00:00.25Z")),
        sealed(BODY.replace('"here-w0"', "null")),
    ],
)
def test_what_is_no_record(line: bytes) -> None:
    with pytest.raises(ValueError, match=r"record|end"):
        read_line(line)
