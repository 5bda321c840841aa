"""One address speaks for several workers."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from unittest import mock

import httpx2

from gateway.admin import AdminCall, AdminServer, Check, Reloaded, Worker, Workers, bind_admin, worker_app
from tests.admin.scene import BEARER, Gateway, serving


@asynccontextmanager
async def worker(gateway: Gateway, path: Path) -> AsyncIterator[Path]:
    server = AdminServer(worker_app(gateway.source()), bind_admin(str(path), None))
    await server.start()
    try:
        yield path
    finally:
        await server.stop()
        path.unlink()


@asynccontextmanager
async def two(directory: Path, first: Gateway, second: Gateway) -> AsyncIterator[httpx2.AsyncClient]:
    async with AsyncExitStack() as stack:
        sockets = [
            await stack.enter_async_context(worker(gateway, directory / f"w{number}.sock"))
            for number, gateway in enumerate((first, second))
        ]
        source = Workers(lambda: [Worker(number, path) for number, path in enumerate(sockets)])
        yield await stack.enter_async_context(serving(source))


async def test_metrics_are_summed(tmp_path: Path) -> None:
    first, second = Gateway(), Gateway()
    for gateway in (first, second):
        gateway.metrics.requests.labels("r", "GET", "200").inc(2)
        gateway.metrics.request_duration.labels("r").observe(0.3)
        gateway.metrics.requests_in_flight.inc()
        gateway.metrics.config_reloads.labels("success").inc()
    async with two(tmp_path, first, second) as client:
        text = (await client.get("/metrics")).text
    assert 'gateway_requests_total{method="GET",route="r",status="200"} 4.0' in text
    assert 'gateway_request_duration_seconds_count{route="r"} 2.0' in text
    assert "gateway_requests_in_flight 2.0" in text
    assert 'gateway_config_reloads_total{result="success"} 1.0' in text
    assert text.count("# TYPE gateway_requests_total counter") == 1


async def test_ready_is_when_all_are(tmp_path: Path) -> None:
    first, second = Gateway(), Gateway()
    async with two(tmp_path, first, second) as client:
        assert (await client.get("/readyz")).status_code == 200
        second.checks = [Check("audit", ok=False, detail="disk full")]
        answer = await client.get("/readyz?verbose")
        assert answer.status_code == 503
        assert "[-] worker 1 audit: disk full\n" in answer.text


async def test_status_lists_them(tmp_path: Path) -> None:
    async with two(tmp_path, Gateway(), Gateway()) as client:
        told = (await client.get("/status", headers=BEARER)).json()
    assert [one["worker"] for one in told["workers"]] == [0, 1]


async def test_reload_and_drain_reach_all_and_are_recorded_once(tmp_path: Path) -> None:
    first, second = Gateway(), Gateway()
    async with two(tmp_path, first, second) as client:
        assert (await client.post("/reload", headers=BEARER)).json() == {"ok": True, "digest": "c0ffee", "errors": []}
        assert (await client.post("/drain", headers=BEARER)).status_code == 202
    assert (first.reloads, second.reloads, first.drains, second.drains) == (1, 1, 1, 1)
    assert first.calls == [AdminCall("reload", 200, "127.0.0.1"), AdminCall("drain", 200, "127.0.0.1")]
    assert second.calls == []


async def test_one_that_does_not_take_the_file_over_makes_the_reload_fail(tmp_path: Path) -> None:
    first = Gateway(reloaded=Reloaded(False, "old", ("f:1:1: error: no",)))
    second = Gateway(reloaded=Reloaded(False, "old", ("f:1:1: error: no",)))
    async with two(tmp_path, first, second) as client:
        answer = await client.post("/reload", headers=BEARER)
    assert (answer.status_code, answer.json()["errors"]) == (422, ["f:1:1: error: no"])  # each error once


async def test_a_worker_that_does_not_answer_is_told_of_and_nothing_hangs(tmp_path: Path) -> None:
    gateway = Gateway()
    gateway.metrics.requests.labels("r", "GET", "200").inc(2)
    async with worker(gateway, tmp_path / "w0.sock") as path:
        source = Workers(lambda: [Worker(0, path), Worker(1, tmp_path / "gone.sock")])
        async with serving(source) as client:
            ready = await client.get("/readyz")
            assert (ready.status_code, ready.text) == (503, "not ready: worker 1\n")
            assert "gateway_requests_total" in (await client.get("/metrics")).text
            told = (await client.get("/status", headers=BEARER)).json()
            assert told["workers"][1] == {"worker": 1, "error": "does not answer"}
            assert (await client.post("/reload", headers=BEARER)).status_code == 422


async def test_none_is_not_ready() -> None:
    async with serving(Workers(list)) as client:
        assert (await client.get("/readyz")).text == "not ready: workers\n"
        assert (await client.post("/reload", headers=BEARER)).status_code == 422


async def test_counters_never_fall_when_a_worker_is_replaced(tmp_path: Path) -> None:
    source = Workers(lambda: [Worker(0, tmp_path / "w0.sock")])
    for pid in (100, 101, 102):  # each process dies and is replaced
        gateway = Gateway()
        gateway.metrics.requests.labels("r", "GET", "200").inc(5)
        gateway.metrics.requests_in_flight.inc()
        with mock.patch("os.getpid", return_value=pid):
            async with worker(gateway, tmp_path / "w0.sock"):
                merged = await source.metrics()
    assert merged.requests.labels("r", "GET", "200").value == 15
    assert merged.requests_in_flight.value == 1
    merged = await source.metrics()  # none answers: what it said last stands
    assert merged.requests.labels("r", "GET", "200").value == 15
