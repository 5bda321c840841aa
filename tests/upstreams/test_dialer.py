"""Opening connections: names, addresses, egress rules."""

import asyncio
from collections.abc import Awaitable
from ipaddress import IPv4Address

import pytest

from gateway.model.reason import Reason
from gateway.testing.upstream import Upstream
from gateway.upstreams.connection import Connection
from gateway.upstreams.dialer import Dialer
from gateway.upstreams.settings import EndpointSettings
from tests.backends import cluster, forward, running, send
from tests.cancelling import cancelled_at_each_turn
from tests.exchange import refusal


async def test_a_name_is_resolved_and_each_address_is_tried() -> None:
    async with Upstream() as backend:  # on 127.0.0.1 alone, whatever else localhost stands for
        async with running(cluster(f"http://localhost:{backend.port}")) as made:
            outcome, _ = await send(forward(made))
        assert outcome.status == 200


async def test_a_name_without_address_is_502() -> None:
    async with running(cluster("http://no-such-host.invalid:80")) as made:
        assert (await refusal(send(forward(made)))).reason is Reason.UPSTREAM_CONNECT


@pytest.mark.parametrize(
    "host",
    [
        pytest.param("169.254.169.254", id="metadata"),
        pytest.param("169.254.1.1", id="link-local"),
        pytest.param("0.0.0.0", id="unspecified"),
        pytest.param("224.0.0.1", id="multicast"),
        pytest.param("::ffff:169.254.169.254", id="mapped-metadata"),
    ],
)
async def test_addresses_that_are_never_reached(host: str) -> None:
    async with running(cluster(f"http://{host}:80")) as made:
        assert (await refusal(send(forward(made)))).reason is Reason.UPSTREAM_CONNECT


async def test_addresses_are_judged_at_the_connect_and_not_only_at_the_look_up(monkeypatch: pytest.MonkeyPatch) -> None:
    async def rebound(*_: object) -> list[IPv4Address]:  # a name server that an attacker answers for
        return [IPv4Address("127.0.0.1")]

    monkeypatch.setattr("gateway.upstreams.dialer.resolve", rebound)
    async with Upstream() as backend:
        async with running(cluster(f"http://inventory.example:{backend.port}")) as made:
            assert (await refusal(send(forward(made)))).reason is Reason.UPSTREAM_CONNECT
        assert backend.connections == 0


async def test_a_cancellation_is_not_lost_when_the_connection_comes_at_that_moment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """asyncio.wait_for of Python 3.11 loses it, and with it the connection that nobody owns then."""
    made = cluster("http://127.0.0.1:1")
    waiting: list[asyncio.Future[None]] = []

    async def dial(*_: object) -> Connection:
        await waiting[-1]
        return Connection(made.endpoints[0], asyncio.get_running_loop())

    dialer = Dialer(EndpointSettings("http://127.0.0.1:1", "127.0.0.1", 1, tls=False), 5.0)
    monkeypatch.setattr(dialer, "_dial", dial)

    def wait(future: "asyncio.Future[None]") -> Awaitable[Connection]:
        waiting.append(future)
        return dialer(made.endpoints[0], None)

    found = await cancelled_at_each_turn(wait)
    assert found
    assert all(found)
