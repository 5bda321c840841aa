"""Programs that nobody here wrote: nginx and Caddy as backends over mTLS, curl as a client, over both drivers.

A peer that the machine lacks is skipped with a message; GATEWAY_REQUIRE_NGINX=1 (CADDY, CURL) makes that a failure.
"""

import asyncio
import contextlib
import hashlib
import shutil
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from gateway.testing.process import free_port, listening, running
from gateway.testing.wait import until
from tests.absent import absent
from tests.streams_scene import STOCK, WEB, Scene, root, scene

both = pytest.mark.usefixtures("driver")

LARGE = bytes(range(256)) * 12_000  # 3 MB
NGINX = """\
daemon off; master_process off; pid nginx.pid; error_log stderr error;
events {{ worker_connections 64; }}
http {{
  access_log off; client_body_temp_path body; proxy_temp_path p;
  fastcgi_temp_path f; uwsgi_temp_path u; scgi_temp_path s;
  client_max_body_size 64m;
  server {{
    listen 127.0.0.1:{port} ssl;
    ssl_certificate stock.pem; ssl_certificate_key stock.key;
    ssl_client_certificate ca.pem; ssl_verify_client on; ssl_verify_depth 2;
    root {files};
    location /files/ {{ }}
    location /who {{ return 200 "$ssl_client_verify $http_x_forwarded_for $http_te"; }}
    location /empty {{ return 204; }}
    location /gone {{ return 444; }}
    location /upload {{ proxy_pass http://127.0.0.1:{port_plain}; proxy_http_version 1.1; }}
    location /trailer/ {{ alias {files}/files/; chunked_transfer_encoding on; gzip on; gzip_min_length 0; gzip_types *;
      add_header Trailer X-Checksum; add_trailer X-Checksum "abc"; }}
  }}
  server {{ listen 127.0.0.1:{port_plain}; location /upload {{ return 200 "$content_length"; }} }}
}}
"""
CADDY = """\
{{
  admin off
  auto_https off
  storage file_system {folder}/caddy
  servers {{
    strict_sni_host insecure_off
  }}
}}
:{port} {{
  bind 127.0.0.1
  tls {folder}/stock.pem {folder}/stock.key {{
    client_auth {{
      mode require_and_verify
      trusted_ca_cert_file {folder}/ca.pem
    }}
  }}
  root * {files}
  handle /who {{
    respond "SUCCESS {{http.request.header.X-Forwarded-For}} {{http.request.header.Te}}"
  }}
  handle /empty {{
    respond 204
  }}
  handle /gone {{
    abort
  }}
  handle /files/* {{
    file_server
  }}
}}
"""
ROUTES = """\
  - {name: all, match: {paths: ["/*"]}, upstream: stock, allow: [{from: {trust_domains: [cluster.local]}}]}
"""


