"""CORS, rewriting and redirects of the export, as a real Envoy answers them."""

import ssl
from pathlib import Path

from gateway.testing.client import send
from gateway.testing.process import free_port
from gateway.testing.upstream import Call, Upstream
from tests.convert.envoy.running import envoy, exported, write

FILE = """\
version: 1
listeners:
  edge: {address: "127.0.0.1:PORT", tls: {certificate: certs/edge.pem, key: certs/edge.key}}
upstreams:
  echo: {endpoints: ["http://127.0.0.1:PORT2"]}
routes:
  - name: pages
    match: {paths: ["/pages/*"], methods: [GET]}
    public: true
    cors: {origins: ["https://app.example.com"], methods: [GET]}
    upstream: echo
  - {name: moved, match: {paths: [/old]}, public: true, redirect: {to: "https://new.example/x?y=1", status: 301}}
  - name: inner
    match: {paths: ["/api/*"]}
    public: true
    upstream: echo
    rewrite: {prefix: /inner, host: inner.example}
    forward: {headers: {x-user: "'fixed'"}}
    request_headers: {set: {x-set: "100%"}, remove: [x-secret]}
"""


async def _echo(call: Call) -> None:
    """Answers with the head that it read."""
    call.writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(call.head) + call.head)


async def test_a_real_envoy_answers_as_the_file_says(folder: Path) -> None:
    port = free_port()
    path = folder / "answers.yaml"
    context = ssl.create_default_context(cafile=str(folder / "certs" / "cluster-ca.pem"))
    context.check_hostname = False
    async with Upstream(_echo) as backend:
        path.write_text(FILE.replace("PORT2", str(backend.port)).replace("PORT", str(port)), encoding="utf-8")
        found = exported(path)
        assert found.not_carried == ()
        with envoy(write(found, folder / "answers.json"), port):
            for origin, status in (("https://app.example.com", 200), ("https://evil.example", 403)):
                fields = [("Origin", origin), ("Access-Control-Request-Method", "GET")]
                answer = await send(port, "OPTIONS", "/pages/1", tls=context, headers=fields)
                assert answer.status == status
                assert (answer.header("access-control-allow-origin") == origin) is (status == 200)
            fields = [("Origin", "https://app.example.com"), ("Access-Control-Request-Method", "DELETE")]
            assert (await send(port, "OPTIONS", "/pages/1", tls=context, headers=fields)).status == 404
            moved = await send(port, "GET", "/old", tls=context)
            assert (moved.status, moved.header("location")) == (301, "https://new.example/x?y=1")
            fields = [(name, "mine") for name in ("x-set", "x-user", "x-secret", "authorization", "x-original-url")]
            told = (await send(port, "GET", "/api/a/b?q=1", tls=context, headers=fields)).text.lower().split("\r\n")
    assert told[0] == "get /inner/a/b?q=1 http/1.1"
    assert "host: inner.example" in told
    watched = ("x-set", "x-user", "x-secret", "authorization", "x-original-url")
    assert sorted(line for line in told if line.startswith(watched)) == ["x-set: 100%", "x-user: fixed"]
