"""A supervisor answers for its workers: one address for several processes.

Each worker serves `worker_app` on a Unix socket in a directory that only its user may enter; the parent asks all of
them. Counters of a worker that was replaced are kept, so that a total never falls.
"""

import asyncio
import os
import ssl
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from gateway.admin.source import AdminCall, AdminSource, Check, Reloaded
from gateway.kernel.cells import Metrics
from gateway.kernel.cells.family import LabelValues
from gateway.kernel.cells.metrics import Dump
from gateway.model.json import JSON

if TYPE_CHECKING:
    import httpx2

_ANSWER_SECONDS = 5.0
_RELOAD_SECONDS = 60.0


def worker_app(source: AdminSource) -> Starlette:
    """What a worker serves to its supervisor alone. The socket's directory is its guard: mode 0700."""

    async def readiness(request: Request) -> Response:
        return JSONResponse([asdict(check) for check in await source.readiness()])

    async def metrics(request: Request) -> Response:
        held = await source.metrics()
        return JSONResponse({"pid": os.getpid(), "dump": held.dump(), "exemplars": held.exemplars()})

    async def status(request: Request) -> Response:
        return JSONResponse(await source.status())

    async def reload(request: Request) -> Response:
        return JSONResponse(asdict(await source.reload()))

    async def drain(request: Request) -> Response:
        await source.drain()
        return Response(status_code=204)

    async def record(request: Request) -> Response:
        await source.record(AdminCall(**await request.json()))
        return Response(status_code=204)

    asked = [Route(f"/{f.__name__}", f, methods=["GET"]) for f in (readiness, metrics, status)]
    done = [Route(f"/{f.__name__}", f, methods=["POST"]) for f in (reload, drain, record)]
    return Starlette(routes=[*asked, *done])


@dataclass(frozen=True, slots=True)
class Worker:
    """One worker as its supervisor knows it."""

    number: int
    socket: Path


class Workers:
    """The `AdminSource` of a supervisor. `workers` gives those that should be running now."""

    def __init__(self, workers: Callable[[], Sequence[Worker]], on_reload: Callable[[], None] = lambda: None) -> None:
        """`on_reload`: all workers have taken over a file."""
        self._workers = workers
        self._on_reload = on_reload
        self._last: dict[int, tuple[int, Dump]] = {}  # by number: process id and what it said last
        self._gone: list[Dump] = []  # counts of processes that were replaced, at most one dump

    async def readiness(self) -> list[Check]:
        merged: list[Check] = []
        for worker, answer in await self._ask_all("GET", "readiness"):
            if answer is None:
                merged.append(Check(f"worker {worker.number}", ok=False, detail="does not answer"))
            else:
                merged += [Check(f"worker {worker.number} {c.name}", c.ok, c.needed, c.detail) for c in _checks(answer)]
        return merged or [Check("workers", ok=False, detail="none is running")]

    async def metrics(self) -> Metrics:
        merged, seen = Metrics(), set[tuple[str, LabelValues]]()
        for worker, answer in await self._ask_all("GET", "metrics"):
            if answer is not None:
                self._take(worker.number, answer["pid"], answer["dump"])
                merged.absorb_exemplars(answer["exemplars"])
        running = {worker.number for worker in self._workers()}
        for dump in self._gone:
            merged.absorb(dump, seen)
        for number, (_, dump) in sorted(self._last.items()):
            merged.absorb(dump if number in running else _counts(dump), seen)
        return merged

    async def status(self) -> JSON:
        told: list[JSON] = []
        for worker, answer in await self._ask_all("GET", "status"):
            if answer is None:
                told.append({"worker": worker.number, "error": "does not answer"})
            else:
                told += [{"worker": worker.number, **one} for one in answer["workers"]]
        return {"workers": told}

    async def reload(self) -> Reloaded:
        digests: list[str] = []
        errors: dict[str, None] = {}  # in order, each once: every worker reads the same file
        ok = True
        for worker, answer in await self._ask_all("POST", "reload", _RELOAD_SECONDS):
            if answer is None:
                ok = False
                errors[f"worker {worker.number} does not answer"] = None
            else:
                ok = ok and bool(answer["ok"])
                digests.append(answer["digest"])
                errors.update(dict.fromkeys(answer["errors"]))
        if ok and digests:
            self._on_reload()
        return Reloaded(ok and bool(digests), digests[0] if digests else "", tuple(errors))

    async def drain(self) -> None:
        await self._ask_all("POST", "drain")

    async def record(self, call: AdminCall) -> None:
        """In the chain of the first worker that takes it: a supervisor keeps none."""
        for worker in self._workers():
            if await self._ask(worker, "POST", "record", _ANSWER_SECONDS, asdict(call)) is not None:
                return

    def _take(self, number: int, pid: int, dump: Dump) -> None:
        """Keep what a worker said; when it is another process than before, the counts of that one are kept too."""
        before = self._last.get(number)
        if before is not None and before[0] != pid:
            kept, seen = Metrics(), set[tuple[str, LabelValues]]()
            for old in (*self._gone, _counts(before[1])):
                kept.absorb(old, seen)
            self._gone = [_counts(kept.dump())]
        self._last[number] = pid, dump

    async def _ask_all(
        self, method: str, path: str, seconds: float = _ANSWER_SECONDS
    ) -> list[tuple[Worker, Any]]:  # what our own `worker_app` answers, or None
        workers = list(self._workers())
        answers = await asyncio.gather(*[self._ask(worker, method, path, seconds) for worker in workers])
        return list(zip(workers, answers, strict=True))

    async def _ask(self, worker: Worker, method: str, path: str, seconds: float, body: Any = None) -> Any:
        import httpx2

        try:
            async with self._client(worker, seconds) as client:
                answer = await client.request(method, f"http://worker/{path}", json=body)
                return answer.raise_for_status().json() if answer.content else True
        except (httpx2.HTTPError, OSError, ValueError):
            return None

    @staticmethod
    def _client(worker: Worker, seconds: float) -> "httpx2.AsyncClient":
        import httpx2

        never = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # the socket is plain: no root certificates need be loaded
        transport = httpx2.AsyncHTTPTransport(uds=str(worker.socket), verify=never)
        return httpx2.AsyncClient(transport=transport, timeout=seconds, trust_env=False)


def _checks(answer: Any) -> list[Check]:
    return [Check(**one) for one in answer]


def _counts(dump: Dump) -> Dump:
    """What outlives a process: its counters and histograms, not its gauges."""
    return {f.name: dump[f.name] for f in Metrics().families() if f.kind != "gauge" and f.name in dump}