@dataclass
class Curl:
    """curl as a client with a certificate of its own."""

    it: Scene
    folder: Path

    async def __call__(self, path: str, *arguments: str, code: int = 0) -> tuple[bytes, bytes]:
        """Head and body of the answer. `code`: curl's own verdict."""
        url = path if path.startswith("https:") else f"https://localhost:{self.it.ports['edge']}{path}"
        files = {name: str(self.folder / name) for name in ("ca.pem", "web.pem", "web.key", "head")}
        (self.folder / "head").unlink(missing_ok=True)
        process = await asyncio.create_subprocess_exec(
            str(shutil.which("curl")), "--silent", "--show-error", "--noproxy", "*", "--http1.1", "--max-time", "30",
            "--cacert", files["ca.pem"], "--cert", files["web.pem"], "--key", files["web.key"],
            "--dump-header", files["head"], *arguments, url,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        body, said = await process.communicate()
        assert process.returncode == code, said
        head = self.folder / "head"
        return (head.read_bytes() if head.exists() else b""), body


def nginx(folder: Path, files: Path, port: int) -> list[str]:
    plain = free_port()
    (folder / "nginx.conf").write_text(NGINX.format(port=port, port_plain=plain, files=files))
    return [need("nginx"), "-c", str(folder / "nginx.conf"), "-p", str(folder), "-e", "stderr"]


def caddy(folder: Path, files: Path, port: int) -> list[str]:
    (folder / "Caddyfile").write_text(CADDY.format(port=port, folder=folder, files=files))
    return [need("caddy"), "run", "--config", str(folder / "Caddyfile"), "--adapter", "caddyfile"]


def need(program: str) -> str:
    return shutil.which(program) or absent(program.upper(), f"{program} is not installed")


@contextlib.asynccontextmanager
async def behind(folder: Path, command: Callable[[Path, Path, int], list[str]]) -> AsyncGenerator[Curl]:
    """A gateway in front of a peer, and curl."""
    need("curl")
    files = folder / "www"
    (files / "files").mkdir(parents=True)
    (files / "files" / "large").write_bytes(LARGE)
    (files / "files" / "small").write_text("small\n")
    port = free_port()
    authority = root()
    authority.issue(uri=STOCK, dns=["localhost"]).write(folder, "stock")
    authority.issue(uri=WEB).write(folder, "web")
    authority.write(folder, "ca")
    with running(command(folder, files, port), folder / "peer.log", cwd=folder) as process:
        await asyncio.to_thread(process.wait_for, lambda: listening(port), what="the peer to listen")
        async with scene(folder, routes=ROUTES, url=f"https://127.0.0.1:{port}") as it:
            yield Curl(it, folder)


@pytest.fixture(params=[nginx, caddy], ids=["nginx", "caddy"])
def peer(request: pytest.FixtureRequest) -> Callable[[Path, Path, int], list[str]]:
    command: Callable[[Path, Path, int], list[str]] = request.param
    return command


@both
async def test_what_a_peer_serves_arrives(tmp_path: Path, peer: Callable[[Path, Path, int], list[str]]) -> None:
    async with behind(tmp_path, peer) as curl:
        head, body = await curl("/files/large")
        assert head.startswith(b"HTTP/1.1 200")
        assert hashlib.sha256(body).digest() == hashlib.sha256(LARGE).digest()
        assert (await curl("/files/large", "--range", "5-9"))[1] == LARGE[5:10]
        head, body = await curl("/files/large", "--head")
        assert (b"content-length: %d" % len(LARGE) in head.lower(), body) == (True, head)
        head, body = await curl("/empty")
        assert (head.split()[1], body, b"content-length" in head.lower()) == (b"204", b"", False)
        assert (await curl("/files/none"))[0].split()[1] == b"404"
        (told,) = [line for line in head.lower().split(b"\r\n") if line.startswith(b"x-request-id:")]
        assert len(told) > 30


async def test_a_peer_knows_the_gateway_by_its_certificate_and_hears_who_the_client_is(
    tmp_path: Path, peer: Callable[[Path, Path, int], list[str]]
) -> None:
    async with behind(tmp_path, peer) as curl:
        _, body = await curl("/who", "--header", "X-Forwarded-For: 1.2.3.4", "--header", "TE: trailers")
        assert body.split() == [b"SUCCESS", b"127.0.0.1", b"trailers"]
        await curl(
            f"{curl.it.backend.url}/who", "--insecure", "--cert", "", "--key", "", code=0 if peer is nginx else 56
        )


async def test_a_peer_that_hangs_up_is_a_502_and_the_next_request_is_served(
    tmp_path: Path, peer: Callable[[Path, Path, int], list[str]]
) -> None:
    async with behind(tmp_path, peer) as curl:
        assert (await curl("/gone"))[0].split()[1] == b"502"
        for _ in range(3):
            assert (await curl("/files/small"))[1] == b"small\n"


@both
async def test_uploads_by_length_and_in_chunks_with_and_without_asking_first(tmp_path: Path) -> None:
    async with behind(tmp_path, nginx) as curl:
        file = tmp_path / "upload"
        file.write_bytes(LARGE)
        size = b"%d" % len(LARGE)
        assert (await curl("/upload", "--data-binary", f"@{file}"))[1] == size
        head, body = await curl("/upload", "--data-binary", f"@{file}", "--header", "Expect: 100-continue")
        assert (body, head.startswith(b"HTTP/1.1 100")) == (size, True)
        chunked = ("--upload-file", str(file), "--header", "Transfer-Encoding: chunked")
        assert (await curl("/upload", *chunked))[1] == size


@both
async def test_trailers_of_nginx_reach_curl_where_it_takes_them(tmp_path: Path) -> None:
    async with behind(tmp_path, nginx) as curl:
        asked = ("--header", "TE: trailers", "--header", "Accept-Encoding: gzip")
        head, _ = await curl("/trailer/small", *asked)
        assert b"trailer: x-checksum" in head.lower()
        assert head.lower().rstrip().endswith(b"x-checksum: abc")  # curl writes what follows the body there too
        head, _ = await curl("/trailer/small", "--header", "Accept-Encoding: gzip")
        assert b"checksum" not in head.lower()


async def test_a_client_that_leaves_ends_its_request_at_the_peer(tmp_path: Path) -> None:
    async with behind(tmp_path, nginx) as curl:
        await curl("/files/large", "--limit-rate", "50k", "--max-time", "0.3", "--output", "/dev/null", code=28)
        cluster = curl.it.worker.runtime.metrics.upstream_connections
        await until(lambda: dict(cluster.rows())["stock", "active"] == 0)
        assert (await curl.it.outcome())["reason"] in ("client_gone", None)
