"""A listener counts what is open and what is on its way."""

from gateway.server.listener import Listener
from gateway.server.settings import Limits
from tests.serving import Gateway, connected, get, serving


async def test_a_listener_is_full_with_open_and_arriving_connections() -> None:
    async with serving(limits=Limits(connections=2)) as gateway:
        listener = gateway.listeners["edge"]
        async with connected(gateway.ports["edge"]) as one, connected(gateway.ports["edge"]) as two:
            for client in (one, two):
                await client.send(get())
                assert (await client.answer()).status == 200
            assert listener.full
            assert "2 connections" in repr(listener)
            listener.limits = Limits(connections=3)  # as a reload would
            async with connected(gateway.ports["edge"]) as three:
                await three.send(get())
                assert (await three.answer()).status == 200


def test_it_names_itself_to_people() -> None:
    listener = Listener("edge", Limits(), Gateway(), address="https://0.0.0.0:8443")
    assert str(listener) == "edge on https://0.0.0.0:8443"
    listener.drain()
    assert listener.draining
    assert "draining" in repr(listener)
