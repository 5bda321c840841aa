"""The server of one process: several listeners in one event loop.

Rule: uvicorn owns the life cycle (lifespan, startup, main loop, shutdown); sockets, protocol and signals are ours:
uvicorn re-raises SIGTERM after a clean end, dies of SIGHUP and knows one listener.
Invariant: after SIGTERM nothing that was accepted is lost: what waits is accepted, what runs is finished up to the
deadline, clients with open connections may send the request that is on its way and are told to close.
"""

import asyncio
import contextlib
import logging
import signal
import socket
from collections.abc import Callable, Iterator, Sequence
from typing import Literal

import uvicorn

from gateway.app import GatewayApp
from gateway.server.acceptor import Acceptor, Address
from gateway.server.exchange import Driver, Work
from gateway.server.lane import Lane
from gateway.server.listener import Listener
from gateway.server.protocol import HttpProtocol
from gateway.server.redirect import RedirectApp
from gateway.server.turns import Turns

log = logging.getLogger(__name__)

DRAIN_SECONDS = 25.0  # Kubernetes kills after 30
_FAREWELL_SECONDS = 3.0  # before the end, in which connections that would stay open are told to go
_SETTLE = 0.002  # between deaf and closed: who comes meanwhile is kept waiting a second before it is refused
_LOOK = 0.02  # seconds between two looks while draining
_ARRIVAL_SECONDS = 2.0  # that handshakes have which were at work, or waited, when the drain began
_CUT_SECONDS = 1.0  # that requests have to end when they are cancelled

DriverName = Literal["lane", "asgi"]


class Server(uvicorn.Server):
    """Serves `app` on every listener. The callbacks run on the loop, quickly."""

    def __init__(
        self,
        app: GatewayApp,
        listeners: Sequence[tuple[Listener, socket.socket]],
        *,
        on_hangup: Callable[[], None] | None = None,
        on_serving: Callable[[], None] | None = None,
        on_drain: Callable[[], None] | None = None,
        on_cut: Callable[[], None] | None = None,
        drain_seconds: float = DRAIN_SECONDS,
        driver: DriverName = "lane",
        supervised: bool = False,
    ) -> None:
        """`driver`: what carries the requests of all listeners but those that only redirect, which are ASGI's.

        `on_hangup`: SIGHUP came. `on_serving`: from now on connections are accepted. `on_drain`: from now on the
        process is not ready. `on_cut`: shortly before what is still open is cut off. `supervised`: a signal that comes
        twice, once to the whole process group and once from the supervisor, does not cut the drain short; SIGQUIT does.
        """
        super().__init__(
            uvicorn.Config(
                app,
                http=HttpProtocol,
                ws="none",
                interface="asgi3",
                lifespan="on",
                log_config=None,
                access_log=False,
                proxy_headers=False,
                server_header=False,
                workers=1,
            )
        )
        self.listeners = tuple(listener for listener, _ in listeners)
        self.interrupted = False  # SIGINT rather than SIGTERM
        self.accepting = False
        self._bound = listeners
        self._acceptors: list[Acceptor] = []
        self._on_hangup = on_hangup
        self._on_serving = on_serving
        self._on_drain = on_drain
        self._on_cut = on_cut
        self._drain_seconds = drain_seconds
        self._stop = asyncio.Event()
        self._app = app
        self._driver = driver
        self._supervised = supervised
        self._working: set[Work] = set()
        self._capturing = False
        self._arrivals_end = float("inf")

    def stop(self) -> None:
        """Begin to drain, then end `serve()`. A second call cuts it short."""
        self.force_exit = self._stop.is_set()
        self.drain()

    def drain(self) -> None:
        """Begin to drain, if that has not begun."""
        self.should_exit = True
        self._stop.set()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=[])  # the lifespan; no listener of uvicorn's own
        for listener, bound in self._bound:
            acceptor = Acceptor(bound, listener, self._factory(self._makes(listener)))
            acceptor.start()
            self._acceptors.append(acceptor)
        self.accepting = True
        if self._on_serving is not None:
            self._on_serving()

    async def main_loop(self) -> None:
        await self._stop.wait()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        log.info("draining")
        if self._on_drain is not None:
            self._on_drain()
        self.accepting = False
        if not self._supervised:  # else the sockets are a successor's too: it is for the supervisor, where all end
            for acceptor in self._acceptors:
                acceptor.deafen()
        for listener in self.listeners:
            listener.drain()
        await asyncio.sleep(_SETTLE)  # TCP handshakes that had begun come to their end
        for acceptor in self._acceptors:
            acceptor.close()
        end = self._loop_time() + self._drain_seconds
        self._arrivals_end = min(end, self._loop_time() + _ARRIVAL_SECONDS)
        await self._idle_until(end - min(_FAREWELL_SECONDS, self._drain_seconds / 2))
        if self._busy() and self._on_cut is not None:
            self._on_cut()
        await self._idle_until(end)
        if self._busy():
            log.warning("%d requests were cut off by the end of the drain", len(self._working))
            await self._cut()
        await self.lifespan.shutdown()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Take the signals. Who has work before or after `serve()` enters this around all of it."""
        if self._capturing:
            yield
            return
        self._capturing = True
        loop = asyncio.get_running_loop()
        handlers: dict[signal.Signals, Callable[[], None]] = {signal.SIGTERM: self.stop, signal.SIGINT: self._interrupt}
        if self._supervised:
            handlers = {signal.SIGTERM: self.drain, signal.SIGINT: self.drain, signal.SIGQUIT: self._cut_short}
        if self._on_hangup is not None:
            handlers[signal.SIGHUP] = self._on_hangup
        for number, handler in handlers.items():
            loop.add_signal_handler(number, handler)
        try:
            yield
        finally:
            self._capturing = False
            for number in handlers:
                loop.remove_signal_handler(number)

    def _cut_short(self) -> None:
        self.drain()
        self.force_exit = True

    def _interrupt(self) -> None:
        self.interrupted = True
        self.stop()

    def _makes(self, listener: Listener) -> Callable[[], Driver]:
        """What makes the driver of a connection; the lane is one for all."""
        if listener.redirect is not None:
            redirect = RedirectApp(listener.redirect, self._app)
            return lambda: Turns(redirect, self._working)
        if self._driver == "asgi":
            return lambda: Turns(self._app, self._working)
        lane = Lane(self._app.current, self._working)
        return lambda: lane

    @staticmethod
    def _factory(make: Callable[[], Driver]) -> Callable[[Listener, Address, Address], HttpProtocol]:
        return lambda listener, peer, local: HttpProtocol(make(), listener, peer, local)

    def _busy(self) -> bool:
        arriving = self._loop_time() < self._arrivals_end
        return bool(self._working) or any(
            listener.connections or (arriving and listener.arriving) for listener in self.listeners
        )

    async def _idle_until(self, end: float) -> None:
        """Until nothing is at work, or the loop's time has come, or the patience ended."""
        while self._busy() and not self.force_exit and self._loop_time() < end:  # noqa: ASYNC110
            await asyncio.sleep(_LOOK)  # two sets that only a drain looks at

    async def _cut(self) -> None:
        for listener in self.listeners:
            for connection in tuple(listener.connections):
                connection.transport.abort()
        for work in tuple(self._working):
            work.cancel()
        end = self._loop_time() + _CUT_SECONDS
        while self._working and self._loop_time() < end:  # noqa: ASYNC110 - as above
            await asyncio.sleep(_LOOK)

    @staticmethod
    def _loop_time() -> float:
        return asyncio.get_running_loop().time()
