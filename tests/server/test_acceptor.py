"""Listening sockets, and what becomes of connections that cannot be taken."""

import contextlib
import errno
import select
import socket
import sys
from collections.abc import Generator

import pytest

from gateway.server.acceptor import deafen, listen
from gateway.testing.wait import BOUND, until
from tests.serving import connected, exchange_once, get, serving


def test_a_port_in_use_is_named() -> None:
    with listen("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(OSError, match=f"cannot listen on 127.0.0.1:{port}: the port is in use") as refused:
            listen("127.0.0.1", port)
        assert refused.value.errno == errno.EADDRINUSE


def test_a_shared_port_is_shared_with_the_willing_alone() -> None:
    with listen("127.0.0.1", 0, reuse_port=True) as one:
        port = one.getsockname()[1]
        listen("127.0.0.1", port, reuse_port=True).close()
        with pytest.raises(OSError, match="in use"):
            listen("127.0.0.1", port)


def test_ipv6_is_written_in_brackets() -> None:
    with listen("::1", 0) as taken, pytest.raises(OSError, match=r"cannot listen on \[::1\]:"):
        listen("::1", taken.getsockname()[1])


@pytest.mark.skipif(sys.platform != "linux", reason="a filter of Linux")
@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_who_comes_to_a_deaf_socket_is_refused_at_its_end_and_never_reset(host: str) -> None:
    with listen(host, 0) as bound, coming(bound) as before:
        assert before.getpeername()
        deafen(bound)
        with coming(bound) as late:
            taken, peer = bound.accept()
            assert peer == before.getsockname()  # who was in already still is
            taken.close()
            with pytest.raises(BlockingIOError):
                bound.accept()
            bound.close()
            select.select([], [late], [], BOUND)  # its kernel asks again after a second
            assert late.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == errno.ECONNREFUSED


def test_what_is_accepted_is_a_socket_as_any_other_and_known_by_numbers() -> None:
    with listen("127.0.0.1", 0) as bound, socket.create_connection(bound.getsockname()) as client:
        taken, peer = bound.accept()
        with taken:
            assert peer == client.getsockname()
            assert (type(taken.family), taken.family) == (int, socket.AF_INET)
            assert (type(taken.type), taken.type) == (int, socket.SOCK_STREAM)
            assert not taken.get_inheritable()
            taken.sendall(b"x")
            assert client.recv(1) == b"x"


@contextlib.contextmanager
def coming(to: socket.socket) -> Generator[socket.socket]:
    """A client whose SYN is on its way."""
    with socket.socket(to.family) as client:
        client.setblocking(False)
        assert client.connect_ex(to.getsockname()[:2]) == errno.EINPROGRESS
        yield client


async def test_small_writes_are_not_held_back() -> None:
    async with serving() as gateway, connected(gateway.ports["edge"]) as client:
        await client.send(get())
        assert (await client.answer()).status == 200
        (connection,) = gateway.listeners["edge"].connections
        found = connection.transport.get_extra_info("socket")
        assert found.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


async def test_without_file_descriptors_it_looks_away_and_comes_back(caplog: pytest.LogCaptureFixture) -> None:
    async with serving() as gateway:
        assert gateway.server is not None
        acceptor = gateway.server._acceptors[0]
        acceptor._pause(OSError(errno.EMFILE, "Too many open files"))  # as accept() would have it
        assert "cannot accept: Too many open files" in caplog.text
        assert (await exchange_once(gateway.ports["edge"], get())).status == 200


async def test_every_connection_is_counted_once() -> None:
    async with serving() as gateway:
        async with connected(gateway.ports["edge"]) as client:
            await client.send(get())
            await client.answer()
            assert gateway.open == 1
        await until(lambda: gateway.open == 0)
        assert not gateway.listeners["edge"].arriving
