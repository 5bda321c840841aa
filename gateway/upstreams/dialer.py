"""Opens connections: name to addresses, addresses to sockets, sockets to verified TLS.

Rule: every address is judged by the egress rules at each connect, also one that an earlier look-up gave.
Invariant: what fails is a Refused with 502 or 504; no exception of the loop or of OpenSSL gets past here.
"""

import asyncio
import socket
import ssl
from collections.abc import Callable
from ipaddress import IPv4Address, IPv6Address, ip_address

from gateway.model.reason import Reason
from gateway.model.refused import Refused
from gateway.upstreams.connection import Connection, Owner
from gateway.upstreams.identity import UpstreamTls, is_address
from gateway.upstreams.settings import EndpointSettings

IPAddress = IPv4Address | IPv6Address
JudgeAddress = Callable[[str, IPAddress], None]  # raises ValueError for an address that the host may not stand for

_NAME_TTL = 30.0  # seconds that the addresses of a name are kept
_CLOSE_WITHIN = 2.0  # seconds that a backend has to answer our close_notify


class Dialer:
    """Opens connections to one endpoint."""

    def __init__(self, endpoint: EndpointSettings, judge: JudgeAddress, connect_timeout: float) -> None:
        """`connect_timeout`: seconds for look-up, TCP and TLS together."""
        self._endpoint = endpoint
        self._judge = judge
        self._timeout = connect_timeout
        self._addresses: list[str] = [endpoint.host] if is_address(endpoint.host) else []
        self._fresh_until = float("inf") if self._addresses else 0.0

    async def __call__(self, owner: Owner, tls: UpstreamTls | None) -> Connection:
        """A connection, verified. Raises Refused(UPSTREAM_CONNECT | UPSTREAM_IDENTITY | UPSTREAM_TIMEOUT)."""
        connection = Connection(owner, asyncio.get_running_loop())
        try:
            return await asyncio.wait_for(self._dial(connection, tls), self._timeout)
        except TimeoutError:
            failure = Refused(Reason.UPSTREAM_TIMEOUT, f"no connection within {self._timeout:g} s")
        except ssl.SSLCertVerificationError as error:
            failure = Refused(Reason.UPSTREAM_IDENTITY, error.verify_message or str(error.args[-1]))
        except ssl.SSLError as error:
            failure = Refused(Reason.UPSTREAM_CONNECT, f"TLS failed: {error.reason or 'the backend ended it'}")
        except (OSError, ValueError) as error:
            failure = Refused(Reason.UPSTREAM_CONNECT, _why(error))
        connection.abort()  # it may hold a transport when the time ran out at the last moment
        raise failure

    async def _dial(self, connection: Connection, tls: UpstreamTls | None) -> Connection:
        """The first address that answers. A backend that fails its proof ends it: another address is no way around."""
        failure: OSError | ValueError = OSError("the name has no address")
        for address in await self._resolve():
            try:
                self._judge(self._endpoint.host, ip_address(address))
                await self._open(connection, address, tls)
            except ssl.SSLError:
                raise
            except (OSError, ValueError) as error:
                failure = error
            else:
                return connection
        raise failure

    async def _open(self, connection: Connection, address: str, tls: UpstreamTls | None) -> None:
        loop, host, port = asyncio.get_running_loop(), self._endpoint.host, self._endpoint.port
        if tls is None:
            await loop.create_connection(lambda: connection, address, port)
            return
        await loop.create_connection(
            lambda: connection,
            address,
            port,
            ssl=tls.context(host),
            server_hostname=tls.server_name(host),
            ssl_handshake_timeout=self._timeout,
            ssl_shutdown_timeout=_CLOSE_WITHIN,
        )

    async def _resolve(self) -> list[str]:
        """The addresses, each look-up's first one in another place, so that all get their share."""
        loop = asyncio.get_running_loop()
        if loop.time() >= self._fresh_until:
            found = await loop.getaddrinfo(self._endpoint.host, None, type=socket.SOCK_STREAM)
            self._addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
            self._fresh_until = loop.time() + _NAME_TTL
        addresses = list(self._addresses)
        if len(addresses) > 1:
            self._addresses.append(self._addresses.pop(0))
        return addresses


def _why(error: OSError | ValueError) -> str:
    """An error in words without addresses of its own: the record names the endpoint."""
    return (getattr(error, "strerror", None) or str(error) or type(error).__name__).lower()
