"""The methods of the file are those of the parser."""

import httptools
import pytest

from gateway.kernel.patterns.methods import KNOWN, SERVED, compile_methods


def test_every_known_method_is_parsed() -> None:
    for method in sorted(KNOWN - {"CONNECT"}):
        httptools.HttpRequestParser(object()).feed_data(f"{method} / HTTP/1.1\r\nHost: a\r\n\r\n".encode())


def test_star_is_every_method_but_trace_and_connect() -> None:
    assert compile_methods(["*"]) == KNOWN - {"TRACE", "CONNECT"} == SERVED


@pytest.mark.parametrize(
    ("method", "says"),
    [
        ("get", 'write "GET"'),
        ("GTE", 'did you mean "GET"'),
        ("TRACE", "never served"),
        ("CONNECT", "never"),
        ("", "no"),
    ],
)
def test_another_method_says_what_to_write(method: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        compile_methods([method])
