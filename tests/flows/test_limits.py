"""Limits as callers and operators meet them: two gateways, one Redis server, real requests."""

import asyncio
import contextlib
import json
import re
import ssl
from contextlib import ExitStack
from pathlib import Path

import httpx2

from gateway.testing.issuer import Issuer, tampered
from gateway.testing.process import free_port
from gateway.testing.wait import until, wait_for
from tests.flows.gateway_process import HEAD, Served, prepared, serving
from tests.plain import NO_TLS
from tests.redis_server import redis_server

ROUTES = """
store: redis://127.0.0.1:{port}
rate_limits:
  per-address: {{rate: 20/hour, key: [client_ip]}}
  everyone: {{rate: 1000/hour, key: []}}
  tried: {{rate: 5/hour, key: [client_ip], mode: shadow}}
  strict: {{rate: 1000/hour, key: [client_ip], on_store_failure: deny}}
routes:
  - {{name: limited, match: {{paths: [/limited]}}, public: true, respond: {{status: 200, body: ok}},
     rate_limits: [per-address, everyone, tried]}}
  - {{name: strict, match: {{paths: [/strict]}}, public: true, respond: {{status: 200, body: ok}},
     rate_limits: [strict]}}
audit: {{directory: audit}}
"""


def trust(certs: Path) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(certs / "cluster-ca.pem"))


async def at_once(gateways: list[Served], certs: Path, count: int) -> list[httpx2.Response]:
    """So many requests at one time to each."""
    async with httpx2.AsyncClient(verify=trust(certs), timeout=30) as client:
        return await asyncio.gather(*(client.get(f"{one.url}/limited") for one in gateways for _ in range(count)))


def audited(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in (folder / "audit").rglob("*.jsonl"))


def metric(gateway: Served, line: str) -> float:
    text = httpx2.get(f"http://127.0.0.1:{gateway.admin}/metrics", verify=NO_TLS).text
    found = re.search(rf"^{re.escape(line)} (\S+)$", text, re.MULTILINE)
    return float(found[1]) if found else -1.0


def test_R2_R8_R10_two_gateways_share_a_budget_and_outlive_their_store(tmp_path: Path) -> None:
    port = free_port()
    certs = prepared(tmp_path).path
    with ExitStack() as running:
        with redis_server(tmp_path / "redis", port=port):
            gateways = []
            for name in ("one", "two"):
                folder = tmp_path / name
                folder.mkdir()
                (folder / "certs").symlink_to(certs)
                gateways.append(running.enter_context(serving(folder, ROUTES.format(port=port))))
            one, two = gateways
            answers = asyncio.run(at_once(gateways, certs, 15))
            assert sorted(answer.status_code for answer in answers) == [200] * 20 + [429] * 10
            assert metric(one, "gateway_rate_limit_store_up") == 1
            shadowed = [
                metric(g, 'gateway_shadow_decisions_total{effect="limit",kind="limit",route="limited"}')
                for g in gateways
            ]
            assert sum(shadowed) >= 15  # of the twenty that passed; those that were refused are told of as well
            assert metric(one, 'gateway_rate_limit_decisions_total{limit="tried",result="shadow_refused"}') > 0
            assert b'"shadow":[{"kind":"limit","name":"tried","effect":"limit"}]' in audited(tmp_path / "one")
            with httpx2.Client(verify=trust(certs)) as client:
                refused = client.get(f"{one.url}/limited")
        assert refused.json()["reason"] == "rate_limited"
        assert 1 <= int(refused.headers["retry-after"]) <= 3600
        assert refused.headers["ratelimit-policy"] == '"per-address";q=20;w=3600'  # `everyone` is shared: left out
        assert re.fullmatch(r'"per-address";r=0;t=\d+', refused.headers["ratelimit"])
        with httpx2.Client(verify=trust(certs)) as client:
            wait_for(lambda: metric(one, "gateway_rate_limit_store_up") == 0, what="the store to be missed")
            strict = client.get(f"{one.url}/strict")
            assert (strict.status_code, strict.json()["reason"]) == (503, "store_unavailable")
            assert strict.headers["retry-after"] == "1"
            wait_for(lambda: metric(two, "gateway_rate_limit_store_up") == 0, what="the store to be missed there too")
            shares = [client.get(f"{two.url}/limited").status_code for _ in range(12)]
            assert shares == [200] * 10 + [429] * 2  # half the budget: it came second, and knew of two leases
            with redis_server(tmp_path / "again", port=port):
                wait_for(lambda: metric(one, "gateway_rate_limit_store_up") == 1, what="the store to be found")
                assert client.get(f"{one.url}/strict").status_code == 200
        told = [line for line in audited(tmp_path / "one").splitlines() if b'"type":"store"' in line]
        assert [json.loads(line)["state"] for line in told[:3]] == ["up", "down", "up"]  # R8: which decisions it judged
        assert json.loads(told[1])["store"] == f"redis://127.0.0.1:{port}/0"


QUOTA = """
store: redis://127.0.0.1:{port}
rate_limits:
  daily: {{rate: [100/second, 5/day], key: [client_ip], on_store_failure: deny}}
routes:
  - {{name: all, match: {{paths: [/all]}}, public: true, respond: {{status: 200, body: ok}}, rate_limits: [daily]}}
audit: {{directory: audit}}
"""


