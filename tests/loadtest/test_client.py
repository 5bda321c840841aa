import json
import sys
from pathlib import Path

import anyio
import pytest

from gateway.testing.ca import Authority
from gateway.testing.tls import server_context
from gateway.testing.upstream import Upstream, answer
from loadtest.job import How
from loadtest.load import BEGUN, Asked, Load, Order

MIX = [Asked("/a", "token-a"), Asked("/b", "")]


async def carried_out(order: Order, folder: Path) -> Load:
    order.write(folder / "order.json")
    done = await anyio.run_process([sys.executable, "-m", "loadtest.client", str(folder / "order.json")])
    begun, said = done.stdout.decode().splitlines()
    assert begun == BEGUN
    return Load(**json.loads(said))


@pytest.mark.parametrize(("status", "wanted"), [(200, 200), (403, 200), (403, 403)])
async def test_our_client_asks_again_and_again_and_counts_what_failed(tmp_path: Path, status: int, wanted: int) -> None:
    ca = Authority("bench.local")
    async with Upstream(answer(status, body=b"ok"), tls=server_context(ca.issue(dns=["localhost"]))) as upstream:
        load = await carried_out(Order(upstream.port, MIX, 0.4, connections=2, status=wanted), tmp_path)
        assert 4 < load.requests <= len(upstream.calls)
        assert load.failed == (0 if status == wanted else load.requests)
        assert {call.target for call in upstream.calls} == {b"/a", b"/b"}


async def test_a_steady_rate_is_kept_and_a_client_certificate_shown(tmp_path: Path) -> None:
    ca = Authority("bench.local")
    client = ca.issue(uri="spiffe://bench.local/client").write(tmp_path, "client")
    order_for = {"how": How.PACED, "connections": 2, "rate": 100.0, "certificate": str(client.key.with_suffix(""))}
    async with Upstream(answer(200, body=b"ok"), tls=server_context(ca.issue(dns=["localhost"]), [ca])) as upstream:
        load = await carried_out(Order(upstream.port, MIX, 1.5, **order_for), tmp_path)  # type: ignore[arg-type]
        assert load.failed == 0
        assert 20 < load.requests < 90  # of the last half second: the first one warms up
        assert load.requests < len(upstream.calls)
