"""`dns`: the addresses that an endpoint's name has, looked up again and again.

Rule: each address counts as an endpoint of its own, so that one that fails is left out and the others are not.
Invariant: a look-up that fails changes nothing; the last good addresses stay in use.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from random import uniform

from gateway.kernel.egress import Egress, resolve
from gateway.model.connection import IPAddress
from gateway.upstreams.settings import EndpointSettings

log = logging.getLogger(__name__)


class AddressWatch:
    """Looks up one endpoint's name from `start` to `stop`."""

    def __init__(
        self, endpoint: EndpointSettings, refresh: float, found: Callable[[Sequence[IPAddress]], None]
    ) -> None:
        """`refresh`: seconds; `found` is told the addresses, in order, whenever they are others."""
        self._endpoint = endpoint
        self._egress = Egress(frozenset([endpoint.host.lower()]))  # the file names it
        self._refresh = refresh
        self._found = found
        self._known: Sequence[IPAddress] = ()
        self._failing = False
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin, with a look-up at once."""
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._run())

    def stop(self) -> None:
        """No look-up any more."""
        if self._task is not None:
            self._task.cancel()

    async def _run(self) -> None:
        while True:
            await self._look_up()
            await asyncio.sleep(self._refresh * uniform(0.9, 1.1))  # noqa: S311 - no secret hangs on it

    async def _look_up(self) -> None:
        try:
            addresses = await resolve(self._endpoint.host, self._endpoint.port, self._egress)
        except OSError as error:
            if not self._failing:
                log.warning("upstream endpoint %s: no new addresses: %s", self._endpoint.url, error.strerror or error)
            self._failing = True
            return
        self._failing = False
        ordered = sorted(addresses, key=lambda address: (address.version, address.packed))
        if ordered and ordered != self._known:
            self._known = ordered
            self._found(ordered)
