"""Client certificates that are asked about (OCSP): revoked in time, and a responder that is down.

Figures that the closing notes quote are printed (`pytest -s`); the bounds that are asserted hold on a busy machine too.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator
from pathlib import Path

from gateway.testing.ca import Authority
from gateway.testing.upstream import Call, answer, head
from gateway.testing.wait import BOUND
from tests.flows.gateway_process import HEAD
from tests.flows.trust_scene import WEB, Scene, asked, scene
from tests.responder import REVOKED, Responder, Said, responder
from tests.serving import Client, get


def asking(url: str, more: str = "") -> str:
    """HEAD, with a responder in the place of lists."""
    return HEAD.replace("crl: certs/cluster.crl", f'ocsp: {{{{responder: "{url}", refresh: 1s{more}}}}}')


@contextlib.asynccontextmanager
async def place(folder: Path, *arguments: str, more: str = "") -> AsyncGenerator[tuple[Scene, Responder]]:
    async with (
        responder(Authority("cluster.local")) as answers,
        scene(folder, *arguments, head=asking(answers.url, more)) as held,
    ):
        answers.authority = held.root
        yield held, answers


async def refused(client: Client, began: float) -> float:
    """Seconds from `began` until an open connection is answered 401."""
    while True:
        got = await asked(client, "/mesh")
        waited = time.monotonic() - began
        if got.status == 401:
            assert got.reason == "certificate_untrusted"  # on the wire; the record says revoked
            return waited
        assert got.status == 200
        assert waited < BOUND
        await asyncio.sleep(0.01)


async def drip(call: Call) -> None:
    """An answer that stays open."""
    if call.target == b"/mesh":
        await call.send(head(200, [(b"content-length", b"100")]) + b"x")
        await call.gone()
    else:
        await call.send(head(200, [(b"content-length", b"2")]) + b"ok")


async def test_M17_a_revocation_ends_what_is_open_and_an_outage_costs_503_those_it_never_answered_for(
    tmp_path: Path,
) -> None:
    async with place(tmp_path, "--workers", "2") as (held, answers):
        await _revoked(held, answers)
        await _down(held, answers)
    log = b"".join(path.read_bytes() for path in (tmp_path / "audit").glob("*.jsonl"))
    assert b'"reason":"certificate_revoked"' in log


async def _revoked(held: Scene, answers: Responder) -> None:
    async with contextlib.AsyncExitStack() as stack:
        stolen, other = answers.issue(uri=WEB), answers.issue(uri=WEB)
        connections = [await stack.enter_async_context(held.connection(stolen)) for _ in range(6)]  # over both workers
        for client in connections:
            assert (await asked(client, "/mesh")).status == 200
        held.backend.script = drip
        streams = [await stack.enter_async_context(held.connection(stolen)) for _ in range(2)]
        for stream in streams:
            await stream.send(get("/mesh", host="localhost"))
            assert (await stream.reader.readuntil(b"\r\n\r\nx")).startswith(b"HTTP/1.1 200")
        spared = await stack.enter_async_context(held.connection(other))
        await spared.send(get("/mesh", host="localhost"))
        assert (await spared.reader.readuntil(b"\r\n\r\nx")).startswith(b"HTTP/1.1 200")
        answers.by_serial[stolen.serial] = Said(status=REVOKED)
        began = time.monotonic()
        for stream in streams:
            assert await stream.closed()
        ended = time.monotonic() - began
        waited = [await refused(client, began) for client in connections]
        assert max(*waited, ended) < 10
        assert (await held.ask("/mesh", issued=stolen)).status == 401
        assert spared.reader.at_eof() is False
        assert await held.metric("ocsp_requests_total", authority="cluster.local", result="revoked") >= 1
        print(f"\n2 workers, refresh 1s: refused {max(waited):.2f} s, streams ended {ended:.2f} s after")


async def _down(held: Scene, answers: Responder) -> None:
    held.backend.script = answer(body=b"ok")
    known, new = answers.issue(uri=WEB), answers.issue(uri=WEB)
    async with held.connection(known) as client, held.connection(new) as stranger:
        assert (await asked(client, "/mesh")).status == 200
        answers.status = 500
        bearer = held.bearer()
        end = time.monotonic() + 2.5  # past `refresh`: the last answer is bridged
        while time.monotonic() < end:
            assert (await asked(client, "/mesh")).status == 200
            got = await asked(stranger, "/mesh")
            assert (got.status, got.reason) == (503, "keys_unavailable")
            assert got.header(b"retry-after") is not None
            assert (await held.ask("/api/x", bearer)).status == 200
        assert "ocsp cluster.local: " in await held.admin("/readyz?verbose")
        assert (await held.admin("/readyz?verbose")).endswith("ready\n")
        answers.status = 200
        while (got := await asked(stranger, "/mesh")).status == 503:
            assert time.monotonic() < end + BOUND
            await asyncio.sleep(0.05)
        assert got.status == 200
        while "ocsp" in await held.admin("/readyz?verbose"):
            assert (await asked(client, "/mesh")).status == 200  # by the other worker
            assert time.monotonic() < end + BOUND
            await asyncio.sleep(0.05)
    assert "cannot be asked about (OCSP)" in held.gateway.process.output
