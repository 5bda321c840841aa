"""The gRPC client against servers that do not keep to it: every stream ends in GrpcFailed."""

import asyncio
import contextlib
import tempfile
from collections.abc import AsyncGenerator, Callable
from pathlib import Path

import pytest
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import RequestReceived
from h2.exceptions import ProtocolError

from gateway.control.feeds.grpc import GrpcFailed, open_unix

OK = [(":status", "200"), ("content-type", "application/grpc")]
Script = Callable[[H2Connection, int], None]


@contextlib.asynccontextmanager
async def server(script: Script, *, raw: bytes = b"") -> AsyncGenerator[str]:
    """Answers each call with `script`; or every byte with `raw`."""

    writers: list[asyncio.StreamWriter] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        h2 = H2Connection(H2Configuration(client_side=False))
        h2.initiate_connection()
        writer.write(raw or h2.data_to_send())
        while data := await reader.read(65536):
            if raw:
                continue
            with contextlib.suppress(ProtocolError):  # it said goodbye
                for event in h2.receive_data(data):
                    if isinstance(event, RequestReceived) and event.stream_id is not None:
                        script(h2, event.stream_id)
            writer.write(h2.data_to_send())
        writer.close()

    with tempfile.TemporaryDirectory(prefix="grpc") as folder:
        path = str(Path(folder) / "s")
        listening = await asyncio.start_unix_server(serve, path)
        try:
            yield path
        finally:
            listening.close()
            for writer in writers:
                writer.transport.abort()


async def called(path: str, first: float = 5) -> tuple[list[bytes], GrpcFailed]:
    connection = await open_unix(path, 5)
    found: list[bytes] = []
    try:
        async for message in connection.stream("/a/b", [("x", "y")], first):
            found += [message]
    except GrpcFailed as failed:
        return found, failed
    finally:
        connection.close()
    raise AssertionError("the stream ended")


def frame(message: bytes, *, compressed: int = 0, length: int | None = None) -> bytes:
    size = len(message) if length is None else length
    return bytes([compressed]) + size.to_bytes(4, "big") + message


def answering(data: bytes, trailers: list[tuple[str, str]] | None = None) -> Script:
    def script(h2: H2Connection, stream: int) -> None:
        h2.send_headers(stream, OK)
        for at in range(0, len(data), 1000):
            h2.send_data(stream, data[at : at + 1000])
        if trailers is not None:
            h2.send_headers(stream, trailers, end_stream=True)

    return script


async def test_messages_come_whole_however_they_were_cut() -> None:
    sent = [b"", b"a", b"b" * 5000]
    data = b"".join(map(frame, sent))
    async with server(answering(data, [("grpc-status", "7"), ("grpc-message", "no%20identity%0A")])) as path:
        found, failed = await called(path)
    assert (found, failed.status) == (sent, 7)
    assert str(failed) == "the stream ended with status 7: no identity?"


def refusing(headers: list[tuple[str, str]]) -> Script:
    return lambda h2, stream: h2.send_headers(stream, headers, end_stream=True)


@pytest.mark.parametrize(
    ("script", "why"),
    [
        pytest.param(answering(frame(b"a", compressed=1)), "compressed", id="compressed"),
        pytest.param(answering(frame(b"a", length=1 << 31)), "too long", id="too-long"),
        pytest.param(answering(b"", [("x", "y")]), "without a status", id="no-status"),
        pytest.param(refusing([*OK, ("grpc-status", "12")]), "status 12", id="trailers-only"),
        pytest.param(refusing([(":status", "404")]), "no gRPC", id="another-status"),
        pytest.param(refusing([(":status", "200"), ("content-type", "text/html")]), "no gRPC", id="another-type"),
        pytest.param(lambda h2, stream: h2.reset_stream(stream), "broke the stream off", id="reset"),
        pytest.param(lambda h2, stream: h2.close_connection(), "ended the connection", id="goaway"),
    ],
)
async def test_what_is_no_answer_ends_the_stream(script: Script, why: str) -> None:
    async with server(script) as path:
        found, failed = await called(path)
    assert (found, why in str(failed)) == ([], True), failed


async def test_what_is_no_http2_ends_it_too() -> None:
    async with server(lambda h2, stream: None, raw=b"HTTP/1.1 400 Bad Request\r\n\r\n" * 10) as path:
        found, failed = await called(path, first=0.2)
    assert (found, failed.status) == ([], None)


async def test_a_server_that_says_nothing_is_not_waited_for() -> None:
    async with server(lambda h2, stream: None) as path:
        found, failed = await called(path, first=0.1)
    assert (found, str(failed)) == ([], "no answer within 0.1 s")


async def test_nobody_there_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(OSError):
        await open_unix(str(tmp_path / "none"), 5)
