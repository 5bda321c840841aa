"""The backend: 1 kB over mTLS, kept connections. nginx where it is, else this module as a program.

It counts what reached it: requests of a window are told by the backend, whatever made the load. On a port of its own it
answers with that count, as nginx' stub_status words it; on a third one it takes anything without TLS, and under /bytes/
it has larger answers (nginx only). Bodies are sent to this module's own: nginx would answer before it has read them.
"""

import asyncio
import getpass
import os
import shutil
import socket
import ssl
import sys
from pathlib import Path
from typing import cast

import httptools

from loadtest.job import BODY, SIZES

try:
    import uvloop as loops
except ImportError:
    import asyncio as loops  # type: ignore[no-redef]

_NGINX = """
daemon off;
{user}
worker_processes 1;
pid {directory}/nginx.pid;
error_log {directory}/error.log error;
events {{ worker_connections 4096; }}
http {{
  access_log off;
  client_body_temp_path {directory}/body; proxy_temp_path {directory}/proxy; fastcgi_temp_path {directory}/f;
  uwsgi_temp_path {directory}/u; scgi_temp_path {directory}/s;
  keepalive_requests 1000000000; keepalive_timeout 600s;
  server {{
    listen 127.0.0.1:{port} ssl backlog=4096;
    ssl_protocols TLSv1.3;
    ssl_certificate {certificates}/backend.pem; ssl_certificate_key {certificates}/backend.key;
    ssl_client_certificate {certificates}/ca.pem; ssl_verify_client on;
    client_max_body_size 0;
    default_type application/octet-stream;
    location / {{ return 200 "{body}"; }}
    location ~ "/bytes/([0-9]+)$" {{ alias {directory}/bytes-$1; }}
  }}
  server {{ listen 127.0.0.1:{counts}; location / {{ stub_status; }} }}
  server {{
    listen 127.0.0.1:{plain} backlog=4096;
    default_type application/octet-stream;
    location / {{ return 200 "{body}"; }}
  }}
}}
"""
_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nContent-Length: %d\r\n\r\n%b" % (
    BODY,
    b"x" * BODY,
)


def missing() -> str | None:
    """Why this machine's backend has no plain port and no other sizes; None when it has them."""
    return None if shutil.which("nginx") else "apt-get install nginx (as the backend)"


def own_command(port: int, counts: int, certificates: Path) -> list[str]:
    """What to start where bodies are sent."""
    return [sys.executable, "-m", "loadtest.backend", str(port), str(counts), str(certificates)]


def command(port: int, counts: int, plain: int, directory: Path, certificates: Path) -> list[str]:
    """What to start."""
    nginx = shutil.which("nginx")
    if nginx is None:
        return own_command(port, counts, certificates)
    for size in SIZES:
        (directory / f"bytes-{size}").write_bytes(b"x" * size)
    file = directory / "nginx.conf"
    user = f"user {getpass.getuser()};" if os.geteuid() == 0 else ""  # it reads files of ours
    ports = {"port": port, "counts": counts, "plain": plain}
    file.write_text(_NGINX.format(user=user, directory=directory, certificates=certificates, body="x" * BODY, **ports))
    return [nginx, "-c", str(file), "-p", str(directory), "-e", "stderr"]


def handled(counts: int) -> int:
    """How many requests the backend has answered, those for this number among them. Raises OSError."""
    with socket.create_connection(("127.0.0.1", counts), timeout=5) as connection:
        connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
        answer = b""
        while piece := connection.recv(4096):
            answer += piece
    return int(answer.split(b"requests")[1].split()[2])


class Count:
    """How many were answered."""

    def __init__(self) -> None:
        self.requests = 0


class Backend(asyncio.Protocol):
    """Answers each request once all of it is there."""

    def __init__(self, count: Count) -> None:
        self._count = count

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._parser = httptools.HttpRequestParser(self)

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_message_complete(self) -> None:
        self._count.requests += 1
        self._transport.write(_ANSWER)


async def serve(port: int, counts: int, certificates: Path) -> None:
    """Until the process is ended."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.load_cert_chain(certificates / "backend.pem", certificates / "backend.key")
    context.load_verify_locations(certificates / "ca.pem")
    context.verify_mode = ssl.CERT_REQUIRED
    count, loop = Count(), asyncio.get_running_loop()

    async def tell(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        count.requests += 1
        writer.write(b"HTTP/1.0 200 OK\r\n\r\nserver accepts handled requests\n 0 0 %d\n" % count.requests)
        writer.close()

    await asyncio.start_server(tell, "127.0.0.1", counts)
    server = await loop.create_server(lambda: Backend(count), "127.0.0.1", port, ssl=context, backlog=1024)
    await server.serve_forever()


if __name__ == "__main__":
    loops.run(serve(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])))
