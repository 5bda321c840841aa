"""A real `gateway serve` for flow tests: its folder, its certificates, its ports."""

import contextlib
import sys
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path

import httpx2

from gateway.testing.pki import Folder
from gateway.testing.process import Process, free_ports, running
from tests.plain import NO_TLS

REPOSITORY = Path(__file__).parents[2]

HEAD = """\
version: 1
listeners:
  edge:
    address: 127.0.0.1:{edge}
    tls: {{certificate: certs/edge.pem, key: certs/edge.key}}
admin: {{address: "127.0.0.1:{admin}"}}
identity: {{certificate: certs/gateway.pem, key: certs/gateway.key}}
trust_domains:
  cluster.local: {{bundle: certs/cluster-ca.pem, crl: certs/cluster.crl}}
log: {{format: text}}
"""


@dataclass(frozen=True)
class Served:
    """A gateway that is ready."""

    process: Process
    folder: Path
    edge: int
    admin: int

    @property
    def url(self) -> str:
        return f"https://localhost:{self.edge}"


def prepared(folder: Path) -> Folder:
    """A folder with certificates in certs/."""
    certs = Folder(folder / "certs")
    certs.init()
    return certs


@contextlib.contextmanager
def serving(
    folder: Path,
    rest: str,
    *arguments: str,
    issuer: str | None = None,
    head: str = HEAD,
    status: int = 200,
    ports: tuple[int, int] | None = None,
) -> Generator[Served]:
    """Serve HEAD and the rest of a file out of a prepared folder, once it is ready and has the issuer's keys.

    `status`: of /readyz, where it is not ready in the end. `ports`: edge and admin, where they are not any.
    """
    edge, admin = ports or free_ports(2)
    config = folder / "routes.yaml"
    config.write_text(head.format(edge=edge, admin=admin) + rest)
    command = [sys.executable, "-m", "gateway", "serve", "--config", str(config), *arguments]
    with running(command, folder / "gateway.log", cwd=REPOSITORY) as process:
        at = f"http://127.0.0.1:{admin}"
        with httpx2.Client(base_url=at, verify=NO_TLS, trust_env=False, timeout=1) as client:

            def ready() -> bool:
                with contextlib.suppress(httpx2.TransportError):
                    if client.get("/readyz").status_code != status:
                        return False
                    fetched = f'gateway_jwks_refresh_total{{issuer="{issuer}",result="success"}}'
                    return issuer is None or fetched in client.get("/metrics").text
                return False

            process.wait_for(ready, what="the gateway to be ready")
        yield Served(process, folder, edge, admin)
