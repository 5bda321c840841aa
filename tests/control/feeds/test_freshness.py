"""How long an answer is fresh (RFC 9111 section 4.2)."""

import pytest

from gateway.control.feeds.freshness import lifetime

DATE = "Sun, 06 Nov 1994 08:49:37 GMT"


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, None),
        ({"cache-control": "max-age=60"}, 60.0),
        ({"cache-control": 'public, Max-Age="60"'}, 60.0),
        ({"cache-control": "max-age=60", "age": "61"}, 0.0),
        ({"cache-control": "max-age=60", "age": "-5"}, 60.0),
        ({"cache-control": "max-age=60, no-cache"}, 0.0),
        ({"cache-control": "max-age=-1"}, None),
        ({"cache-control": "max-age=" + "9" * 40}, None),
        ({"cache-control": "private"}, None),
        ({"expires": "Sun, 06 Nov 1994 08:50:37 GMT", "date": DATE}, 60.0),
        ({"expires": DATE, "date": "Sun, 06 Nov 1994 08:50:37 GMT"}, 0.0),
        ({"expires": "0", "date": DATE}, 0.0),
        ({"expires": DATE}, 0.0),
        ({"cache-control": "max-age=5", "expires": "0"}, 5.0),
    ],
)
def test_K4_only_what_can_be_read_counts(headers: dict[str, str], expected: float | None) -> None:
    assert lifetime(headers) == expected
