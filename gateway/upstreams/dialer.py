"""Opens connections: name to addresses, addresses to sockets, sockets to verified TLS.

Rule: every address is judged by the egress rules at each connect, also one that an earlier look-up gave.
Invariant: what fails is a Refused with 502 or 504; no exception of the loop or of OpenSSL gets past here.
"""

import asyncio
import ssl
from ipaddress import ip_address

from gateway.kernel.egress import Egress, resolve
from gateway.kernel.tls_layer import TlsLayer
from gateway.model.connection import IPAddress
from gateway.model.reason import Reason
from gateway.model.refused import Refused
from gateway.upstreams.connection import Connection
from gateway.upstreams.identity import UpstreamTls, is_address
from gateway.upstreams.owner import Owner
from gateway.upstreams.settings import EndpointSettings

_NAME_TTL = 30.0  # seconds that the addresses of a name are kept


class Dialer:
    """Opens connections to one endpoint."""

    def __init__(self, endpoint: EndpointSettings, connect_timeout: float) -> None:
        """`connect_timeout`: seconds for look-up, TCP and TLS together."""
        self._endpoint = endpoint
        self._egress = Egress(frozenset([endpoint.host.lower()]))  # the file names it
        self._timeout = connect_timeout
        pinned = endpoint.address or (ip_address(endpoint.host) if is_address(endpoint.host) else None)
        self._addresses: list[IPAddress] = [pinned] if pinned is not None else []
        self._fresh_until = float("inf") if self._addresses else 0.0

    async def __call__(self, owner: Owner, tls: UpstreamTls | None) -> Connection:
        """A connection, verified. Raises Refused(UPSTREAM_CONNECT | UPSTREAM_IDENTITY | UPSTREAM_TIMEOUT)."""
        made: list[Connection] = []
        try:
            async with asyncio.timeout(self._timeout):  # noqa: TID251 - once a connection; 3.11's wait_for can lose a cancellation
                return await self._dial(owner, tls, made)
        except TimeoutError:
            failure = Refused(Reason.UPSTREAM_TIMEOUT, f"no connection within {self._timeout:g} s")
        except ssl.SSLCertVerificationError as error:
            failure = Refused(Reason.UPSTREAM_IDENTITY, str(getattr(error, "verify_message", "") or error.args[-1]))
        except ssl.SSLError as error:
            failure = Refused(Reason.UPSTREAM_CONNECT, f"TLS failed: {error.reason or 'the backend ended it'}")
        except OSError as error:
            failure = Refused(Reason.UPSTREAM_CONNECT, (error.strerror or str(error) or type(error).__name__).lower())
        for connection in made:
            connection.abort()  # one may hold a transport when the time ran out at the last moment
        try:
            raise failure
        finally:
            del failure  # it holds this frame

    async def _dial(self, owner: Owner, tls: UpstreamTls | None, made: list[Connection]) -> Connection:
        """The first address that answers. A backend that fails its proof ends it: another address is no way around."""
        failure = OSError("the name has no address")
        for address in await self._resolve():
            try:
                self._egress.check(self._endpoint.host, address)
                return await self._open(owner, str(address), tls, made)
            except ssl.SSLError:
                raise
            except OSError as error:
                failure = error
        try:
            raise failure
        finally:
            del failure  # as above

    async def _open(self, owner: Owner, address: str, tls: UpstreamTls | None, made: list[Connection]) -> Connection:
        loop, host, port = asyncio.get_running_loop(), self._endpoint.host, self._endpoint.port

        def protocol() -> Connection:
            made.append(Connection(owner, loop))
            return made[-1]

        if tls is None:
            return (await loop.create_connection(protocol, address, port))[1]
        context, name = tls.context(host), tls.server_name(host)
        _, layer = await loop.create_connection(
            lambda: TlsLayer(protocol(), context, self._timeout, server_name=name), address, port
        )
        try:
            await layer.shaken
        except BaseException:
            layer.abort()
            raise
        return made[-1]

    async def _resolve(self) -> list[IPAddress]:
        """The addresses, each look-up's first one in another place, so that all get their share."""
        loop = asyncio.get_running_loop()
        if loop.time() >= self._fresh_until:
            self._addresses = await resolve(self._endpoint.host, self._endpoint.port, self._egress)
            self._fresh_until = loop.time() + _NAME_TTL
        addresses = list(self._addresses)
        if len(addresses) > 1:
            self._addresses.append(self._addresses.pop(0))
        return addresses
