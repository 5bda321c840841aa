"""A Redis server for each module that asks, and one that answers only what a test wants."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeAlias

import hiredis
import pytest

from gateway.testing.process import free_port
from tests.redis_server import RedisServer, redis_server

Answers: TypeAlias = Callable[[list[bytes]], bytes | None]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Generator[RedisServer]:
    with redis_server(tmp_path_factory.mktemp("redis")) as running:
        yield running


@asynccontextmanager
async def scripted(path: Path | None, answer: Answers) -> AsyncGenerator[str]:
    """A server on a Unix socket (None: on a TCP port) that gives each command to `answer`; None: it never replies.

    Yields its URL.
    """
    writers: list[asyncio.StreamWriter] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        parser = hiredis.Reader()
        while data := await reader.read(65536):
            parser.feed(data)
            while (command := parser.gets()) is not False:
                reply = answer(command)
                if reply is not None:
                    writer.write(reply)

    if path is not None:
        listening = await asyncio.start_unix_server(serve, path)
        url = f"redis+unix://{path}"
    else:
        listening = await asyncio.start_server(serve, "127.0.0.1", free_port())
        url = f"redis://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
    try:
        yield url
    finally:
        listening.close()
        for writer in writers:
            writer.transport.abort()
        await listening.wait_closed()
