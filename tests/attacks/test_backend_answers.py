"""Hostile and broken backends: what their answers become (security.md H23 to H27)."""

import asyncio
import ssl
from pathlib import Path

import httpx2
import pytest

from gateway.model.reason import Reason
from gateway.stages.forward.fields import AnswerFields
from gateway.testing.upstream import Call, Script, Upstream, answer, in_turn, raw
from gateway.testing.wait import until
from tests.backends import cluster, forward, pki, running, send
from tests.exchange import Recorder, head, refusal

OK = b"HTTP/1.1 200 OK\r\n"


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(OK + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\nhi", id="H23-two-lengths"),
        pytest.param(OK + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", id="H24-both-framings"),
        pytest.param(OK + b"Transfer-Encoding: identity\r\n\r\nhi", id="H23-other-coding"),
        pytest.param(OK + b"X-A: a\0b\r\nContent-Length: 0\r\n\r\n", id="H23-nul"),
        pytest.param(OK + b"X-A : b\r\nContent-Length: 0\r\n\r\n", id="H23-space-before-colon"),
        pytest.param(OK + b"X-A: b\r\n folded\r\nContent-Length: 0\r\n\r\n", id="H24-fold"),
        pytest.param(b"HTTP/1.1 200 OK\nContent-Length: 0\n\n", id="H24-bare-lf"),
        pytest.param(b"HTTP/1.1 999 X\r\nContent-Length: 0\r\n\r\n", id="H24-status-999"),
        pytest.param(b"HTTP/1.1 101 X\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n", id="H26-unasked-101"),
        pytest.param(b"HTTP/1.1 101 X\r\n\r\n", id="H27-bare-101"),
        pytest.param(b"\0\0\x12\x04\0\0\0\0\0", id="H24-http2-settings"),
        pytest.param(b"", id="H23-nothing"),
        pytest.param(OK + b"Content-Len", id="H23-half-a-head"),
        pytest.param(OK + b"X: " + b"a" * 200000, id="H23-endless-field"),
    ],
)
async def test_an_unacceptable_head_is_502(sent: bytes) -> None:
    async with Upstream(raw(sent, close=True)) as backend, running(cluster(backend.url)) as made:
        refused = await refusal(send(forward(made)))
        assert refused.reason is Reason.UPSTREAM_PROTOCOL
        assert (made.connections("idle"), made.connections("active")) == (0, 0)


def cut(data: bytes, *, cleanly: bool) -> Script:
    async def script(call: Call) -> None:
        await call.send(data)
        if cleanly:
            call.close()
        else:
            call.abort()  # FIN without close_notify

    return script


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(OK + b"Content-Length: 10\r\n\r\nhel", id="H23-short-of-its-length"),
        pytest.param(OK + b"Transfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n", id="H23-no-last-chunk"),
        pytest.param(OK + b"Transfer-Encoding: chunked\r\n\r\n9\r\nhel", id="H23-half-a-chunk"),
        pytest.param(OK + b"Transfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n0\r\n", id="H23-no-end-of-trailers"),
    ],
)
@pytest.mark.parametrize("cleanly", [True, False])
async def test_a_truncated_body_never_ends_cleanly(tmp_path: Path, sent: bytes, cleanly: bool) -> None:
    made_pki = pki(tmp_path)
    script = cut(sent, cleanly=cleanly)
    async with made_pki.backend(script) as backend, running(cluster(backend.url, tls=made_pki.material())) as made:
        outcome, got = await send(forward(made))
        assert (outcome.reason, got.aborted, got.ended, got.body) == (Reason.UPSTREAM_RESET, True, False, b"hel")


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(b"3\r\nhel\r\nXX\r\n", id="H23-no-chunk-size"),
        pytest.param(b"3\r\nhello\r\n0\r\n\r\n", id="H23-longer-than-its-size"),
        pytest.param(b"-3\r\nhel\r\n", id="H23-negative-size"),
        pytest.param(b"fffffffffffffffff\r\n", id="H23-size-beyond-64-bits"),
    ],
)
async def test_a_broken_chunk_breaks_the_answer_off_or_is_502(sent: bytes) -> None:
    go = asyncio.Event()

    async def script(call: Call) -> None:
        await call.send(start)
        await go.wait()
        await call.send(sent)

    start = OK + b"Transfer-Encoding: chunked\r\n\r\n"
    async with Upstream(script) as backend, running(cluster(backend.url)) as made:
        exchange = Recorder(head())
        task = asyncio.ensure_future(send(forward(made), recorder=exchange))
        await until(lambda: exchange.started)
        go.set()
        outcome, _ = await task
        assert (outcome.reason, exchange.aborted, exchange.ended) == (Reason.UPSTREAM_RESET, True, False)
        backend.script = raw(start + sent)
        assert (await refusal(send(forward(made)))).reason is Reason.UPSTREAM_PROTOCOL
        assert made.connections("idle") == 0


