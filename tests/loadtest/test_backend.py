import socket
import ssl
from pathlib import Path

import pytest

from gateway.testing.process import free_ports, listening, running
from loadtest import backend
from loadtest.job import BODY, SIZES
from loadtest.world import certificates_of


def answered(connection: ssl.SSLSocket, request: bytes, size: int) -> bytes:
    """The head of the answer, once its whole body is there."""
    connection.sendall(request)
    answer = b""
    while len(answer.partition(b"\r\n\r\n")[2]) < size:
        answer += connection.recv(65536)
    return answer.partition(b"\r\n\r\n")[0]


def trusted(folder: Path) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(folder / "ca.pem"))
    context.load_cert_chain(folder / "gateway.pem", folder / "gateway.key")
    return context


def test_our_backend_answers_who_shows_a_certificate_once_it_has_read_the_body_and_counts(tmp_path: Path) -> None:
    certificates_of(tmp_path)
    port, counts = free_ports(2)
    with running(backend.own_command(port, counts, tmp_path), tmp_path / "log") as process:
        process.wait_for(lambda: listening(port) and listening(counts), what="the backend")
        before = backend.handled(counts)
        plain = socket.create_connection(("127.0.0.1", port))
        with trusted(tmp_path).wrap_socket(plain, server_hostname="localhost") as connection:
            head = b"POST / HTTP/1.1\r\nHost: b\r\nContent-Length: 9\r\n\r\n"
            connection.sendall(head + b"x" * 8)
            assert backend.handled(counts) - before - 1 == 0
            assert answered(connection, b"x", BODY).startswith(b"HTTP/1.1 200 OK\r\n")
            for _ in range(2):  # over the same connection
                assert answered(connection, b"GET / HTTP/1.1\r\nHost: b\r\n\r\n", BODY).startswith(b"HTTP/1.1 200 OK")
        assert backend.handled(counts) - before - 2 == 3


@pytest.mark.skipif(backend.missing() is not None, reason="nginx is not installed")
def test_nginx_as_the_backend_has_larger_answers_and_a_plain_port(tmp_path: Path) -> None:
    certificates_of(tmp_path)
    port, counts, plain = free_ports(3)
    command = backend.command(port, counts, plain, tmp_path, tmp_path)
    with running(command, tmp_path / "log") as process:
        process.wait_for(lambda: listening(port) and listening(plain), what="the backend")
        raw = socket.create_connection(("127.0.0.1", port))
        with trusted(tmp_path).wrap_socket(raw, server_hostname="localhost") as connection:
            for size, path in ((BODY, "/x/items/7"), (SIZES[0], f"/x/bytes/{SIZES[0]}")):
                head = answered(connection, f"GET {path} HTTP/1.1\r\nHost: b\r\n\r\n".encode(), size)
                assert f"Content-Length: {size}".encode() in head
        with socket.create_connection(("127.0.0.1", plain)) as open_to_all:
            open_to_all.sendall(b"POST /v1/traces HTTP/1.0\r\nContent-Length: 2\r\n\r\nxx")
            assert open_to_all.recv(4096).startswith(b"HTTP/1.1 200 OK")
