"""`python -m gateway.testing.services`: the demo's provider and backends as processes, for docker-compose.yml.

Rule: everything comes from the command line; certificates from a folder that `gateway pki` made.
Invariant: SIGTERM and SIGINT end it with 0, its sockets closed.
"""

import argparse
import asyncio
import contextlib
import signal
import ssl
import sys
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import httpx2

from gateway.testing.provider import live_provider
from gateway.testing.scenario import BACKENDS, USERS, clients, secret
from gateway.testing.upstream import Upstream, echo

_LIFETIME = 3600.0  # seconds that a token is good


def main(argv: Sequence[str] | None = None) -> int:
    """Run one of them; returns the exit code."""
    args = arguments().parse_args(argv)
    if args.role == "token":
        print(f"Authorization: Bearer {_token(args.url, args.client, args.certs)}")
        return 0
    asyncio.run(_until_told(_provider(args) if args.role == "provider" else _backend(args)))
    return 0


def arguments() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m gateway.testing.services", description="The demo's other processes"
    )
    roles = parser.add_subparsers(dest="role", required=True)
    provider = roles.add_parser("provider", help="the OpenID provider")
    provider.add_argument("--url", required=True, help="how the gateway and clients reach it: the `iss` of its tokens")
    backend = roles.add_parser("backend", help="a backend that answers with what it was asked, over mTLS")
    backend.add_argument("name", choices=BACKENDS)
    token = roles.add_parser("token", help="print a header line with a token from the provider, for `curl -H @FILE`")
    token.add_argument("client", nargs="?", default="web")
    token.add_argument("--url", required=True, help="the provider's")
    for role in (provider, backend, token):
        role.add_argument("--certs", type=Path, default=Path("certs"), help="folder of `gateway pki` (default: certs)")
    for role in (provider, backend):
        role.add_argument("--host", default="0.0.0.0")  # noqa: S104 - in a container of its own
        role.add_argument("--port", type=int, required=True)
    return parser


def _provider(args: argparse.Namespace) -> AbstractAsyncContextManager[object]:
    tls = _context(args.certs, "provider")
    return live_provider(
        clients=clients(),
        users=USERS,
        tls=tls,
        host=args.host,
        port=args.port,
        url=args.url,
        token_lifetime=_LIFETIME,
    )


def _backend(args: argparse.Namespace) -> AbstractAsyncContextManager[object]:
    tls = _context(args.certs, args.name)
    tls.load_verify_locations(args.certs / "cluster-ca.pem")
    tls.verify_mode = ssl.CERT_REQUIRED
    return Upstream(echo(args.name), tls=tls, host=args.host, port=args.port)


def _context(certs: Path, name: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.load_cert_chain(certs / f"{name}.pem", certs / f"{name}.key")
    return context


def _token(url: str, client: str, certs: Path) -> str:
    trust = ssl.create_default_context(cafile=certs / "provider-ca.pem")
    form = {"grant_type": "client_credentials"}
    got = httpx2.post(f"{url}/token", data=form, auth=(client, secret(client)), verify=trust, trust_env=False)
    got.raise_for_status()
    return str(got.json()["access_token"])


async def _until_told(service: AbstractAsyncContextManager[object]) -> None:
    told = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, told.set)
    async with contextlib.AsyncExitStack() as stack:
        await stack.enter_async_context(service)
        await told.wait()


if __name__ == "__main__":
    sys.exit(main())
