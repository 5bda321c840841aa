"""One connection to a backend, without a backend; tests/stages/forward has them at work."""

import asyncio
import contextlib

from gateway.model.reason import Reason
from gateway.model.refused import Refused
from gateway.upstreams.connection import Connection
from tests.rings import left_behind


async def test_a_connection_that_ended_leaves_no_ring_to_the_collector() -> None:
    class Pool:
        def put_back(self, connection: Connection, now: float) -> None: ...
        def dropped(self, connection: Connection) -> None: ...

    async def turn() -> None:
        connection = Connection(Pool(), asyncio.get_running_loop())
        connection.begin("GET", 1.0, 1.0, 1.0)
        waits = connection.more()
        connection.fail(Refused(Reason.UPSTREAM_TIMEOUT))
        with contextlib.suppress(Refused):
            await waits
        connection.finish(whole=True)

    assert await left_behind(turn) == 0