def test_R13_a_daily_quota_outlives_the_gateway_and_a_store_that_keeps_what_it_knows(tmp_path: Path) -> None:
    port = free_port()
    certs = prepared(tmp_path).path
    kept = ("--appendonly", "yes", "--appendfsync", "always")

    def sent(gateway: Served, count: int) -> list[int]:
        with httpx2.Client(verify=trust(certs)) as client:
            return [client.get(f"{gateway.url}/all").status_code for _ in range(count)]

    with redis_server(tmp_path / "redis", *kept, port=port) as server:
        with serving(tmp_path, QUOTA.format(port=port)) as gateway:
            assert sent(gateway, 3) == [200] * 3
            gateway.process.popen.kill()
        with serving(tmp_path, QUOTA.format(port=port)) as gateway:
            assert sent(gateway, 1) == [200]
            server.process.popen.kill()
            server.process.wait()
            with redis_server(tmp_path / "redis", *kept, port=port):
                wait_for(lambda: metric(gateway, "gateway_rate_limit_store_up") == 1, what="the store to be found")
                assert sent(gateway, 2) == [200, 429]


BUSY = """
store: redis://127.0.0.1:{port}
upstreams:
  slow: {{endpoints: ["http://127.0.0.1:{backend}"]}}
rate_limits:
  busy: {{concurrency: 2, key: [client_ip]}}
routes:
  - {{name: all, match: {{paths: ["/*"]}}, public: true, upstream: slow, rate_limits: [busy]}}
audit: {{directory: audit}}
"""


async def test_a_place_is_given_back_when_an_answer_ends_or_its_client_leaves(tmp_path: Path) -> None:
    port, certs = free_port(), prepared(tmp_path).path
    free = asyncio.Event()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            while head := await reader.readuntil(b"\r\n\r\n"):
                if b" /slow" in head:
                    await free.wait()
                writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
        writer.close()

    backend = await asyncio.start_server(answer, "127.0.0.1", 0)
    text = BUSY.format(port=port, backend=backend.sockets[0].getsockname()[1])
    with redis_server(tmp_path / "redis", port=port) as server, ExitStack() as running:
        gateway = await asyncio.to_thread(running.enter_context, serving(tmp_path, text))

        def inside() -> int:
            with server.client() as client:
                return sum(int(client.zcard(key)) for key in client.keys("*") if "processes" not in key)

        async with httpx2.AsyncClient(verify=trust(certs), timeout=30) as client:
            slow = [asyncio.create_task(client.get(f"{gateway.url}/slow")) for _ in range(2)]
            await until(lambda: inside() == 2, what="two to be in")
            refused = await client.get(f"{gateway.url}/quick")
            assert (refused.status_code, refused.headers["retry-after"]) == (429, "1")
            assert refused.headers["ratelimit-policy"] == '"busy";q=2;qu="concurrent-requests"'
            assert refused.headers["ratelimit"] == '"busy";r=0'
            slow[0].cancel()  # its connection is closed
            await until(lambda: inside() == 1, what="the place of who left")
            assert (await client.get(f"{gateway.url}/quick")).status_code == 200
            await until(lambda: inside() == 1, what="the place of who was answered")
            free.set()
            assert (await slow[1]).status_code == 200
            await until(lambda: inside() == 0, what="the last place")
        await asyncio.to_thread(running.close)
    backend.close()


FAILURES = """
issuers:
  corp: {{issuer: "https://issuer.example", audiences: [api-service], jwks: keys.json}}
rate_limits:
  bad: {{rate: 3/hour, key: [client_ip]}}
routes:
  - name: all
    match: {{paths: ["/*"]}}
    respond: {{status: 200, body: ok}}
    allow: [{{from: {{request_principals: ["*"]}}}}]
audit: {{directory: audit}}
"""


def test_R7_an_ipv6_network_that_fails_is_shut_out_before_anything_is_verified(tmp_path: Path) -> None:
    behind = "    trusted_proxies: [127.0.0.1/32]\n    on_failed_authentication: bad\nadmin:"
    certs, issuer = prepared(tmp_path).path, Issuer("https://issuer.example")
    (tmp_path / "keys.json").write_text(json.dumps(issuer.jwks()))
    good = issuer.token()
    head = HEAD.replace("admin:", behind, 1)
    with serving(tmp_path, FAILURES.format(), head=head) as gateway, httpx2.Client(verify=trust(certs)) as client:

        def sent(address: str, token: str | None) -> tuple[int, str]:
            headers = {"x-forwarded-for": address} | ({"authorization": f"Bearer {token}"} if token else {})
            answer = client.get(gateway.url, headers=headers)
            return answer.status_code, answer.json()["reason"] if answer.status_code != 200 else ""

        def verified() -> float:
            text = httpx2.get(f"http://127.0.0.1:{gateway.admin}/metrics", verify=NO_TLS).text
            rows = re.findall(r"^gateway_authentications_total\{.*\} (\S+)$", text, re.MULTILINE)
            return sum(map(float, rows))

        for number in range(3):
            assert sent(f"2001:db8::{number}", tampered(good, sub="mallory")) == (401, "token_signature")
        before = verified()
        assert sent("2001:db8::dead:beef", tampered(good, sub="mallory")) == (429, "rate_limited")
        assert sent("2001:db8::1", good) == (429, "rate_limited")
        assert verified() == before
        assert sent("2001:db8::1", None) == (401, "credentials_missing")
        assert sent("2001:db8:0:1::1", good) == (200, "")
        for _ in range(3):
            assert sent("::ffff:192.0.2.7", tampered(good, sub="mallory"))[0] == 401
        assert sent("192.0.2.7", good) == (429, "rate_limited")  # the same client, however its address is written
        assert sent("192.0.2.8", good) == (200, "")
