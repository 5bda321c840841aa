"""The kinds of sinks, each against the real other side."""

import json
import os
import select
import socket
import ssl
import threading
from collections.abc import Callable, Generator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from gateway.kernel.export import LogLine
from gateway.stages.record.sinks.file import File
from gateway.stages.record.sinks.otlp import Otlp
from gateway.stages.record.sinks.stdout import Stdout
from gateway.stages.record.sinks.syslog import Syslog
from gateway.testing.ca import Authority
from gateway.testing.tls import server_context
from gateway.testing.wait import wait_for

LINES = [
    b'{"type":"decision","time":"2026-11-22T02:10:21.153023Z","seq":%d,"stream":"here-w0"}\n' % seq for seq in range(3)
]


# ---- standard output


def test_stdout_writes_whole_lines_in_pieces_that_a_pipe_takes_whole() -> None:
    reading, writing = os.pipe()
    lines = [b"x" * 1500 + b"\n" for _ in range(5)]
    Stdout(writing)(lines)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        assert pipe.read() == (b"x" * 1500 + b"\n") * 5
    assert lines == []


def test_stdout_that_does_not_block_is_waited_for() -> None:
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    got = bytearray()

    def read() -> None:
        while piece := os.read(reading, 1 << 16):
            got.extend(piece)

    reader = threading.Thread(target=read)
    many = [b"y" * 999 + b"\n" for _ in range(300)]  # more than a pipe holds
    begun = threading.Timer(0.05, reader.start)
    begun.start()
    Stdout(writing)(many)
    os.close(writing)
    begun.join()
    reader.join()
    os.close(reading)
    assert bytes(got) == (b"y" * 999 + b"\n") * 300


# ---- a second file


def test_a_file_is_appended_to_and_made_anew_when_it_was_moved(tmp_path: Path) -> None:
    path = tmp_path / "copy.jsonl"
    path.write_bytes(b"before\n")
    sink = File(path)
    sink(LINES[:1])
    path.rename(tmp_path / "copy.1")
    sink(LINES[1:])
    assert (tmp_path / "copy.1").read_bytes() == b"before\n" + LINES[0]
    assert path.read_bytes() == LINES[1] + LINES[2]
    assert path.stat().st_mode & 0o777 == 0o640


def test_a_full_disk_is_an_error_and_the_next_line_begins_a_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    sink, write = File(tmp_path / "copy"), os.write
    sizes = [10]

    def full(descriptor: int, data: bytes) -> int:
        if sizes:
            return write(descriptor, data[: sizes.pop()])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    lines = LINES[:2]
    with pytest.raises(OSError, match="No space"):
        sink(lines)
    assert lines == LINES[:2]
    monkeypatch.setattr(os, "write", write)
    sink(lines)
    assert (tmp_path / "copy").read_bytes() == LINES[0][:10] + b"\n" + LINES[0] + LINES[1]


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "copy").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match=r"loop|links"):
        File(tmp_path / "copy")(LINES[:1])


# ---- syslog


def judge(message: bytes, line: bytes) -> None:
    head, version, time, host, app, process, kind, data, text = (
        message[: message.index(b">") + 1],
        *message[message.index(b">") + 1 :].split(b" ", 7),
    )
    assert head == b"<110>"  # log audit, informational
    assert (version, app, kind, data) == (b"1", b"gateway", b"decision", b"-")
    assert (time, host) == (b"2026-11-22T02:10:21.153023Z", socket.gethostname().encode())
    assert process == str(os.getpid()).encode()
    assert text == line.rstrip(b"\n")


def frames(data: bytes) -> list[bytes]:
    """RFC 6587 octet counting."""
    found = []
    while data:
        length, _, rest = data.partition(b" ")
        found.append(rest[: int(length)])
        data = rest[int(length) :]
    return found


@pytest.mark.parametrize("kind", ["unix", "udp"])
def test_datagrams_carry_one_message_each(kind: str, tmp_path: Path) -> None:
    family = socket.AF_UNIX if kind == "unix" else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as server:
        server.bind(str(tmp_path / "log") if kind == "unix" else ("127.0.0.1", 0))
        server.settimeout(5)
        address = f"unix://{tmp_path}/log" if kind == "unix" else f"udp://127.0.0.1:{server.getsockname()[1]}"
        Syslog(address)(list(LINES))
        for line in LINES:
            judge(server.recv(65536), line)


