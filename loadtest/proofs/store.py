"""Issue 7: a store that swallows everything, beside calm; a burst of which exactly so many pass over two gateways."""

import asyncio
import contextlib
import signal
import time

from gateway.testing.process import free_port
from gateway.testing.wait import BOUND
from loadtest.proofs.figure import Figure, at_most, calm_enough, none_failed
from loadtest.proofs.load import Stretch, load, stretch
from loadtest.proofs.plan import Plan
from loadtest.proofs.site import Site, replica, site
from tests.flows.gateway_process import Served
from tests.flows.trust_scene import ROUTES
from tests.redis_server import redis_server

_BUDGET = 500  # of the burst
_BURST = 400  # requests a second to each: what a busy machine answers within the store's timeout
_LIMITED = ROUTES.replace("    upstream: stock\n", "    upstream: stock\n    rate_limits: [{limit}]\n", 1)
_MORE = """\
store: redis://127.0.0.1:{port}
rate_limits:
  wide: {{rate: 10000000/second, key: [principal]}}
  budget: {{rate: {budget}/hour, key: [], on_store_failure: deny}}
"""


async def black_hole(plan: Plan) -> list[Figure]:
    """Redis is stopped in its tracks: connections stay open, nothing is answered. Then it goes on."""
    port = free_port()
    more = _MORE.format(port=port, budget=_BUDGET)
    with contextlib.ExitStack() as stack:
        server = await asyncio.to_thread(stack.enter_context, redis_server(plan.folder / "redis", port=port))
        async with site(plan.folder, more=more, routes=_LIMITED.replace("{limit}", "wide")) as held:
            async with load([held.gateway.edge], held.mix(), plan.rate, ca=held.ca) as steady:
                await stretch(2.0)
                calm = await stretch(plan.seconds)
                server.process.signal(signal.SIGSTOP)
                try:
                    began = time.monotonic()
                    await _up(held, 0)
                    opened = time.monotonic()
                    hole = await stretch(plan.seconds)
                finally:
                    server.process.signal(signal.SIGCONT)
                await _up(held, 1)
                again = await stretch(1.0)
            quiet, opening = steady.between(*calm), steady.between(began - 0.1, opened)
            hidden, patience = steady.between(*hole), 50 + max(5.0, 2 * quiet.share(0.99))
            slowest = opening.share(1.0)
            return [
                calm_enough("black-hole", "limited requests after the breaker opened", quiet, hidden),
                none_failed("black-hole", "requests all the time", steady.all()),
                at_most("black-hole", "slowest while it opened", slowest, patience, "ms", "50 ms and twice calm"),
                none_failed("black-hole", "when the store was back", steady.between(*again)),
            ]


async def _up(held: Site, value: int) -> None:
    """Wait until the gateway says so of its store."""
    line = f"gateway_rate_limit_store_up {value}"
    end = time.monotonic() + BOUND
    while line not in (await held.admin("/metrics")):
        if time.monotonic() > end:
            raise TimeoutError(f"{line} did not come about")
        await asyncio.sleep(0.02)


async def burst(plan: Plan) -> list[Figure]:
    """So many at once to two gateways with one budget in Redis."""
    port = free_port()
    more = _MORE.format(port=port, budget=_BUDGET)
    with contextlib.ExitStack() as stack:
        await asyncio.to_thread(stack.enter_context, redis_server(plan.folder / "redis", port=port))
        async with site(plan.folder, more=more, routes=_LIMITED.replace("{limit}", "budget")) as held:
            other = await asyncio.to_thread(stack.enter_context, replica(held, "other"))
            mix = held.mix()

            async def ask(of: Served) -> Stretch:
                async with load([of.edge], mix, _BURST, ca=held.ca) as one:
                    await stretch(1.0)
                return one.all()

            both = await asyncio.gather(ask(held.gateway), ask(other))
            passed = [len(one.waits) - one.lost for one in both]
            refused = sum(one.failed["429"] for one in both)
            others = sum(one.lost for one in both) - refused
            await asyncio.to_thread(stack.close)
        met = sum(passed) == _BUDGET and min(passed) > 0
        note = f"{passed[0]} + {passed[1]}, {refused} answered 429"
        return [
            Figure("burst", "passed over two gateways", sum(passed), "", f"= {_BUDGET}", met, note),
            at_most("burst", "answered otherwise", others, 0),
        ]  # fmt: skip
