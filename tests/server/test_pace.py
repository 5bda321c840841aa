"""The least data rate, without a connection; over real ones in tests/attacks/test_slow_clients.py."""

import asyncio
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.server.pace import Pace, taken
from gateway.server.settings import Limits
from gateway.testing.wait import until

LIMITS = Limits(min_data_rate=100, data_rate_window=10)
steps = st.lists(st.tuples(st.floats(0.01, 5), st.integers(0, 10_000)), min_size=1, max_size=50)


def test_who_stands_still_runs_out_after_one_window() -> None:
    pace = Pace(LIMITS)
    for _ in range(10):
        assert pace.left > 0
        pace.moved(1.0, 0)
    assert pace.left == 0


@given(steps)
def test_who_keeps_to_the_rate_never_runs_out(waits: list[tuple[float, int]]) -> None:
    pace = Pace(LIMITS)
    for seconds, more in waits:
        pace.moved(seconds, int(seconds * 100) + 1 + more)
        assert pace.left > 0


@given(steps)
def test_what_comes_early_is_no_reserve_beyond_the_window(waits: list[tuple[float, int]]) -> None:
    pace = Pace(LIMITS)
    for seconds, size in waits:
        pace.moved(seconds, size)
        assert pace.left <= 10


def test_a_rate_of_none_ends_nobody() -> None:
    pace = Pace(Limits(min_data_rate=0))
    pace.moved(1e9, 0)
    assert pace.left > 1e9


async def test_the_kernel_tells_what_a_peer_has_taken() -> None:
    if not hasattr(socket, "TCP_INFO"):
        pytest.skip("this system does not tell what a peer has acknowledged")
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.create_connection(listener.getsockname()) as client:
        server, _ = listener.accept()
        with server:
            before = taken(server)
            assert before is not None
            server.sendall(b"x" * 1000)
            await until(lambda: (taken(server) or (0, 0))[0] - before[0] == 1000)
            assert await asyncio.to_thread(client.recv, 1) == b"x"
        assert taken(server) is None  # closed: nobody can tell
    assert taken(None) is None
