"""Our own load generator, for machines without wrk: `python -m loadtest.client PORT MIX CONNECTIONS SECONDS`.

Keeps connections and asks again on each answer; prints one JSON object with the members of `load.Load`.
"""

import asyncio
import json
import ssl
import sys
import time
from pathlib import Path
from typing import cast

import httptools

try:
    import uvloop as loops
except ImportError:
    import asyncio as loops  # type: ignore[no-redef]


class Mix:
    """The requests, in turn, and what came of them."""

    def __init__(self, requests: list[bytes]) -> None:
        self.requests = requests
        self.until = float("inf")
        self.latencies: list[float] = []
        self.failed = 0
        self._at = 0

    def begin(self, seconds: float) -> None:
        """What counts begins now: all connections are open."""
        self.latencies.clear()
        self.failed = 0
        self.until = time.perf_counter() + seconds

    def next(self) -> bytes:
        self._at = (self._at + 1) % len(self.requests)
        return self.requests[self._at]


class Client(asyncio.Protocol):
    """One connection."""

    def __init__(self, mix: Mix) -> None:
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._mix = mix
        self._began = 0.0

    def _ask(self) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self._began = time.perf_counter()
        self._transport.write(self._mix.next())

    def on_message_complete(self) -> None:
        now = time.perf_counter()
        if 200 <= self._parser.get_status_code() < 300:
            self._mix.latencies.append(now - self._began)
        else:
            self._mix.failed += 1
        if now < self._mix.until:
            self._ask()
        else:
            self._transport.close()

    # --- asyncio.Protocol ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._ask()

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def connection_lost(self, exc: Exception | None) -> None:
        if time.perf_counter() < self._mix.until:
            self._mix.failed += 1
        if not self.done.done():
            self.done.set_result(None)


async def ask(port: int, mix: Mix, connections: int, seconds: float) -> None:
    """Open all, ask for so long, and wait until the last has its answer."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # wrk verifies nothing either
    loop = asyncio.get_running_loop()
    opened = [
        await loop.create_connection(lambda: Client(mix), "127.0.0.1", port, ssl=context) for _ in range(connections)
    ]
    mix.begin(seconds)
    await asyncio.wait([client.done for _, client in opened])


def main(arguments: list[str]) -> int:
    """Ask and print."""
    port, file, connections, seconds = int(arguments[0]), Path(arguments[1]), int(arguments[2]), float(arguments[3])
    requests = []
    for path, token in json.loads(file.read_text()):
        authorization = f"Authorization: Bearer {token}\r\n" if token else ""
        requests.append(f"GET {path} HTTP/1.1\r\nHost: api.bench.example\r\n{authorization}\r\n".encode())
    mix = Mix(requests)
    loops.run(ask(port, mix, connections, seconds))
    times = sorted(mix.latencies) or [0.0]
    report = {
        "requests": len(mix.latencies) + mix.failed,
        "p50": times[len(times) // 2] * 1000,
        "p99": times[len(times) * 99 // 100] * 1000,
        "failed": mix.failed,
    }
    print(json.dumps(report))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