@contextmanager
def stream_server(listening: socket.socket, context: ssl.SSLContext | None = None) -> Generator[list[bytearray]]:
    """Collects what comes over each connection."""
    got: list[bytearray] = []

    def serve() -> None:
        while True:
            try:
                made, _ = listening.accept()
            except OSError:
                return
            held = bytearray()
            got.append(held)
            with made if context is None else context.wrap_socket(made, server_side=True) as connected:
                while piece := connected.recv(65536):
                    held.extend(piece)
                    if held.endswith(b'"stop"}'):
                        break

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield got
    finally:
        listening.shutdown(socket.SHUT_RDWR)
        thread.join()


def test_a_stream_is_framed_by_counts_and_made_anew_when_the_server_closed_it() -> None:
    stop = b'{"type":"decision","time":"2026-11-22T02:10:21.153023Z","x":"stop"}\n'
    with closing(socket.create_server(("127.0.0.1", 0))) as listening, stream_server(listening) as got:
        sink = Syslog(f"tcp://127.0.0.1:{listening.getsockname()[1]}")
        sink([*LINES, stop])
        wait_for(lambda: got and got[0].endswith(b'"stop"}'))
        connected = sink._socket
        assert connected is not None
        select.select([connected], [], [], 5)  # the end of the connection is there
        sink(list(LINES))
        wait_for(lambda: len(got) == 2 and len(frames(bytes(got[1]))) == 3)
        sink._give_up()
    for message, line in zip(frames(bytes(got[0])), [*LINES, stop], strict=True):
        judge(message, line)
    for message, line in zip(frames(bytes(got[1])), LINES, strict=True):
        judge(message, line)


def test_a_local_stream_serves_where_there_are_no_datagrams(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "log"))
        listening.listen()
        with stream_server(listening) as got:
            sink = Syslog(f"unix://{tmp_path}/log")
            sink(list(LINES))
            wait_for(lambda: got and len(frames(bytes(got[0]))) == 3)
            sink._give_up()


def test_tls_proves_the_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    authority, stranger = Authority("logs"), Authority("others")
    (tmp_path / "ca.pem").write_bytes(authority.pem())
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    context = server_context(authority.issue(dns=["localhost"]))
    with closing(socket.create_server(("127.0.0.1", 0))) as listening, stream_server(listening, context) as got:
        sink = Syslog(f"tls://localhost:{listening.getsockname()[1]}")
        sink(LINES[:1])
        sink(LINES[1:])
        wait_for(lambda: got and len(frames(bytes(got[0]))) == 3)
        assert len(got) == 1
        sink._give_up()
    with closing(socket.create_server(("127.0.0.1", 0))) as listening:
        wait = _refused(listening, server_context(stranger.issue(dns=["localhost"])))
        with pytest.raises(ssl.SSLCertVerificationError):
            Syslog(f"tls://localhost:{listening.getsockname()[1]}")(LINES[:1])
        wait()


def _refused(listening: socket.socket, context: ssl.SSLContext) -> Callable[[], object]:
    def serve() -> None:
        made, _ = listening.accept()
        with made, pytest.raises(OSError):
            context.wrap_socket(made, server_side=True)

    thread = threading.Thread(target=serve)
    thread.start()
    return thread.join


def test_nobody_there_is_an_error_and_loses_no_line(tmp_path: Path) -> None:
    lines = list(LINES)
    with pytest.raises(FileNotFoundError):
        Syslog(f"unix://{tmp_path}/nobody")(lines)
    assert lines == LINES


# ---- OTLP


def test_otlp_carries_the_line_and_names_its_place() -> None:
    sent: list[LogLine] = []
    line = LINES[1][:-2] + b',"trace_id":"0af7651916cd43dd8448eb211c80319c"}\n'
    lines = [line]
    Otlp(sent.extend)(lines)
    (one,) = sent
    assert one.body.encode() == line.rstrip(b"\n")
    assert one.attributes == {
        "event.name": "gateway.audit.decision",
        "gateway.audit.stream": "here-w0",
        "gateway.audit.seq": 1,
    }
    assert (one.time, one.trace_id) == (1795313421153023000, json.loads(line)["trace_id"])
    assert lines == []
