"""New connections, full or resumed, and idle ones: `python -m loadtest.connections ORDER`, the file of a `load.Order`.

New: some threads each connect, shake hands, ask once, read the answer and close; resumed: with the session that came
with the answer before, if the server gave one. Idle: connections that were answered once are held until stdin ends.
Prints one JSON object with the members of `load.Load`.
"""

import json
import socket
import ssl
import sys
import threading
import time
from dataclasses import asdict, dataclass, field
from itertools import cycle
from pathlib import Path

from loadtest.job import How
from loadtest.load import BEGUN, Load, Order

THREADS = 4  # OpenSSL lets go of the interpreter while it computes
TIMEOUT = 10.0  # seconds for each step of a connection


@dataclass
class Tally:
    """What came of it."""

    latencies: list[float] = field(default_factory=list)
    failed: int = 0
    resumed: int = 0


def ask_once(connection: ssl.SSLSocket, request: bytes) -> int:
    """Send it and read the whole answer (it states its length); the status. Raises OSError, ValueError."""
    connection.sendall(request)
    answer = b""
    while b"\r\n\r\n" not in answer:
        if not (piece := connection.recv(65536)):
            raise OSError("closed before the answer")
        answer += piece
    head, _, body = answer.partition(b"\r\n\r\n")
    (length,) = (line[15:] for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
    left = int(length) - len(body)
    while left > 0:
        if not (piece := connection.recv(65536)):
            raise OSError("closed within the answer")
        left -= len(piece)
    return int(head[9:12])


def opened(order: Order, context: ssl.SSLContext, session: ssl.SSLSession | None) -> ssl.SSLSocket:
    """A connection after its handshake. Raises OSError."""
    plain = socket.create_connection(("127.0.0.1", order.port), timeout=TIMEOUT)
    plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return context.wrap_socket(plain, server_hostname="localhost", session=session)


def renew(order: Order, tally: Tally, until: float) -> None:
    """One connection after the other. An answer of another status, and no answer, is a failure."""
    context, requests = order.context(), cycle([asked.raw() for asked in order.mix])
    session: ssl.SSLSession | None = None
    while (began := time.perf_counter()) < until:
        try:
            with opened(order, context, session) as connection:
                if ask_once(connection, next(requests)) == order.status:
                    tally.latencies.append(time.perf_counter() - began)
                else:
                    tally.failed += 1
                tally.resumed += bool(connection.session_reused)
                if order.how is How.RESUMED:  # in TLS 1.3 it came after the handshake
                    session = connection.session
        except (OSError, ValueError):
            tally.failed += 1
            session = None


def churn(order: Order) -> Load:
    """As many threads as are worth it, for so long."""
    tallies = [Tally() for _ in range(min(THREADS, order.connections))]
    until = time.perf_counter() + order.seconds
    threads = [threading.Thread(target=renew, args=(order, tally, until)) for tally in tallies]
    print(BEGUN, flush=True)
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    latencies = [one for tally in tallies for one in tally.latencies]
    return Load.of(latencies, sum(tally.failed for tally in tallies), sum(tally.resumed for tally in tallies))


def hold(order: Order) -> Load:
    """Open them all, have each answered once, say so on stdout, and hold them until stdin ends."""
    context, requests, tally = order.context(), cycle([asked.raw() for asked in order.mix]), Tally()
    held = []
    for _ in range(order.connections):
        began = time.perf_counter()
        connection = opened(order, context, None)
        tally.failed += ask_once(connection, next(requests)) != order.status
        tally.latencies.append(time.perf_counter() - began)
        held.append(connection)
    print(BEGUN, flush=True)
    sys.stdin.read()
    for connection in held:
        connection.close()
    return Load.of(tally.latencies, tally.failed)


def main(arguments: list[str]) -> int:
    """Carry out and print."""
    order = Order.read(Path(arguments[0]))
    print(json.dumps(asdict(hold(order) if order.how is How.IDLE else churn(order))))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
