"""An answer's bytes, without a connection; tests/server/test_cycle.py has them on the wire."""

import json

import pytest

from gateway.model.answer import ComposedFields, OwnFields, PassedFields, WrittenFields, passed
from gateway.model.reason import Reason
from gateway.model.request import RequestHead
from gateway.server.answer import Answer, bare, composed, usual, whole

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


def _passed(*more: tuple[bytes, bytes], length: int = 2) -> PassedFields:
    fields = [(b"date", b"now"), (b"content-length", b"%d" % length)]
    passed = PassedFields([*fields, *more])
    passed.front = WrittenFields(fields, b"date: now\r\ncontent-length: %d\r\n" % length, length)
    passed.own = None
    return passed


def _own(*fields: tuple[bytes, bytes]) -> OwnFields:
    own = OwnFields(fields)
    own.lines = b"".join(b"%b: %b\r\n" % field for field in fields)
    return own


def test_the_usual_answer_is_what_an_answer_would_have_written() -> None:
    passed = _passed((b"x-request-id", b"1"), (b"vary", b"Origin"))
    whole = usual(GET, 200, passed, b"ok")
    assert whole == b"HTTP/1.1 200 OK\r\ndate: now\r\ncontent-length: 2\r\nx-request-id: 1\r\nvary: Origin\r\n\r\nok"
    longhand = Answer(persistent=True).begin(GET, 200, list(passed), b"ok", end=True)
    assert sorted(longhand.split(b"\r\n")) == sorted(whole.split(b"\r\n"))
    passed.own = _own(*passed[2:])
    assert usual(GET, 200, passed, b"ok") == whole


@pytest.mark.parametrize("name", [b"connection", b"content-length", b"transfer-encoding", b"date"])
def test_H24_what_somebody_added_to_written_fields_is_not_left_out(name: bytes) -> None:
    passed = _passed((b"x-request-id", b"1"))
    passed.own = _own(*passed[2:])
    passed.append((b"trailer", b"a"))
    whole = usual(GET, 200, passed, b"ok")
    assert whole is not None
    assert b"\r\ntrailer: a\r\n" in whole
    passed.append((name, b"1"))
    assert usual(GET, 200, passed, b"ok") is None


@pytest.mark.parametrize(
    ("request_", "status", "passed", "data"),
    [
        pytest.param(GET, 200, _passed(), b"o", id="H24-shorter-than-its-length"),
        pytest.param(GET, 200, _passed(), b"oko", id="H24-longer-than-its-length"),
        pytest.param(RequestHead("HEAD", b"/", "1.1", [], None, False), 200, _passed(), b"ok", id="to-HEAD"),
        pytest.param(GET, 204, _passed(length=0), b"", id="204-has-no-body"),
        pytest.param(GET, 304, _passed(length=0), b"", id="304-has-no-body"),
        pytest.param(GET, 200, _passed((b"connection", b"close")), b"ok", id="it-closes"),
        pytest.param(GET, 200, _passed((b"content-length", b"9")), b"ok", id="H24-another-length"),
        pytest.param(GET, 200, _passed((b"transfer-encoding", b"chunked")), b"ok", id="H24-a-coding"),
    ],
)
def test_an_answer_whose_framing_is_ours_to_say_is_not_usual(
    request_: RequestHead, status: int, passed: PassedFields, data: bytes
) -> None:
    assert usual(request_, status, passed, data) is None


def test_a_whole_answer_of_written_fields_is_what_the_usual_one_is() -> None:
    own = _own((b"x-request-id", b"1"))
    fields = passed(_passed().front, own)
    assert fields == _passed((b"x-request-id", b"1"))
    out = whole(GET, 200, fields.front, own, b"ok")
    assert out is not None
    assert out == usual(GET, 200, fields, b"ok")


@pytest.mark.parametrize(
    ("request_", "status", "length", "data"),
    [
        pytest.param(GET, 200, 2, b"o", id="H24-whole-shorter-than-its-length"),
        pytest.param(GET, 200, 2, b"oko", id="H24-whole-longer-than-its-length"),
        pytest.param(RequestHead("HEAD", b"/", "1.1", [], None, False), 200, 2, b"ok", id="whole-to-HEAD"),
        pytest.param(GET, 204, 0, b"", id="whole-204-has-no-body"),
        pytest.param(GET, 304, 0, b"", id="whole-304-has-no-body"),
    ],
)
def test_a_whole_answer_has_the_body_that_its_head_declares(
    request_: RequestHead, status: int, length: int, data: bytes
) -> None:
    assert whole(request_, status, _passed(length=length).front, _own((b"x-request-id", b"1")), data) is None


@pytest.mark.parametrize("value", [b"a\r\nb: c", b"a\nb", b"a\rb", b"a\0b"])
def test_H18_a_line_end_in_what_we_add_never_reaches_the_client(value: bytes) -> None:
    with pytest.raises(ValueError, match="line end"):
        usual(GET, 200, _passed((b"x-request-id", value)), b"ok")


def test_what_is_composed_goes_out_as_any_other_answer_of_these_fields() -> None:
    fields = ComposedFields([(b"x-request-id", b"1"), (b"cache-control", b"no-store"), (b"content-length", b"2")])
    fields.lines, fields.length = b"x-request-id: 1\r\ncache-control: no-store\r\n", b"content-length: 2\r\n"
    for status in (200, 401, 503):
        dates: set[bytes] = set()
        while len(dates) != 1:  # a second may begin between the two
            written = (
                composed(GET, status, fields, b"ab"),
                Answer(persistent=True).begin(GET, status, list(fields), b"ab", end=True),
            )
            dates = {line for one in written if one for line in one.split(b"\r\n") if line.startswith(b"date: ")}
        assert written[0] == written[1]
    assert composed(RequestHead("HEAD", b"/", "1.1", [(b"host", b"a")], None, False), 401, fields, b"ab") is None
