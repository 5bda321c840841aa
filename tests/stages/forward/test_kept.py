"""A body that is kept while it is read."""

import pytest

from gateway.stages.forward.kept import MAX_KEPT, KeptBody, small
from tests.exchange import Recorder
from tests.exchange import head as request_head


@pytest.mark.parametrize(
    ("length", "chunked", "kept"),
    [(None, False, True), (5, False, True), (MAX_KEPT, False, True), (MAX_KEPT + 1, False, False), (None, True, False)],
)
def test_only_small_bodies_with_a_length_are_kept(length: int | None, chunked: bool, kept: bool) -> None:
    assert small(request_head("PUT", length=length, chunked=chunked)) is kept


async def test_the_client_is_read_once_and_the_bytes_come_twice() -> None:
    ends: list[bool] = []
    client = Recorder(request_head("PUT", length=4)).give(b"ab", b"cd", b"")
    body = KeptBody(client, lambda: ends.append(True))
    assert [await body.read() for _ in range(4)] == [b"ab", b"cd", b"", b""]
    body.rewind()
    assert [await body.read() for _ in range(3)] == [b"ab", b"cd", b""]
    assert (client.reads, body.whole, ends) == (3, True, [True])


async def test_rewound_in_the_middle_it_goes_on_where_the_client_is() -> None:
    client = Recorder(request_head("PUT", length=4)).give(b"ab", b"cd", b"")
    body = KeptBody(client)
    await body.read()
    body.rewind()
    assert [await body.read() for _ in range(3)] == [b"ab", b"cd", b""]


async def test_answers_pass_through() -> None:
    client = Recorder(request_head())
    body = KeptBody(client)
    await body.send_head(200, [], b"a", end=False)
    await body.send(b"b", end=True)
    assert (body.started, client.status, client.body, client.ended) == (True, 200, b"ab", True)
    body.on_gone(body.abort)
    client.leave()
    assert client.aborted
