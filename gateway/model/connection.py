"""What is known of a connection before a byte of HTTP is read."""

from ipaddress import IPv4Address, IPv6Address
from typing import TypeAlias

from gateway.model.noun import noun

IPAddress: TypeAlias = IPv4Address | IPv6Address


@noun
class TlsFacts:
    """One TLS session, read once when its handshake is done."""

    version: str  # "TLSv1.3"
    cipher: str
    sni: str | None  # as sent, lower case; None when the client sent none
    alpn: str | None
    resumed: bool
    served: int  # index of the listener's `certificates` entry that was presented
    chain: tuple[bytes, ...]  # the client's certificates as DER, leaf first; () when none was sent

    @property
    def leaf(self) -> bytes | None:
        """The client's own certificate as DER, or None when none was sent."""
        return self.chain[0] if self.chain else None


@noun
class Connection:
    """One accepted connection of a listener."""

    listener: str
    peer_ip: IPAddress  # the TCP peer: never taken from a header
    peer_port: int
    local_ip: IPAddress
    local_port: int
    tls: TlsFacts | None  # None on a listener without TLS