@pytest.mark.parametrize("anyio_backend", [("asyncio", {"use_uvloop": True}), ("asyncio", {"use_uvloop": False})])
@pytest.mark.parametrize(("cleanly", "reason"), [(True, None), (False, Reason.UPSTREAM_RESET)])
async def test_H23_a_body_without_length_ends_by_close_notify_alone(
    tmp_path: Path, cleanly: bool, reason: Reason | None
) -> None:
    made_pki = pki(tmp_path)
    script = cut(OK + b"\r\nhello", cleanly=cleanly)
    async with made_pki.backend(script) as backend, running(cluster(backend.url, tls=made_pki.material())) as made:
        outcome, got = await send(forward(made))
        assert (outcome.reason, got.ended) == (reason, cleanly)


@pytest.mark.parametrize(
    ("method", "sent"),
    [
        pytest.param("HEAD", OK + b"Content-Length: 38\r\n\r\n", id="H25-head"),
        pytest.param("HEAD", OK + b"Transfer-Encoding: chunked\r\n\r\n", id="H25-head-chunked"),
        pytest.param("GET", b"HTTP/1.1 204 X\r\nContent-Length: 38\r\n\r\n", id="H25-204"),
        pytest.param("GET", b"HTTP/1.1 304 X\r\nContent-Length: 38\r\n\r\n", id="H25-304"),
    ],
)
@pytest.mark.parametrize("at_once", [True, False])
async def test_a_body_where_none_may_be_is_nobodys_answer(method: str, sent: bytes, at_once: bool) -> None:
    poison = OK + b"Content-Length: 6\r\n\r\npoison"
    script = raw(sent + poison) if at_once else raw(sent, poison)
    async with Upstream(in_turn(script, answer(body=b"right"))) as backend, running(cluster(backend.url)) as made:
        stage = forward(made)
        _, first = await send(stage, method)
        _, second = await send(stage)
        assert (first.body, second.body, backend.connections) == (b"", b"right", 2)


@pytest.mark.parametrize(
    ("method", "status", "kept"),
    [
        pytest.param("HEAD", 200, True, id="H25-head-keeps-its-length"),
        pytest.param("GET", 304, True, id="H25-304-keeps-its-length"),
        pytest.param("GET", 204, False, id="H24-204-loses-its-length"),
    ],
)
async def test_lengths_of_answers_without_a_body(method: str, status: int, kept: bool) -> None:
    script = raw(b"HTTP/1.1 %d X\r\nContent-Length: 5\r\n\r\n" % status)
    async with Upstream(script) as backend, running(cluster(backend.url)) as made:
        _, got = await send(forward(made), method)
        assert (got.status, got.value("content-length")) == (status, "5" if kept else None)


