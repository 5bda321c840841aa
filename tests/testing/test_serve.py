"""Small applications on real sockets."""

import asyncio
import signal
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import httpx2
import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from gateway.testing.process import free_port, listening
from gateway.testing.serve import in_thread, serving
from tests.plain import NO_TLS


def application(text: str) -> Starlette:
    return Starlette(routes=[Route("/", lambda _: PlainTextResponse(text))])


async def test_the_application_is_told_its_url_and_is_gone_afterwards() -> None:
    before = signal.getsignal(signal.SIGINT)
    async with serving(application) as url, httpx2.AsyncClient(verify=NO_TLS, trust_env=False) as client:
        assert (await client.get(url)).text == url
        assert signal.getsignal(signal.SIGINT) is before
    assert not listening(int(url.rpartition(":")[2]))


async def test_a_port_that_is_taken_is_an_os_error() -> None:
    port = free_port()
    async with serving(application, port=port):
        with pytest.raises(OSError, match="in use"):
            async with serving(application, port=port):
                pass


def test_in_a_thread_the_value_is_handed_over_and_failures_come_through() -> None:
    left: list[str] = []

    @asynccontextmanager
    async def manager(fail: bool) -> AsyncGenerator[str]:
        if fail:
            raise RuntimeError("no")
        yield type(asyncio.get_running_loop()).__name__
        left.append("left")

    with in_thread(lambda: manager(False)) as value:
        assert value.endswith("EventLoop")
        assert left == []
    assert left == ["left"]
    with pytest.raises(RuntimeError, match="no"), in_thread(lambda: manager(True)):
        pass
