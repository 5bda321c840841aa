"""What a listener is told: its limits, its certificates, and who hears of its connections.

Rule: settings are plain and frozen; a reload replaces them whole.
Invariant: nothing here knows of the config file; `control/build/listeners.py` makes these of it.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol, TypeAlias

ClientCertificate: TypeAlias = Literal["none", "optional", "required"]


@dataclass(frozen=True, slots=True)
class Limits:
    """How much one connection or request may take; times in seconds."""

    header_bytes: int = 32 * 1024  # request line and fields, with their line ends
    headers: int = 100
    header_timeout: float = 10.0  # of the handshake, and from a head's first byte to its end
    idle_timeout: float = 60.0  # between requests, and without a byte inside a body or a blocked answer
    connections: int = 10000  # open at one time, in this process
    min_data_rate: int = 240  # bytes a second of a body, in either direction, while it is the client that is waited for
    data_rate_window: float = 30.0  # over so long; a rate of 0 is none


@dataclass(frozen=True, slots=True)
class CertificateFiles:
    """A PEM chain and its private key."""

    certificate: Path
    key: Path
    names: tuple[str, ...] = ()  # DNS names of the certificate, lower case, wildcards too: SNI chooses by them
    not_before: float = -float("inf")  # seconds since the epoch, of the first certificate
    not_after: float = float("inf")


@dataclass(frozen=True, slots=True)
class TlsSettings:
    """What a listener proves and asks for in the handshake."""

    certificates: tuple[CertificateFiles, ...]  # chosen by SNI: exact before wildcard, else the first
    client_certificate: ClientCertificate = "none"
    roots: tuple[bytes, ...] = field(default=(), repr=False)  # DER, of all trust domains and client authorities
    min_version: Literal["1.2", "1.3"] = "1.3"
    resumption: bool = True  # whether who comes back may go on with its session


@dataclass(frozen=True, slots=True)
class Redirect:
    """A listener that only points to https."""

    port: int  # of the first TLS listener
    acme: Path | None = None  # its files answer /.well-known/acme-challenge/


class Observer(Protocol):
    """Who hears of connections: metrics and the audit log. Calls are quick and never raise."""

    def connections(self, listener: str, change: int) -> None:
        """A connection opened (+1) or closed (-1)."""
        ...

    def resumed(self, listener: str) -> None:
        """A handshake that ends well goes on with an earlier session."""
        ...

    def handshake(
        self, listener: str, peer: str, reason: str, detail: str, sni: str | None = None, claimed: bytes = b""
    ) -> None:
        """A TLS handshake ended. `reason` is "" when it succeeded, else one of gateway.server.handshake.REASONS.

        `peer` is the TCP peer's address; `detail` is OpenSSL's own words, for the log and the audit record; `claimed`
        the certificate that the client sent (DER), which proved nothing, b"" where none came.
        """
        ...
