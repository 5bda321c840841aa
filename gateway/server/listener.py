"""A listener at work: its settings, its certificates and its connections.

Rule: a reload replaces `limits`, `contexts` and `proxies` whole; connections that are open go on with the new limits.
Invariant: `connections` holds exactly those that were made and not yet lost.
"""

import ssl
from collections.abc import Callable
from typing import TYPE_CHECKING

from gateway.kernel.patterns.blocks import InBlocks
from gateway.model.connection import TlsFacts
from gateway.server.sections import Sections
from gateway.server.settings import Limits, Observer, Redirect
from gateway.server.tls import Contexts

if TYPE_CHECKING:
    from gateway.server.protocol import HttpProtocol

Expired = Callable[[tuple[bytes, ...]], bool]


def never_expires(_: tuple[bytes, ...]) -> bool:
    """For listeners where nobody is judged by a certificate."""
    return False


class Listener:
    """One address on which requests are taken, in one process."""

    def __init__(
        self,
        name: str,
        limits: Limits,
        observer: Observer,
        *,
        address: str = "",
        contexts: Contexts | None = None,
        redirect: Redirect | None = None,
        proxies: InBlocks | None = None,
        expired: Expired = never_expires,
    ) -> None:
        """`address`: for people. `contexts` is None for a listener without TLS.

        `proxies`: peers that speak the PROXY protocol; None where nobody does. `expired`: whether a certificate chain
        has expired that OpenSSL does not look at, its session being resumed.
        """
        self.name = name
        self.limits = limits
        self.address = address
        self.observer = observer
        self.expired = expired
        self._contexts = contexts
        self.redirect = redirect
        self.proxies = proxies
        self.connections: set[HttpProtocol] = set()
        self.arriving: set[HttpProtocol] = set()  # accepted, in their handshake
        self.sections = Sections()
        self.draining = False

    def __str__(self) -> str:
        return f"{self.name} on {self.address}"

    def __repr__(self) -> str:
        return f"Listener({self.name}, {len(self.connections)} connections{', draining' if self.draining else ''})"

    @property
    def contexts(self) -> Contexts | None:
        """What the next handshake is shaken with."""
        return self._contexts

    @contexts.setter
    def contexts(self, fresh: Contexts | None) -> None:
        before, self._contexts = self._contexts, fresh
        if before is not None and before is not fresh:
            before.forget()

    @property
    def full(self) -> bool:
        """True when it may take no more connections."""
        return len(self.connections) + len(self.arriving) >= self.limits.connections

    def opened(self, connection: "HttpProtocol", session: ssl.SSLObject | None) -> None:
        """A connection was made: its handshake, if any, is done. `session`: None without TLS."""
        self.arriving.discard(connection)
        self.connections.add(connection)
        if session is not None and self._contexts is not None:
            self._contexts.shaken(session)
        self.observer.connections(self.name, 1)

    def has_expired(self, tls: TlsFacts | None) -> bool:
        """Whether the certificate of a session that is resumed has expired since; counts those that go on."""
        if tls is None or not tls.resumed:
            return False
        if tls.chain and self.expired(tls.chain):
            return True
        self.observer.resumed(self.name)
        return False

    def closed(self, connection: "HttpProtocol") -> None:
        """A connection was lost."""
        self.connections.discard(connection)
        self.observer.connections(self.name, -1)

    def drain(self) -> None:
        """Let every connection end after the request that it is answering."""
        self.draining = True
        for connection in tuple(self.connections):
            connection.shutdown()
