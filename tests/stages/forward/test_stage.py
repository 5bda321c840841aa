"""Which way a permit goes."""

from gateway.model.request import Preflight
from gateway.stages.forward.local import LocalAnswer
from gateway.stages.forward.stage import Forward
from tests.exchange import Recorder, context, head, permit

STAGE = Forward([LocalAnswer(200, b"first"), LocalAnswer(200, b"second")], {"/own": LocalAnswer(200, b"own")})


async def told(index: int, path: str = "/", preflight: Preflight | None = None) -> tuple[int, bytes]:
    request = head(target=path)
    exchange = Recorder(request)
    await STAGE(permit(context(request, preflight=preflight), index=index), exchange, [])
    return exchange.status, exchange.body


async def test_each_route_has_its_own_way_and_so_has_each_own_address() -> None:
    assert [await told(0), await told(1), await told(-1, "/own")] == [(200, b"first"), (200, b"second"), (200, b"own")]


async def test_H29_a_preflight_is_answered_here() -> None:
    assert await told(1, preflight=Preflight("https://app.example.com", "GET", ())) == (204, b"")
