"""Fetching for the control plane: real sockets, real TLS."""

import asyncio
from pathlib import Path

import pytest

from gateway.control.feeds.fetch import Document, Fetcher, FetchError, NotServedError, check_url
from gateway.kernel.egress import Egress
from gateway.testing.ca import Authority
from gateway.testing.tls import server_context
from tests.cancelling import cancelled_at_each_turn
from tests.control.feeds.provider import provider

HERE = Egress(frozenset({"127.0.0.1", "localhost"}))


async def test_a_private_authority_is_believed_and_no_other(tmp_path: Path) -> None:
    authority, stranger = Authority("cluster.local"), Authority("cluster.local")
    served = authority.issue(dns=["localhost"], ips=["127.0.0.1"])
    ours, theirs = authority.write(tmp_path, "ours"), stranger.write(tmp_path, "theirs")
    async with provider(tls=server_context(served)) as held:
        assert b"jwks_uri" in (await Fetcher(HERE, ours).get(f"{held.url}/.well-known/openid-configuration")).body
        by_name = held.url.replace("127.0.0.1", "localhost")
        assert b"keys" in (await Fetcher(HERE, ours).get(f"{by_name}/jwks")).body
        for ca in (theirs, None):
            with pytest.raises(FetchError, match="ConnectError"):
                await Fetcher(HERE, ca).get(f"{held.url}/jwks")


async def test_K1_the_certificate_must_bear_the_urls_name(tmp_path: Path) -> None:
    authority = Authority("cluster.local")
    ca = authority.write(tmp_path, "ca")
    async with provider(tls=server_context(authority.issue(dns=["other.example"]))) as held:
        with pytest.raises(FetchError, match="ConnectError"):
            await Fetcher(HERE, ca).get(f"{held.url}/jwks")


async def test_a_new_authority_file_counts_at_the_next_fetch(tmp_path: Path) -> None:
    authority = Authority("cluster.local")
    ca = Authority("cluster.local").write(tmp_path, "ca")
    fetcher = Fetcher(HERE, ca)
    async with provider(tls=server_context(authority.issue(ips=["127.0.0.1"]))) as held:
        with pytest.raises(FetchError):
            await fetcher.get(f"{held.url}/jwks")
        ca.write_bytes(authority.pem())
        assert (await fetcher.get(f"{held.url}/jwks")).body


async def test_K3_time_is_limited() -> None:
    async with provider() as held:
        held.hold = asyncio.Event()
        with pytest.raises(FetchError, match=r"did not answer within 0\.2 s"):
            await Fetcher(HERE, None, total=0.2).get(f"{held.url}/jwks")


async def test_K3_an_encoding_that_was_not_asked_for_is_refused() -> None:
    async with provider() as held:
        held.page("/jwks", b"\x1f\x8b", content_encoding="gzip")
        with pytest.raises(FetchError, match="encoding"):
            await Fetcher(HERE, None).get(f"{held.url}/jwks")


@pytest.mark.parametrize("status", [201, 204, 301, 302, 307, 401, 404, 500])
async def test_another_status_than_200_is_no_document(status: int) -> None:
    async with provider() as held:
        held.page("/jwks", b"", status, location="/elsewhere")
        with pytest.raises(NotServedError, match=str(status)):
            await Fetcher(HERE, None).get(f"{held.url}/jwks")
        assert set(held.asked) == {"/jwks"}


async def test_K2_no_variable_of_the_environment_sends_it_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")
    async with provider() as held:
        assert (await Fetcher(HERE, None).get(f"{held.url}/jwks")).body


async def test_a_cancellation_is_not_lost_when_the_answer_comes_at_that_moment() -> None:
    """asyncio.wait_for of Python 3.11 loses it: a feed that is closed would go on."""

    class Waiting(Fetcher):
        def __init__(self, future: "asyncio.Future[None]") -> None:
            super().__init__(HERE, None)
            self.future = future

        async def _get(self, url: str) -> Document:
            await self.future
            return Document(b"", None)

    found = await cancelled_at_each_turn(lambda future: Waiting(future).get("https://localhost/"))
    assert found
    assert all(found)


async def test_nothing_listens() -> None:
    with pytest.raises(FetchError, match=r"127\.0\.0\.1"):
        await Fetcher(HERE, None).get("http://127.0.0.1:1/jwks?secret=x")


async def test_K2_the_address_is_checked_after_resolution() -> None:
    with pytest.raises(FetchError, match="loopback address"):
        await Fetcher(Egress(frozenset()), None).get("https://localhost:1/jwks")


@pytest.mark.parametrize(
    ("url", "fine"),
    [
        pytest.param("https://auth.example.com/jwks", True, id="https"),
        pytest.param("http://localhost:8080/jwks", True, id="http-on-loopback"),
        pytest.param("http://[::1]:8080/jwks", True, id="http-on-ipv6-loopback"),
        pytest.param("http://auth.example.com/jwks", False, id="K1-http"),
        pytest.param("http://localhost.evil.example/jwks", False, id="K1-http-to-a-name-like-loopback"),
        pytest.param("ftp://auth.example.com/", False, id="K1-another-scheme"),
        pytest.param("https://user@auth.example.com/", False, id="K2-userinfo"),
        pytest.param("https://auth.example.com/#x", False, id="K2-fragment"),
        pytest.param("https:///jwks", False, id="K2-no-host"),
        pytest.param("https://auth.example.com:port/", False, id="K2-no-port"),
        pytest.param("/jwks", False, id="K2-relative"),
    ],
)
def test_which_urls_may_be_fetched(url: str, fine: bool) -> None:
    if fine:
        check_url(url)
        return
    with pytest.raises(FetchError):
        check_url(url)
