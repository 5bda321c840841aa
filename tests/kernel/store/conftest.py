"""A Redis server for each module that asks, and one that answers only what a test wants."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeAlias

import hiredis
import pytest

from tests.redis_server import RedisServer, redis_server

Answers: TypeAlias = Callable[[list[bytes]], bytes | None]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Generator[RedisServer]:
    with redis_server(tmp_path_factory.mktemp("redis")) as running:
        yield running


@asynccontextmanager
async def scripted(path: Path, answer: Answers) -> AsyncGenerator[str]:
    """A server on a Unix socket that gives each command to `answer`; None: it never replies. Yields its URL."""
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

    listening = await asyncio.start_unix_server(serve, path)
    try:
        yield f"redis+unix://{path}"
    finally:
        listening.close()
        for writer in writers:
            writer.transport.abort()
        await listening.wait_closed()
