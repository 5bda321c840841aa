"""An answer's bytes, without a connection; tests/server/test_cycle.py has them on the wire."""

import json

import pytest

from gateway.model.reason import Reason
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


def test_a_bare_answer_is_a_whole_problem_and_closes() -> None:
    head, _, body = bare(Reason.BAD_REQUEST).partition(b"\r\n\r\n")
    status, *lines = head.split(b"\r\n")
    fields = dict(line.split(b": ", 1) for line in lines)
    assert status == b"HTTP/1.1 400 Bad Request"
    assert fields[b"content-type"] == b"application/problem+json"
    assert fields[b"connection"] == b"close"
    assert int(fields[b"content-length"]) == len(body)
    document = json.loads(body)
    assert (document["status"], document["reason"]) == (400, "bad_request")
    assert document["request_id"].encode() == fields[b"x-request-id"]
