"""An answer's bytes, without a connection; tests/server/test_cycle.py has them on the wire."""

import pytest

from gateway.model.request import RequestHead
from gateway.server.answer import Answer, bare

GET = RequestHead("GET", b"/", "1.1", [(b"host", b"a")], None, False)


def test_an_answer_may_not_be_longer_than_it_says_and_knows_when_it_is_short() -> None:
    answer = Answer(persistent=True)
    with pytest.raises(ValueError, match="longer"):
        answer.begin(GET, 200, [(b"content-length", b"1")], b"ab", end=True)
    answer = Answer(persistent=True)
    assert answer.begin(GET, 200, [(b"content-length", b"2")], b"a", end=False).endswith(b"\r\n\r\na")
    assert answer.short
    assert answer.piece(b"b", end=True) == b"b"
    assert not answer.short


def test_a_bare_answer_is_whole_and_closes() -> None:
    assert bare(400) == b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
