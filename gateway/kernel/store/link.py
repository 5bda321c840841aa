"""A connection to one server: opened, logged in, in its database.

Rule: a server that does not accept, or does not take the password, is a failing store. No request waits here.
"""

import asyncio
from collections.abc import Callable

from gateway.kernel.store.address import Node, RedisAddress
from gateway.kernel.store.connection import Redirect, RedisConnection
from gateway.kernel.store.failure import StoreUnavailable

CONNECT_TIMEOUT = 1.0  # seconds
ASK_TIMEOUT = 0.5  # seconds that a sentinel has to answer


async def link(
    address: RedisAddress,
    node: Node | None,
    timeout: float,
    on_lost: Callable[[StoreUnavailable], None],
    redirect: "Redirect | None" = None,
) -> RedisConnection:
    """Connect to `node` (None: to what the address itself names) as the user of `address`.

    Raises OSError, TimeoutError or StoreUnavailable.
    """
    connection = await _open(address, node, timeout, on_lost, redirect)
    try:
        if address.password is not None:
            await _log_in(connection, address.username, address.password)
        if address.database:
            await connection.command(b"SELECT", b"%d" % address.database)
    except BaseException:
        connection.close()
        raise
    return connection


async def find_master(address: RedisAddress) -> Node:
    """What the first sentinel that answers calls the master. Raises StoreUnavailable."""
    trouble = "no sentinel answers"
    for sentinel in address.sentinels:
        try:
            connection = await _open(address, sentinel, ASK_TIMEOUT, lambda _: None, None)
            try:
                if address.sentinel_password is not None:
                    await _log_in(connection, address.sentinel_username, address.sentinel_password)
                found = await connection.command(b"SENTINEL", b"GET-MASTER-ADDR-BY-NAME", address.master.encode())
            finally:
                connection.close()
        except (OSError, TimeoutError, StoreUnavailable):
            continue
        match found:
            case [bytes() as host, bytes() as port] if port.isdigit():
                return host.decode(), int(port)
        trouble = f"the sentinels know no master {address.master!r}"
    raise StoreUnavailable(trouble)


async def _open(
    address: RedisAddress,
    node: Node | None,
    timeout: float,
    on_lost: Callable[[StoreUnavailable], None],
    redirect: "Redirect | None",
) -> RedisConnection:
    loop = asyncio.get_running_loop()

    def make() -> RedisConnection:
        return RedisConnection(loop, timeout, on_lost, redirect)

    async with asyncio.timeout(CONNECT_TIMEOUT):  # noqa: TID251 - the keeper's, no request waits here
        if address.path is not None:
            return (await loop.create_unix_connection(make, address.path))[1]
        host, port = node if node is not None else (address.host, address.port)
        context = address.context()
        name = host if context is not None else None
        return (await loop.create_connection(make, host, port, ssl=context, server_hostname=name))[1]


async def _log_in(connection: RedisConnection, username: str | None, password: str) -> None:
    user = (username.encode(),) if username else ()
    await connection.command(b"AUTH", *user, password.encode())
