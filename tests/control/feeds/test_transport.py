"""The guarded transport: which address is connected to, under which name, and how much is read."""

from pathlib import Path

import httpx2
import pytest

from gateway.control.feeds.fetch import FetchError, client_context
from gateway.control.feeds.transport import GuardedTransport
from gateway.kernel.egress import Egress, EgressRefused
from gateway.testing.ca import Authority
from gateway.testing.tls import server_context
from tests.control.feeds.provider import provider

HERE = Egress(frozenset({"127.0.0.1", "localhost"}))


async def got(transport: GuardedTransport, url: str) -> httpx2.Response:
    async with httpx2.AsyncClient(transport=transport, trust_env=False) as client:
        return await client.get(url)


async def test_the_name_is_verified_and_sent_while_the_judged_address_is_connected_to(tmp_path: Path) -> None:
    authority = Authority("cluster.local")
    ca = authority.write(tmp_path, "ca").read_bytes()
    async with provider(tls=server_context(authority.issue(dns=["localhost"]))) as held:
        by_name = held.url.replace("127.0.0.1", "localhost")
        answer = await got(GuardedTransport(HERE, client_context(ca)), f"{by_name}/jwks")
        assert answer.json() == held.issuer.jwks()
        with pytest.raises(httpx2.ConnectError):  # the certificate bears no address
            await got(GuardedTransport(HERE, client_context(ca)), f"{held.url}/jwks")


async def test_K2_what_the_file_does_not_name_is_not_connected_to() -> None:
    async with provider() as held:
        with pytest.raises(EgressRefused, match="loopback"):
            await got(GuardedTransport(Egress(frozenset()), None), f"{held.url}/jwks")
        assert held.asked["/jwks"] == 0
    named = Egress(frozenset({"169.254.169.254"}))
    with pytest.raises(EgressRefused, match="link-local"):
        await got(GuardedTransport(named, None), "http://169.254.169.254/latest/meta-data")


async def test_K3_no_more_is_read_than_is_wanted() -> None:
    async with provider() as held:
        held.page("/long", b"x" * (256 * 1024 + 1))
        with pytest.raises(FetchError, match="more than 256 kB"):
            await got(GuardedTransport(HERE, None), f"{held.url}/long")


async def test_one_connection_serves_many_requests() -> None:
    async with provider() as held:
        transport = GuardedTransport(HERE, None)
        async with httpx2.AsyncClient(transport=transport, trust_env=False) as client:
            for _ in range(3):
                assert (await client.get(f"{held.url}/jwks")).status_code == 200
            pool = getattr(transport._inner, "_pool")  # noqa: B009 - how many connections only its pool can tell
            assert len(pool.connections) == 1
