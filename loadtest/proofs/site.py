"""A gateway on one core between an OpenID provider and an nginx over mTLS, on the other; all trust can be changed."""

import asyncio
import contextlib
import os
from collections.abc import AsyncGenerator, Generator
from dataclasses import dataclass
from pathlib import Path

from gateway.testing.process import Process, free_ports, listening, running
from gateway.testing.upstream import Upstream
from loadtest import backend
from loadtest.measure import cores, pin, pinned
from tests.control.feeds.provider import provider
from tests.flows.gateway_process import HEAD, Served, prepared, serving
from tests.flows.trust_scene import ROUTES, STOCK, Scene
from tests.serving import get

CALLERS = 64
LIFETIME = 6 * 3600  # seconds that tokens live: longer than any proof


@dataclass
class Site(Scene):
    """A scene, and what loads it."""

    pause: float = 0.25  # metrics are written by the gateway's loop: they cost those who ask for something else
    text: str = ""  # what stands in the file behind its head

    @property
    def ca(self) -> Path:
        """What the edge certificate is verified by."""
        return self.certs.path / "cluster-ca.pem"

    @property
    def pid(self) -> int:
        return self.gateway.process.popen.pid

    def mix(self, path: str = "/api/x") -> list[str]:
        """Good requests of many callers."""
        bearers = [self.bearer(sub=f"caller-{number}", lifetime=LIFETIME) for number in range(CALLERS)]
        return [get(path, bearer, host="localhost").decode() for bearer in bearers]

    async def cli(self, command: str) -> int:
        """Run `gateway COMMAND` on it: its exit code."""
        config = self.gateway.folder / "routes.yaml"
        process = await asyncio.create_subprocess_exec(
            self.gateway.process.command[0], "-m", "gateway", command, "-c", str(config),
            stdout=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        return await process.wait()


@contextlib.contextmanager
def nginx(folder: Path, certs: Path, port: int, counts: int, plain: int) -> Generator[Process]:
    """The benchmark's backend, by the certificate `backend` of the folder."""
    folder.mkdir(exist_ok=True)
    command = pinned(cores()[1], backend.command(port, counts, plain, folder, certs))
    with running(command, folder / "backend.log") as process:
        process.wait_for(lambda: listening(port) and listening(counts), what="the backend")
        yield process


@contextlib.asynccontextmanager
async def site(
    folder: Path, *arguments: str, keys: str = "", more: str = "", head: str = HEAD, routes: str = ROUTES
) -> AsyncGenerator[Site]:
    """`keys`: more of the issuer's entry; `more`: of the file; `head`: what it begins with; `routes`: other ones."""
    certs = prepared(folder)
    root = certs.authority("cluster-ca")
    certs.issue("backend", uri=STOCK, hosts=["localhost", "127.0.0.1"])
    (certs.path / "ca.pem").write_bytes(root.pem())
    port, counts, plain = free_ports(3)
    with contextlib.ExitStack() as stack:
        await asyncio.to_thread(stack.enter_context, nginx(folder / "backend", certs.path, port, counts, plain))
        async with provider() as held:
            text = routes.format(issuer=held.url, stock=f"https://127.0.0.1:{port}", keys=keys, more=more)
            served = serving(folder, text, *arguments, issuer="corp", head=head)
            gateway = await asyncio.to_thread(stack.enter_context, served)
            pin(gateway.process.popen.pid, cores()[0])
            try:
                yield Site(gateway, certs, root, held, Upstream(), text=text)
            finally:
                await asyncio.to_thread(stack.close)


@contextlib.contextmanager
def replica(held: Site, name: str, ports: tuple[int, int] | None = None) -> Generator[Served]:
    """Another gateway with the same file, in a folder of that name."""
    folder = held.gateway.folder / name
    folder.mkdir(exist_ok=True)
    if not (folder / "certs").exists():
        (folder / "certs").symlink_to(held.certs.path)
    with serving(folder, held.text, issuer="corp", ports=ports) as gateway:
        pin(gateway.process.popen.pid, cores()[0])
        yield gateway


def stay_aside() -> None:
    """This process, and what it starts, leave the gateway's core alone."""
    core = cores()[1]
    if core is not None:
        os.sched_setaffinity(0, {core})
