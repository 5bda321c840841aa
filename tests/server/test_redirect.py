"""The redirecting listener: to https on the host that was asked for, and nowhere else."""

from pathlib import Path

import pytest

from gateway.app import GatewayApp
from gateway.server.redirect import RedirectApp
from gateway.server.settings import Redirect
from gateway.server.turns import Turns
from tests.serving import Spec, connected, exchange_once, get, serving


@pytest.mark.parametrize(
    ("raw", "location"),
    [
        (get("/a/b?c=d", host="example.com"), b"https://example.com:8443/a/b?c=d"),
        (get("/", host="Example.COM.:8080"), b"https://example.com:8443/"),
        (get("/x", host="[::1]:8080"), b"https://[::1]:8443/x"),
        (get("/x", host="127.0.0.1"), b"https://127.0.0.1:8443/x"),
        (get("//evil.example/x"), b"https://example.com:8443//evil.example/x"),
        (b"GET http://a.example/x HTTP/1.1\r\nHost: b.example\r\n\r\n", b"https://a.example:8443/x"),
        (b"GET http://a.example HTTP/1.1\r\nHost: b.example\r\n\r\n", b"https://a.example:8443/"),
        (b"POST /x HTTP/1.1\r\nHost: example.com\r\nContent-Length: 3\r\n\r\nabc", b"https://example.com:8443/x"),
    ],
)
async def test_a_request_is_pointed_to_its_https_twin(raw: bytes, location: bytes) -> None:
    async with serving(Spec("http", redirect=8443)) as gateway:
        answer = await exchange_once(gateway.ports["http"], raw)
        assert (answer.status, answer.header(b"location"), answer.body) == (308, location, b"")
        assert gateway.traces == []


async def test_the_default_port_is_left_out() -> None:
    async with serving(Spec("http", redirect=443)) as gateway:
        answer = await exchange_once(gateway.ports["http"], get("/x"))
        assert answer.header(b"location") == b"https://example.com/x"


async def test_each_redirect_carries_a_request_id_of_its_own() -> None:
    async with serving(Spec("http", redirect=443)) as gateway:
        answers = [await exchange_once(gateway.ports["http"], get("/x")) for _ in range(2)]
        ids = {answer.header(b"x-request-id") for answer in answers}
        assert len(ids) == 2
        assert all(each is not None and len(each) == 32 for each in ids)


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(get(host="good.example@evil.example"), id="H6-userinfo"),
        pytest.param(get(host="evil.example/x?"), id="H6-path-in-host"),
        pytest.param(get(host="a b"), id="H6-space"),
        pytest.param(get("/", "Host: evil.example"), id="H6-two-hosts"),
        pytest.param(get(host=""), id="H6-empty"),
        pytest.param(b"GET / HTTP/1.0\r\n\r\n", id="H6-none"),
        pytest.param(b"GET http://a@evil.example/ HTTP/1.1\r\nHost: a\r\n\r\n", id="H6-userinfo-in-target"),
        pytest.param(b"GET https://a.example/ HTTP/1.1\r\nHost: a\r\n\r\n", id="H6-already-https"),
        pytest.param(b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", id="H6-asterisk"),
        pytest.param(get("/\\evil.example"), id="P2-backslash"),
        pytest.param(get("/x", "Content-Length: 1", "Content-Length: 2"), id="H3-two-lengths"),
    ],
)
async def test_what_has_no_sure_twin_is_refused_and_recorded_and_never_served(raw: bytes) -> None:
    async with serving(Spec("http", redirect=8443)) as gateway:
        answer = await exchange_once(gateway.ports["http"], raw)
        assert answer.status == 400
        assert answer.header(b"location") is None
        assert len(gateway.refused) == 1
        assert gateway.seen == []


async def test_acme_challenges_are_answered_from_their_directory(tmp_path: Path) -> None:
    (tmp_path / "token-1_A").write_text("token-1_A.thumbprint")
    (tmp_path.parent / "secret").write_text("secret")
    async with serving(Spec("http", redirect=8443)) as gateway:
        listener = gateway.listeners["http"]
        redirect = RedirectApp(Redirect(8443, tmp_path), GatewayApp(gateway.current))
        assert gateway.server is not None
        gateway.server._acceptors[0]._make = gateway.server._factory(lambda: Turns(redirect, set()))
        assert listener.redirect is not None
        for path, status, body in (
            ("token-1_A", 200, b"token-1_A.thumbprint"),
            ("absent", 404, b""),
            ("../secret", 404, b""),
            ("..%2fsecret", 404, b""),
            ("", 404, b""),
        ):
            async with connected(gateway.ports["http"]) as client:
                await client.send(get(f"/.well-known/acme-challenge/{path}"))
                answer = await client.answer()
                assert (answer.status, answer.body) == (status, body), path
