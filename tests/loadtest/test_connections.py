import socket
import threading
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from gateway.testing.ca import Authority
from gateway.testing.tls import server_context
from loadtest import connections
from loadtest.job import How
from loadtest.load import Asked, Asking, Order

MIX = [Asked("/a", "")]


@contextmanager
def server(status: int, *, tickets: bool) -> Generator[tuple[int, list[bool]]]:
    """Answers one request a connection; tells of each whether it was resumed."""
    context = server_context(Authority("bench.local").issue(dns=["localhost"]))
    context.num_tickets = 2 if tickets else 0
    resumed: list[bool] = []

    def serve(plain: socket.socket) -> None:
        with suppress(OSError), context.wrap_socket(plain, server_side=True) as connection:
            connection.recv(4096)
            resumed.append(bool(connection.session_reused))
            connection.sendall(b"HTTP/1.1 %d X\r\nContent-Length: 5\r\n\r\nhello" % status)
            connection.recv(1)

    def accept() -> None:
        with suppress(OSError):
            while True:
                threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()

    listener = socket.create_server(("127.0.0.1", 0))
    thread = threading.Thread(target=accept)
    thread.start()
    try:
        yield listener.getsockname()[1], resumed
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()


@pytest.mark.parametrize(
    ("how", "tickets", "some"),
    [(How.NEW, True, False), (How.RESUMED, True, True), (How.RESUMED, False, False)],
    ids=["full", "resumed", "not-offered"],
)
def test_each_request_has_a_connection_of_its_own(how: How, tickets: bool, some: bool) -> None:
    with server(200, tickets=tickets) as (port, resumed):
        load = connections.churn(Order(port, MIX, 1.0, how, connections=1))
    assert load.failed == 0
    assert load.requests == len(resumed) > 1
    assert load.resumed == sum(resumed)
    assert (load.resumed > 0) is some


def test_another_status_is_a_failure() -> None:
    with server(500, tickets=False) as (port, _):
        load = connections.churn(Order(port, MIX, 0.1, How.NEW, connections=1))
    assert load.failed == load.requests > 0


def test_idle_connections_are_held_until_the_block_ends(tmp_path: Path) -> None:
    with (
        server(200, tickets=False) as (port, resumed),
        Asking(Order(port, MIX, 0, How.IDLE, connections=3), None, tmp_path) as holding,
    ):
        assert len(resumed) == 3
        assert holding.finish().failed == 0


def test_connections_that_cannot_be_held_are_an_error(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]
    with pytest.raises(ValueError, match="Connection refused"):
        Asking(Order(port, MIX, 0, How.IDLE, connections=1), None, tmp_path)
