"""The client that normalises nothing."""

import pytest

from gateway.testing.client import send
from gateway.testing.upstream import Upstream, answer, raw, silent

PROBLEM = b'{"reason":"no_route"}'


async def test_what_is_asked_for_is_what_is_sent() -> None:
    async with Upstream() as upstream:
        got = await send(upstream.port, "POST", "/a/../%2e?x", headers=[("X-A", "1"), ("x-a", "2")], body=b"hi")
        assert (got.status, got.body) == (200, b"ok")
        (call,) = upstream.calls
        assert call.target == b"/a/../%2e?x"
        assert await call.body() == b"hi"
        assert call.headers == (
            (b"Host", b"127.0.0.1:%d" % upstream.port),
            (b"Connection", b"close"),
            (b"X-A", b"1"),
            (b"x-a", b"2"),
            (b"Content-Length", b"2"),
        )


async def test_bodies_are_read_however_they_are_framed() -> None:
    chunked = raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n", b"1\r\nc\r\n0\r\n\r\n")
    until_close = raw(b"HTTP/1.1 200 OK\r\n\r\nabc", close=True)
    for script in (chunked, until_close):
        async with Upstream(script) as upstream:
            assert (await send(upstream.port, "GET", "/")).body == b"abc"


async def test_a_problem_document_names_its_reason() -> None:
    for content_type, reason in ((b"application/problem+json", "no_route"), (b"application/json", None)):
        async with Upstream(answer(404, PROBLEM, [(b"Content-Type", content_type)])) as upstream:
            assert (await send(upstream.port, "GET", "/")).reason == reason


async def test_an_answer_that_is_not_whole_is_an_error() -> None:
    for script in (raw(b"", close=True), raw(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc", close=True)):
        async with Upstream(script) as upstream:
            with pytest.raises(EOFError):
                await send(upstream.port, "GET", "/")


async def test_waiting_has_a_bound() -> None:
    async with Upstream(silent) as upstream:
        with pytest.raises(TimeoutError):
            await send(upstream.port, "GET", "/", seconds=0.05)
