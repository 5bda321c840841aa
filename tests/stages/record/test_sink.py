"""A sink has what the file has, and never holds it up unless it is told to."""

import threading
from collections import Counter
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from gateway.kernel.export import Told
from gateway.stages.record import AuditLog, Sink, SinkSettings, record_config
from gateway.testing.wait import until
from tests.stages.record.scene import open_log


class Held:
    """A sink's other side: takes lines while it is open."""

    def __init__(self) -> None:
        self.lines: list[bytes] = []
        self.open = threading.Event()
        self.open.set()
        self.counts: Counter[str] = Counter()

    def __call__(self, lines: list[bytes]) -> None:
        self.open.wait(10)
        self.lines += lines

    def sink(self, *, capacity: int = 100, checkpoints: bool = False, required: bool = False) -> Sink:
        def dropped(count: float) -> None:
            self.counts["dropped"] += int(count)

        settings = SinkSettings("file", "copy", checkpoints, required)
        return Sink(settings, self, Told(_nothing, _nothing, dropped, _nothing), capacity=capacity)


def _nothing(_: float) -> None: ...


@pytest.fixture
async def held() -> AsyncGenerator[Held]:
    made = Held()
    yield made
    made.open.set()


def opened(tmp_path: Path, sink: Sink) -> AuditLog:
    log = open_log(tmp_path, sinks=[sink], segment_size=1800)
    log.start()
    return log


def written(tmp_path: Path) -> list[bytes]:
    return [line for path in sorted(tmp_path.glob("*.jsonl")) for line in path.read_bytes().splitlines(keepends=True)]


def failing(log: AuditLog) -> str | None:
    return log.failure


async def say(log: AuditLog, times: int) -> None:
    for number in range(times):
        record_config(log, digest=f"{number:064x}", ok=True)
        log._flush()


async def test_every_line_arrives_as_it_stands_in_the_files_segments_too(tmp_path: Path, held: Held) -> None:
    log = opened(tmp_path, held.sink())
    await say(log, 12)
    await log.close()
    assert len(list(tmp_path.glob("*.jsonl"))) > 2
    assert held.lines == written(tmp_path)


async def test_a_slow_sink_loses_lines_and_the_file_none(tmp_path: Path, held: Held) -> None:
    held.open.clear()
    log = opened(tmp_path, held.sink(capacity=3))
    await say(log, 9)
    assert log.failure is None
    assert held.counts["dropped"] >= 5
    held.open.set()
    await log.close()
    assert len(written(tmp_path)) == len(held.lines) + held.counts["dropped"]


async def test_a_required_sink_without_room_makes_the_log_fail_until_it_has_some(tmp_path: Path, held: Held) -> None:
    held.open.clear()
    log = opened(tmp_path, held.sink(capacity=3, required=True))
    await say(log, 1)
    wanted = [log.write("decision", "", keep=False) for _ in range(4)]
    assert not any([await done for done in wanted])
    assert failing(log) == "the sink file copy takes nothing more"
    held.open.set()
    await until(lambda: len(held.lines) == 2)
    assert await log.write("decision", "", keep=False)
    assert failing(log) is None
    await log.close()
    assert held.lines == written(tmp_path)
    assert held.counts["dropped"] == 0


async def test_anchors_alone(tmp_path: Path, held: Held) -> None:
    log = opened(tmp_path, held.sink(checkpoints=True))
    await say(log, 3)
    log._tick()
    await say(log, 1)
    await log.close()
    assert len(held.lines) == 2
    assert held.lines == [line for line in written(tmp_path) if line.startswith(b'{"type":"checkpoint"')]


def test_a_sink_is_named_by_what_the_config_says() -> None:
    assert SinkSettings("stdout", "").name == "stdout"
    assert SinkSettings("otlp", "http://collector").name == "otlp"
    assert SinkSettings("syslog", "udp://logs:514").name == "syslog udp://logs:514"
