import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from loadtest.cases import routed
from loadtest.results import Run, read
from loadtest.targets import TARGETS, gap, table


def row(case: str, peer: str, value: float, variant: str = "", label: str = "", **members: float) -> dict[str, Any]:
    scenario = "full job" if case in ("table", "paced", "routes") else "forward only"
    figure = "kb_a_connection" if case == "idle" else "cpu_us"
    named = {"case": case, "peer": peer, "scenario": scenario, "variant": variant, "label": label}
    return {**named, figure: value, **members}


ROWS = [
    row("table", "gateway", 75),
    row("table", "gateway", 110, "ASGI driver"),
    row("table", "Envoy", 100, "JWT cache on"),
    row("table", "Envoy", 150),
    row("table", "HAProxy", 75),
    row("paced", "gateway", 80, p99_ms=9.0),
    row("paced", "Envoy", 100, "JWT cache on", p99_ms=10.0),
    row("routes", "gateway", 105, label=routed(10_000)),
    row("routes", "gateway", 100, label=routed(10)),
    row("idle", "gateway", 50),
    row("mtls-connections", "gateway", 100, label="kept"),
    row("mtls-connections", "gateway", 1400, label="full handshake"),
    row("mtls-connections", "gateway", 490, label="resumed"),
    row("mtls-connections", "nginx", 50, label="kept"),
    row("mtls-connections", "nginx", 1050, label="full handshake"),
    row("bodies", "gateway", 20_000, label="10 MiB down", mib_per_second=300.0),
    row("bodies", "nginx", 10_000, label="10 MiB down", mib_per_second=400.0),
]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    file = tmp_path / "20260101T000000Z.json"
    file.write_text(json.dumps({"time": "2026-01-01", "rows": ROWS}))
    return read(file)


def test_each_target_is_measured_within_the_run(run: Run) -> None:
    values = [target.measure(run) for target in TARGETS]
    assert values == pytest.approx([0.75, 0.5, 1.0, 1.1, 0.9, 1.05, 50, 1.3, 0.3, 0.75, 0.5])


def test_a_target_is_reached_on_its_bound_and_told_by_how_much_it_is_missed(run: Run) -> None:
    lines = table(run).splitlines()[2:]
    assert lines[0].endswith("| ≤ 0.75 | 0.75 | reached |")
    assert lines[2].endswith("| ≤ 0.9 | 1.00 | missed by 11% |")
    assert lines[6].endswith("| ≤ 40 kB | 50.0 kB | missed by 25% |")
    assert lines[9].endswith("| ≥ 0.6 | 0.75 | reached |")
    assert lines[10].endswith("| ≥ 0.6 | 0.50 | missed by 17% |")


def test_the_gap_is_told_by_what_is_not_the_interpreter(run: Run) -> None:
    assert gap(run) == "0.75 of Envoy with its JWT cache is 75 µs in this run; the lane takes 75."
    dearer = replace(run, rows=(replace(run.rows[0], value=120.0), *run.rows[1:]))
    assert gap(dearer).endswith("takes 60 µs of that, which leaves 15 µs for Python where it takes 60.")
    far = replace(run, rows=(replace(run.rows[0], value=300.0), *run.rows[1:]))
    assert gap(far).endswith("takes 150 µs of that, which is more than that alone.")


def test_what_a_run_did_not_measure_is_said(run: Run) -> None:
    empty = Run("x", (), {}, {})
    assert table(empty).count("not measured") == len(TARGETS)
