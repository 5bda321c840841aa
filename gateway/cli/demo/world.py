"""All the parts of the demo, started in order and gone in the end: PKI, provider, backends, page, gateway.

Rule: everything but the gateway lives in this process; the gateway is the real `gateway serve`, in one of its own.
Invariant: leaving `world()` leaves no process, no socket and no file, however it is left.
"""

import asyncio
import contextlib
import os
import ssl
import sys
import tempfile
import time
from collections.abc import AsyncGenerator, Callable, Mapping
from pathlib import Path

from gateway.cli.demo.page import application
from gateway.cli.demo.place import PREFIX, Place
from gateway.testing.client import send
from gateway.testing.issuer import Issuer, tampered
from gateway.testing.keys import write_private
from gateway.testing.pki import Folder
from gateway.testing.process import Process, free_ports, running
from gateway.testing.provider import Provider, live_provider
from gateway.testing.scenario import BACKENDS, BROWSER_APP, USERS, WORKLOADS, clients, secret
from gateway.testing.serve import serving
from gateway.testing.tls import server_context
from gateway.testing.upstream import Upstream, echo

_START_LIMIT = 20.0  # seconds that the gateway has to become ready
_TOKEN_LIFETIME = 3600.0  # seconds: of the tokens in files, which are made anew at half of it
_KEYS = b'gateway_jwks_refresh_total{issuer="demo",result="success"}'
Progress = Callable[[str], None]


class NotStarted(Exception):  # noqa: N818 - an answer: the message says what to do
    """The gateway did not come up; the message holds what it said."""


@contextlib.asynccontextmanager
async def world(config: Path, progress: Progress) -> AsyncGenerator[Place]:
    """Start it all; yields once the gateway is ready. Raises NotStarted, OSError."""
    async with contextlib.AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix=PREFIX)))
        progress("certificates: a throwaway root, one for a partner, the gateway's and the services' own")
        certs = Folder(folder / "certs")
        certs.init()
        _client_certificates(folder, certs)

        edge, browser, admin, app = free_ports(4)
        app_origin = f"http://127.0.0.1:{app}"
        provider = await stack.enter_async_context(
            live_provider(clients=clients(app_origin), users=USERS, token_lifetime=_TOKEN_LIFETIME)
        )
        progress(f"OpenID provider at {provider.issuer.url}")

        backends = {}
        for name in BACKENDS:
            backends[name] = await stack.enter_async_context(Upstream(echo(name), tls=_backend_tls(certs, name)))
            progress(f"backend {name} at {backends[name].url}: answers nobody without a certificate")

        place = Place(folder, os.getpid(), edge, browser, admin, provider.issuer.url, app_origin)
        settings = {"issuer": place.issuer, "client_id": BROWSER_APP, "gateway": f"https://localhost:{browser}"}
        await stack.enter_async_context(serving(lambda _: application(settings), port=app))
        progress(f"browser application at {app_origin}")

        await _write_tokens(folder, provider)
        renewal = asyncio.get_running_loop().create_task(_renew_tokens(folder, provider))
        stack.callback(renewal.cancel)

        environment = _environment(place, {name: backend.url for name, backend in backends.items()})
        await stack.enter_async_context(_gateway(config, place, environment))
        progress(f"gateway at https://localhost:{edge} (services) and https://localhost:{browser} (browsers)")
        place.write()
        yield place


def _client_certificates(folder: Path, certs: Folder) -> None:
    """NAME.pem with certificate and key together, which curl takes as one file."""
    cluster, partners = certs.authority("cluster-ca"), certs.authority("partners-ca")
    cluster.write(folder, "ca")
    for name in ("web", "checkout", "batch"):
        issued = cluster.issue(uri=f"{WORKLOADS}{name}")
        write_private(folder / f"{name}.pem", issued.pem() + issued.key_pem())
    impostor = partners.issue(uri=f"{WORKLOADS}web")  # a partner that says it is one of us
    write_private(folder / "impostor.pem", impostor.pem() + impostor.key_pem())