@pytest.mark.parametrize(
    "surplus",
    [
        pytest.param(OK + b"Content-Length: 6\r\n\r\npoison", id="H23-a-second-answer"),
        pytest.param(b"GARBAGE", id="H23-garbage"),
        pytest.param(b"\r\n\r\n", id="H23-empty-lines"),
    ],
)
async def test_what_follows_an_answer_is_not_the_next_one(surplus: bytes) -> None:
    script = raw(OK + b"Content-Length: 2\r\n\r\nhi" + surplus)
    async with Upstream(in_turn(script, answer(body=b"right"))) as backend, running(cluster(backend.url)) as made:
        stage = forward(made)
        assert (await send(stage))[1].body == b"hi"
        assert (await send(stage))[1].body == b"right"


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        pytest.param("Connection", False, id="H26-connection"),
        pytest.param("Keep-Alive", False, id="H26-keep-alive"),
        pytest.param("Proxy-Connection", False, id="H26-proxy-connection"),
        pytest.param("Proxy-Authenticate", False, id="H26-proxy-authenticate"),
        pytest.param("Upgrade", False, id="H26-upgrade"),
        pytest.param("Trailer", False, id="H24-trailer"),
        pytest.param("TE", False, id="H26-te"),
        pytest.param("X-Named", False, id="H26-named-by-connection"),
        pytest.param("X-Request-Id", False, id="H26-our-request-id"),
        pytest.param("Access-Control-Allow-Origin", False, id="H29-backends-cors"),
        pytest.param("access-control-allow-credentials", False, id="H29-backends-credentials"),
        pytest.param("X-Powered-By", False, id="H26-removed-by-the-route"),
        pytest.param("WWW-Authenticate", True, id="H26-challenge-passes"),
        pytest.param("X-Plain", True, id="H26-others-pass"),
    ],
)
async def test_fields_of_answers(name: str, kept: bool) -> None:
    sent = OK + b"%b: theirs\r\nConnection: keep-alive, x-named\r\nContent-Length: 0\r\n\r\n" % name.encode()
    async with Upstream(raw(sent)) as backend, running(cluster(backend.url)) as made:
        _, got = await send(forward(made, answer=AnswerFields([b"x-powered-by"])))
        assert ("theirs" in got.values(name.lower())) is kept
        assert got.values("connection") == []


async def test_H26_set_cookie_stays_apart() -> None:
    script = answer(headers=[(b"Set-Cookie", b"a=1; Expires=Wed, 09 Jun 2027 10:18:14 GMT"), (b"set-cookie", b"b=2")])
    async with Upstream(script) as backend, running(cluster(backend.url)) as made:
        _, got = await send(forward(made))
        assert got.values("set-cookie") == ["a=1; Expires=Wed, 09 Jun 2027 10:18:14 GMT", "b=2"]


async def test_H24_trailers_end_with_the_gateway() -> None:
    sent = OK + b"Transfer-Encoding: chunked\r\nTrailer: x-user\r\n\r\n2\r\nhi\r\n0\r\nX-User: root\r\n\r\n"
    async with Upstream(raw(sent)) as backend, running(cluster(backend.url)) as made:
        _, got = await send(forward(made))
        assert (got.body, got.ended, got.values("trailer"), got.values("x-user")) == (b"hi", True, [], [])


async def test_H23_an_answer_before_any_request_is_nobodys(tmp_path: Path) -> None:
    async def greeting(call: Call) -> None:
        await answer(body=b"first")(call)
        await call.send(OK + b"Content-Length: 6\r\n\r\npoison")  # in a packet of its own, when nothing was asked

    async with Upstream(in_turn(greeting, answer(body=b"right"))) as backend, running(cluster(backend.url)) as made:
        stage = forward(made)
        assert (await send(stage))[1].body == b"first"
        await until(lambda: made.connections("idle") == 0)
        assert (await send(stage))[1].body == b"right"


@pytest.mark.parametrize(
    "sent",
    [
        OK + b"Content-Length: 5\r\nX-A: a\r\nX-A: b\r\n\r\nhello",
        OK + b"Transfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n",
        OK + b"Connection: close\r\n\r\nhello",
        b"HTTP/1.0 200 OK\r\n\r\nhello",
        b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 204 No Content\r\n\r\n",
        b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + OK + b"Content-Length: 5\r\n\r\nhello",
    ],
)
async def test_well_formed_answers_are_read_as_httpx2_reads_them(tmp_path: Path, sent: bytes) -> None:
    made_pki = pki(tmp_path)
    material = made_pki.material(server_identity=None)
    trust = ssl.create_default_context(cafile=material.authorities)
    assert material.certificate is not None
    trust.load_cert_chain(material.certificate, material.key)
    async with made_pki.backend(raw(sent, close=True), uri=None, dns=["localhost"]) as backend:
        url = backend.url.replace("127.0.0.1", "localhost")
        async with httpx2.AsyncClient(verify=trust, trust_env=False) as client:
            reference = await client.get(f"{url}/a")
        async with running(cluster(url, tls=material)) as made:
            _, got = await send(forward(made), ours=())
        assert (got.status, got.body, got.ended) == (reference.status_code, reference.content, True)
        assert got.values("x-a") == reference.headers.get_list("x-a")
