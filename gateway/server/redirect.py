"""The answer of a `redirect: https` listener: the same URL under https, or a file of an ACME challenge.

Rule: the Location's host is the one that the request was for, judged as strictly as for a route; what is not a plain
request goes to the gateway's own application, which refuses and records it.
Invariant: nothing of the request but its authority and its origin-form target ever stands in the Location.
"""

import asyncio
from os import urandom
from pathlib import Path

from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.app import EXTENSION
from gateway.kernel.patterns.hosts import parse_authority
from gateway.model.reason import Reason
from gateway.model.request import RequestHead
from gateway.server.cycle import Cycle
from gateway.server.settings import Redirect

_CHALLENGE = b"/.well-known/acme-challenge/"
_TOKEN = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"  # RFC 8555 section 8.3


class RedirectApp:
    """An ASGI application under our own protocol class."""

    def __init__(self, settings: Redirect, gateway: ASGIApp) -> None:
        self._port = settings.port
        self._acme = settings.acme
        self._gateway = gateway

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        cycle: Cycle = scope["extensions"][EXTENSION]
        head = cycle.head
        location = self._location(head)
        if location is None:
            cycle.head = RequestHead(
                head.method, head.target, head.version, head.headers, None, False, head.fault or Reason.BAD_REQUEST
            )
            await self._gateway(scope, receive, send)
            return
        status, headers, body = 308, [(b"location", location)], b""
        if self._acme is not None and head.target.startswith(_CHALLENGE):
            body = await asyncio.to_thread(_challenge, self._acme, head.target[len(_CHALLENGE) :])
            status, headers = (200 if body else 404), [(b"content-type", b"application/octet-stream")]
        headers.append((b"x-request-id", urandom(16).hex().encode("ascii")))  # as on every answer
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    def _location(self, head: RequestHead) -> bytes | None:
        """None for what has no https twin: a faulty head, no valid host, `*`."""
        path = head.target
        scheme, separator, rest = path.partition(b"://")
        if separator and scheme.lower() == b"http":  # absolute-form outranks Host (RFC 9112 section 3.2.2)
            authority, _, path = rest.partition(b"/")
            path = b"/" + path
        else:
            authority = next((value for name, value in head.headers if name == b"host"), b"")
        if head.fault is not None or not path.startswith(b"/") or not path.isascii() or b"\\" in path:
            return None
        try:
            host, _ = parse_authority(authority.decode("ascii"))
        except ValueError:
            return None
        return b"https://%b%b%b" % (host.encode("ascii"), b"" if self._port == 443 else b":%d" % self._port, path)


def _challenge(directory: Path, token: bytes) -> bytes:
    """The file's content; b"" where there is none."""
    if not token or token.strip(_TOKEN):
        return b""
    try:
        return (directory / token.decode("ascii")).read_bytes()
    except OSError:
        return b""
