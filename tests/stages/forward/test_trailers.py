"""Which fields may follow a body; over real connections in tests/attacks/test_trailers.py."""

import pytest

from gateway.stages.forward.trailers import LAST_CHUNK, RequestTrailers, behind, judge_trailer, trailing
from tests.exchange import Recorder, head


class Carrying(Recorder):
    """An exchange with trailers."""

    trailers = ((b"x-a", b"1"), (b"x-a", b"2"), (b"x-b", b"3"))
    takes_trailers = True

    async def send_last(self, data: bytes, trailers: list[tuple[bytes, bytes]]) -> None:
        raise AssertionError("nothing is sent here")


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("content-length", id="H12-content-length"),
        pytest.param("transfer-encoding", id="H12-transfer-encoding"),
        pytest.param("host", id="H12-host"),
        pytest.param("authorization", id="H14-authorization"),
        pytest.param("cookie", id="H14-cookie"),
        pytest.param("set-cookie", id="H14-set-cookie"),
        pytest.param("dpop", id="H14-dpop"),
        pytest.param("x-forwarded-for", id="H14-x-forwarded"),
        pytest.param("x-gateway-assertion", id="H14-x-gateway"),
        pytest.param("x-http-method-override", id="H16-x-http-method-override"),
        pytest.param("access-control-allow-origin", id="H29-cors"),
        pytest.param("x_checksum", id="H14-underscore"),
        pytest.param("content-encoding", id="H12-content-encoding"),
        pytest.param("trailer", id="H12-trailer"),
    ],
)
def test_what_may_not_follow_a_body(name: str) -> None:
    with pytest.raises(ValueError, match="no trailer field"):
        judge_trailer(name.encode())
    with pytest.raises(ValueError, match="no trailer field"):
        RequestTrailers([name.upper().encode()])


@pytest.mark.parametrize("name", ["grpc-status", "x-checksum", "content-digest", "server-timing", "etag"])
def test_what_may(name: str) -> None:
    judge_trailer(name.encode())


def test_the_last_chunk_carries_what_was_declared_and_let_through() -> None:
    request = head("POST", headers=[("trailer", "X-A , x-c"), ("trailer", "x-b")], chunked=True)
    assert RequestTrailers([b"X-A"]).last_chunk(Carrying(request)) == b"0\r\nx-a: 1\r\nx-a: 2\r\n\r\n"
    assert RequestTrailers([b"x-a", b"x-b"]).last_chunk(Carrying(request)).endswith(b"x-b: 3\r\n\r\n")
    assert RequestTrailers([b"x-c"]).last_chunk(Carrying(request)) == LAST_CHUNK
    assert RequestTrailers([b"x-a"]).last_chunk(Recorder(request)) == LAST_CHUNK  # a driver that carries none


def test_a_backend_is_told_of_no_more_names_than_a_bound() -> None:
    names = [b"x-%d" % number for number in range(100)]
    (line,) = RequestTrailers(names).lines(b"trailer", b", ".join(names))
    assert line.count(b",") == 31


def test_an_answer_announces_what_its_client_can_be_sent() -> None:
    carrying = Carrying(head("GET"))
    assert trailing(b"X-A, Location, x-b, x-a", carrying, lambda name: name != b"x-b") == [b"x-a"]
    assert trailing(b"x-a", Recorder(head("GET")), lambda _: True) == []
    assert trailing(b"x-a", Carrying(head("HEAD")), lambda _: True) == []
    assert behind([(b"x-a", b"1"), (b"x-b", b"2")], [b"x-a"]) == [(b"x-a", b"1")]
