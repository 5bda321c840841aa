"""Light load of requests whose right answer is known, and what may never come of them.

Good ones are 200, or an error that an outage explains; bad ones are never let through; the counted ones never more
often than their quota. Who was answered 200 stands in the audit log: `unlogged` says who does not.
"""

import asyncio
import contextlib
import json
import time
from collections import Counter
from collections.abc import AsyncGenerator, Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

from gateway.testing.issuer import tampered
from loadtest.chaos.world import QUOTA, World
from tests.serving import Client

PAUSE = 0.1  # seconds between two requests of one client
LONGEST = 10.0  # seconds that a client waits
KEPT = 20  # requests on one connection: then another worker may have it


class Kind(Enum):
    """What is sent: method, path, and whether its token is good."""

    GOOD = ("GET", "/api/x", True)
    FORGED = ("GET", "/api/x", False)
    FORBIDDEN = ("POST", "/api/x", True)
    COUNTED = ("GET", "/counted", True)


@dataclass(frozen=True)
class Seen:
    """One request and its answer; status 0: there was none."""

    kind: Kind
    status: int
    reason: str
    seconds: float
    request_id: str


def wrong(seen: Seen) -> str | None:
    """What may not be in the answer to one request; None when it may."""
    if seen.kind in (Kind.FORGED, Kind.FORBIDDEN):
        return f"a {seen.kind.name.lower()} request was let through" if 200 <= seen.status < 300 else None
    if seen.status in (401, 403):
        return f"a good request was refused with {seen.status} {seen.reason}"
    if seen.status == 429 and seen.kind is Kind.GOOD:
        return "a good request was limited"
    if seen.status >= 500 and not seen.reason:
        return f"a {seen.status} without a reason"
    return f"a {seen.status} {seen.reason}" if seen.reason == "internal" else None


@dataclass
class Phase:
    """What was seen while one thing was broken and until it was well again."""

    name: str
    seen: list[Seen] = field(default_factory=list)
    recovered: float | None = None  # seconds after the repair

    @property
    def violations(self) -> Counter[str]:
        """What may never happen, and did."""
        return Counter(found for found in map(wrong, self.seen) if found is not None)

    def counts(self) -> Mapping[str, int]:
        """Answers by what they were: 200, 4xx as they should be, each 5xx reason, none."""
        return Counter(
            "none" if not seen.status else seen.reason if seen.status >= 500 else str(seen.status) for seen in self.seen
        )


class Line:
    """A client's connection: kept for some requests, opened anew after a failure."""

    def __init__(self, of: World) -> None:
        self._of = of
        self._client: Client | None = None
        self._left = 0

    async def ask(self, kind: Kind, token: str) -> tuple[int, str, str]:
        """Status, reason and request id. Raises OSError, EOFError or TimeoutError."""
        method, path, _ = kind.value
        async with asyncio.timeout(LONGEST):  # noqa: TID251 - a client's patience
            if self._client is None or not self._left:
                self.close()
                reader, writer = await asyncio.open_connection(
                    "127.0.0.1", self._of.edge, ssl=self._of.trust, server_hostname="localhost"
                )
                self._client, self._left = Client(reader, writer), KEPT
            self._left -= 1
            fields = f"Host: localhost\r\nAuthorization: Bearer {token}\r\nContent-Length: 0"
            await self._client.send(f"{method} {path} HTTP/1.1\r\n{fields}\r\n\r\n".encode())
            answer = await self._client.answer(seconds=LONGEST)
        problem = answer.header(b"content-type") == b"application/problem+json"
        request_id = answer.header(b"x-request-id") or b""
        return answer.status, answer.reason if problem else "", request_id.decode()

    def close(self) -> None:
        """End it."""
        if self._client is not None:
            self._client.writer.transport.abort()
            self._client = None


class Load:
    """Clients of every kind; what they see goes to `phase`."""

    def __init__(self, of: World) -> None:
        self.phase = Phase("calm")
        self.allowed: list[str] = []  # request ids of all that were answered 200
        self.counted = 0
        self._of = of
        good = of.token()
        self._tokens = {True: good, False: tampered(good, sub="mallory")}

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncGenerator[None]:
        """Clients at work: six good ones and one of each other kind."""
        kinds = [*[Kind.GOOD] * 6, Kind.FORGED, Kind.FORBIDDEN, Kind.COUNTED]
        tasks = [asyncio.create_task(self._client(kind)) for kind in kinds]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def ask(self, kind: Kind, through: "Line | None" = None) -> Seen:
        """Send one and judge it; without a line of its own on a new connection."""
        line = through or Line(self._of)
        began = time.monotonic()
        try:
            status, reason, request_id = await line.ask(kind, self._tokens[kind.value[2]])
        except (OSError, EOFError, TimeoutError):
            line.close()
            status, reason, request_id = 0, "", ""
        seen = Seen(kind, status, reason, time.monotonic() - began, request_id)
        if status == 200:
            self.allowed.append(request_id)
            self.counted += kind is Kind.COUNTED
        self.phase.seen.append(seen)
        if through is None:
            line.close()
        return seen

    async def _client(self, kind: Kind) -> None:
        line = Line(self._of)
        try:
            while True:
                await self.ask(kind, line)
                await asyncio.sleep(PAUSE)
        finally:
            line.close()

    def over_quota(self) -> str | None:
        """More than the quota came through, over all phases."""
        return f"{self.counted} of a quota of {QUOTA} came through" if self.counted > QUOTA else None


def decided(lines: Iterable[bytes]) -> set[str]:
    """The request ids of all decisions to allow in an audit log; a torn line is none."""
    found = set()
    for line in lines:
        with contextlib.suppress(ValueError):
            record = json.loads(line)
            if record.get("type") == "decision" and record.get("effect") == "allow":
                found.add(record["request_id"])
    return found


def unlogged(allowed: Iterable[str], audit: Path) -> list[str]:
    """Who was answered 200 without a record."""
    known = set[str]()
    for path in audit.rglob("*.jsonl"):
        known |= decided(path.read_bytes().splitlines())
    return [request_id for request_id in allowed if request_id not in known]
