"""`dns`: every address of a name is an endpoint of its own, and look-ups are repeated."""

import asyncio
import socket
from ipaddress import ip_address

import pytest

from gateway.testing.upstream import Upstream, answer
from gateway.testing.wait import until
from tests.backends import cluster, forward, running, send

Infos = list[tuple[object, object, int, str, tuple[str, int]]]


class Zone:
    """What the resolver of the running loop says of every name."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *addresses: str) -> None:
        self.addresses: list[str] = list(addresses)
        self.lookups = 0
        monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", self._answer)

    async def _answer(self, host: str, port: int, **_: object) -> Infos:
        self.lookups += 1
        if not self.addresses:
            raise socket.gaierror(socket.EAI_NONAME, "no such name")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in self.addresses]


async def test_all_addresses_are_used_and_follow_the_name(monkeypatch: pytest.MonkeyPatch) -> None:
    async with (
        Upstream(answer(body=b"first")) as first,
        Upstream(answer(body=b"second"), host="127.0.0.2", port=first.port) as second,
    ):
        zone = Zone(monkeypatch, "127.0.0.2", "127.0.0.1")
        url = f"http://backend.localhost:{first.port}"
        async with running(cluster(url, dns_refresh=0.02)) as made:
            made.start()
            await until(lambda: len(made.endpoints) == 2)
            assert {(await send(forward(made)))[1].body for _ in range(4)} == {b"first", b"second"}
            assert {endpoint.url for endpoint in made.endpoints} == {url}
            kept = made.endpoints[0]
            zone.addresses = ["127.0.0.1"]
            await until(lambda: len(made.endpoints) == 1)
            assert made.endpoints == (kept,)  # with its connections
            assert {(await send(forward(made)))[1].body for _ in range(4)} == {b"first"}
            await until(lambda: second.closed)


async def test_a_failing_look_up_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    async with Upstream() as backend, running(cluster(f"http://b.localhost:{backend.port}", dns_refresh=0.01)) as made:
        zone = Zone(monkeypatch, "127.0.0.1")
        made.start()
        await until(lambda: made.endpoints[0].settings.address == ip_address("127.0.0.1"))
        zone.addresses = []
        seen = zone.lookups
        await until(lambda: zone.lookups >= seen + 3)
        assert (await send(forward(made)))[0].status == 200


async def test_an_address_that_the_egress_rules_refuse_is_never_used(monkeypatch: pytest.MonkeyPatch) -> None:
    zone = Zone(monkeypatch, "127.0.0.1", "169.254.169.254")
    async with running(cluster("http://b.localhost:1", dns_refresh=0.01)) as made:
        made.start()
        await until(lambda: zone.lookups >= 3)
        assert [endpoint.settings.address for endpoint in made.endpoints] == [None]


async def test_look_ups_end_with_the_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    zone = Zone(monkeypatch, "127.0.0.1")
    made = cluster("http://b.localhost:1", "http://127.0.0.1:1", dns_refresh=0.01)
    made.start()
    await until(lambda: zone.lookups >= 2)
    made.retire()
    (watch,) = made._watches  # an address is not looked up
    await until(lambda: watch._task is not None and watch._task.cancelled())