def _backend_tls(certs: Folder, name: str) -> ssl.SSLContext:
    cluster = certs.authority("cluster-ca")
    return server_context(cluster.issue(uri=f"{WORKLOADS}{name}"), [cluster])


async def _renew_tokens(folder: Path, provider: Provider) -> None:
    while True:
        await asyncio.sleep(_TOKEN_LIFETIME / 2)
        await _write_tokens(folder, provider)


async def _write_tokens(folder: Path, provider: Provider) -> None:
    """Files that `curl -H @FILE` reads: two good tokens and three that are wrong, each in its way."""
    issuer = provider.issuer
    good = await _client_credentials(issuer, "web")
    tokens = {
        "token": good,
        "token-batch": await _client_credentials(issuer, "batch"),
        "token-expired": issuer.token("web", scope="inventory:read", lifetime=-3600, iat=int(time.time()) - 7200),
        "token-audience": issuer.token("web", scope="inventory:read", aud="another-service"),
        "token-tampered": tampered(good, scope="inventory:read inventory:write"),
    }
    for name, token in tokens.items():
        fresh = write_private(folder / f".{name}", f"Authorization: Bearer {token}\n".encode())
        fresh.replace(folder / name)


async def _client_credentials(issuer: Issuer, client: str) -> str:
    form = f"grant_type=client_credentials&client_id={client}&client_secret={secret(client)}".encode()
    headers = [("Content-Type", "application/x-www-form-urlencoded")]
    answer = await send(int(issuer.url.rpartition(":")[2]), "POST", "/token", headers=headers, body=form)
    return str(answer.json()["access_token"])


def _environment(place: Place, backends: Mapping[str, str]) -> dict[str, str]:
    """What routes.yaml reads."""
    return {
        "GATEWAY_CERTS": str(place.folder / "certs"),
        "GATEWAY_STATE": str(place.folder / "state"),
        "GATEWAY_AUDIT": str(place.folder / "audit"),
        "GATEWAY_EDGE": f"127.0.0.1:{place.edge}",
        "GATEWAY_BROWSER": f"127.0.0.1:{place.browser}",
        "GATEWAY_ADMIN": f"127.0.0.1:{place.admin}",
        "GATEWAY_STORE": "memory://",
        "GATEWAY_ISSUER": place.issuer,
        "GATEWAY_INVENTORY": backends["inventory"],
        "GATEWAY_PAYMENTS": backends["payments"],
        "GATEWAY_APP_ORIGIN": place.app,
        "GATEWAY_LOG_FORMAT": "text",
    }


@contextlib.asynccontextmanager
async def _gateway(config: Path, place: Place, environment: Mapping[str, str]) -> AsyncGenerator[None]:
    command = [sys.executable, "-m", "gateway", "serve", "--config", str(config)]
    entered = running(command, place.folder / "gateway.log", env=environment)
    process = entered.__enter__()
    try:
        await _ready(process, place)
        yield
    finally:
        # In a thread: while the gateway drains, provider and backends in this loop must go on answering.
        await asyncio.shield(asyncio.to_thread(entered.__exit__, None, None, None))


async def _ready(process: Process, place: Place) -> None:
    """Wait until the gateway is ready, and a little longer for its issuer's keys, which readiness does not hang on."""
    end = time.monotonic() + _START_LIMIT
    ready = False
    while time.monotonic() < end and process.alive():
        with contextlib.suppress(OSError, EOFError, TimeoutError):
            ready = ready or (await send(place.admin, "GET", "/readyz", seconds=1)).status == 200
            if ready and _KEYS in (await send(place.admin, "GET", "/metrics", seconds=1)).body:
                return
        await asyncio.sleep(0.02)
    if not process.alive():
        how = f"ended with {process.popen.returncode}"
    else:
        how = "cannot fetch the provider's keys" if ready else "did not become ready"
    raise NotStarted(f"the gateway {how}; it said:\n{process.output.strip()[-4000:] or '(nothing)'}")
