import socket
import ssl
import sys
from pathlib import Path

from gateway.testing.process import free_ports, listening, running
from loadtest import backend
from loadtest.job import BODY
from loadtest.world import certificates_of


def test_our_backend_answers_who_shows_a_certificate_and_counts(tmp_path: Path) -> None:
    certificates_of(tmp_path)
    port, counts = free_ports(2)
    command = [sys.executable, "-m", "loadtest.backend", str(port), str(counts), str(tmp_path)]
    context = ssl.create_default_context(cafile=str(tmp_path / "ca.pem"))
    context.load_cert_chain(tmp_path / "gateway.pem", tmp_path / "gateway.key")
    with running(command, tmp_path / "log") as process:
        process.wait_for(lambda: listening(port) and listening(counts), what="the backend")
        before = backend.handled(counts)
        plain = socket.create_connection(("127.0.0.1", port))
        with context.wrap_socket(plain, server_hostname="localhost") as connection:
            for _ in range(3):  # over one connection
                connection.sendall(b"GET / HTTP/1.1\r\nHost: b\r\n\r\n")
                answer = b""
                while len(answer.partition(b"\r\n\r\n")[2]) < BODY:
                    answer += connection.recv(4096)
                assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
        assert backend.handled(counts) - before - 1 == 3
