"""Answers of the gateway's own: respond, redirect, preflight."""

import pytest

from gateway.model.request import Preflight
from gateway.stages.forward.local import LocalAnswer, redirect, respond
from gateway.stages.forward.stage import Forward
from tests.exchange import Recorder, context, head, permit

OURS = [(b"x-request-id", b"req-1")]


async def ask(way: LocalAnswer, method: str = "GET", length: int | None = None) -> Recorder:
    request = head(method, length=length)
    exchange = Recorder(request)
    outcome = await Forward([way])(permit(context(request)), exchange, list(OURS))
    assert (outcome.status, outcome.upstream, outcome.bytes_out) == (exchange.status, None, len(exchange.body))
    return exchange


async def test_respond() -> None:
    got = await ask(respond(200, "ok", []))
    assert (got.status, got.body, got.ended) == (200, b"ok", True)
    assert (got.value("content-type"), got.value("content-length")) == ("text/plain; charset=utf-8", "2")
    assert got.value("x-request-id") == "req-1"


async def test_respond_in_the_type_that_the_route_sets() -> None:
    got = await ask(respond(200, "{}", [(b"content-type", b"application/json")]))
    assert got.value("content-type") == "application/json"


async def test_H25_head_gets_the_length_and_no_body() -> None:
    got = await ask(respond(200, "ok", []), "HEAD")
    assert (got.body, got.value("content-length")) == (b"", "2")


@pytest.mark.parametrize("status", [204, 304])
async def test_H25_no_content_has_neither_body_nor_length(status: int) -> None:
    got = await ask(respond(status, "", []))
    assert (got.body, got.values("content-length")) == (b"", [])


async def test_redirect() -> None:
    got = await ask(redirect("https://www.example.com/new", 308, []))
    assert (got.status, got.value("location"), got.body) == (308, "https://www.example.com/new", b"")


@pytest.mark.parametrize("to", ["https://a/\r\nx: y", "https://a/ b", "https://ä/"])
def test_H18_a_redirect_cannot_split_the_answer(to: str) -> None:
    with pytest.raises(ValueError, match="write a URL"):
        redirect(to, 308, [])


async def test_an_unread_body_ends_the_connection() -> None:
    got = await ask(respond(200, "ok", []), "POST", 5)
    assert (got.value("connection"), got.reads) == ("close", 0)


async def test_H29_a_preflight_is_answered_here_whatever_the_route_does() -> None:
    request = head("OPTIONS", headers=[("origin", "https://app.example.com"), ("access-control-request-method", "PUT")])
    exchange = Recorder(request)
    ctx = context(request, preflight=Preflight("https://app.example.com", "PUT", ()))
    outcome = await Forward([respond(500, "never", [])])(permit(ctx), exchange, list(OURS))
    assert (outcome.status, exchange.body, exchange.values("content-length")) == (204, b"", [])
