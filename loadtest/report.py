"""Medians over the rounds, their spread, and ratios to the peer that is compared with; as a JSON document."""

import os
import platform
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from loadtest import load
from loadtest.bench import Measured, Plan, Row
from loadtest.job import BODY, CALLERS, CONNECTIONS, ROUTES, Scenario
from loadtest.peers import PEERS
from loadtest.peers.envoy import CACHED

MEGABYTE = 1e6
MIB = 1 << 20


@dataclass(frozen=True)
class Figures:
    """One row of a table."""

    case: str
    peer: str
    scenario: str
    variant: str
    label: str
    how: str
    cpu: list[float]  # microseconds a request, of each round
    held: list[float]  # kB a connection, of each round, of How.IDLE
    rate: float = 0.0  # requests a second
    p50: float = 0.0  # milliseconds
    p99: float = 0.0
    around: float = 0.0  # CPU microseconds of load, backend and store a request
    store: float = 0.0  # CPU microseconds of the store a request
    moved: int = 0  # of a request's two bodies
    resident: float = 0.0  # MB, after load
    private: float = 0.0
    idle_private: float = 0.0
    note: str = ""

    @property
    def measured(self) -> list[float]:
        """What the row is about: its CPU, or the memory of a connection."""
        return self.held or self.cpu

    @property
    def value(self) -> float:
        """Its median."""
        return statistics.median(self.measured)

    @property
    def does(self) -> str:
        """What sets it off within its case."""
        return ", ".join(part for part in (self.scenario, self.variant, self.label) if part)

    @property
    def group(self) -> tuple[str, str, str]:
        """What it is compared within."""
        return (self.case, self.scenario, self.label)


def figures(rows: Iterable[Row]) -> list[Figures]:
    """Of the rows that were measured."""
    return [_figures(row) for row in rows if row.trouble is None and (row.windows or row.held)]


def _figures(row: Row) -> Figures:
    windows, loads = row.windows, [window.load for window in row.windows]
    named = {"case": row.case, "peer": row.peer.name, "scenario": row.variant.scenario.value, "label": row.label}
    private = row.loaded.private / MEGABYTE if row.loaded else 0.0
    common: dict[str, Any] = {
        **named,
        "variant": row.variant.name,
        "how": row.work.how.value,
        "note": row.variant.note,
        "private": private,
        "resident": row.loaded.resident / MEGABYTE if row.loaded else 0.0,
        "idle_private": row.idle.private / MEGABYTE if row.idle else 0.0,
        "held": [held / 1000 for held in row.held],
    }
    if not windows:
        return Figures(cpu=[], **common)
    return Figures(
        cpu=[window.cpu / window.requests * 1e6 for window in windows],
        rate=statistics.median(one.requests / one.seconds for one in windows),
        p50=statistics.median(one.p50 for one in loads),
        p99=statistics.median(one.p99 for one in loads),
        around=statistics.median(one.around / one.requests * 1e6 for one in windows),
        store=statistics.median(one.store / one.requests * 1e6 for one in windows),
        moved=row.work.sent + row.work.answer,
        **common,
    )


def reference(found: Sequence[Figures], one: Figures) -> Figures | None:
    """What a row is compared with: Envoy, in the full job with its JWT cache on; without Envoy the first of its group.

    Where a case has only one peer, its first row: the others are the gateway with one thing changed.
    """
    wanted = CACHED if one.scenario == Scenario.FULL else ""
    for other in found:
        if other.group == one.group and (other.peer, other.variant) == ("Envoy", wanted):
            return other
    case = [other for other in found if other.case == one.case]
    if one.case == "table" or any(other.peer == "Envoy" for other in case):
        return None
    alone = all(other.peer == one.peer for other in case)
    return case[0] if alone else next(other for other in case if other.group == one.group)


def document(measured: Measured, found: Sequence[Figures], plan: Plan) -> dict[str, Any]:
    """Everything, for machines and for later comparison."""
    used = {one.peer for one in found}
    return {
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": {"processor": processor(), "cores": os.cpu_count(), "kernel": platform.release()},
        "job": {"routes": ROUTES, "callers": CALLERS, "connections": CONNECTIONS, "body": BODY, "load": load.tool()},
        "plan": {"rounds": plan.rounds, "seconds": plan.seconds},
        "peers": {peer.name: peer.missing() or peer.version() for peer in PEERS if peer.name in used},
        "calibration_ms": {case: [round(one, 3) for one in ms] for case, ms in measured.calibrations.items()},
        "rows": [_row(one, reference(found, one)) for one in found],
        "not_measured": [
            {
                "case": row.case,
                "peer": row.peer.name,
                "scenario": row.variant.scenario,
                "variant": row.variant.name,
                "label": row.label,
                "why": row.trouble,
            }
            for row in measured.rows
            if row.trouble is not None
        ],
    }


def _row(one: Figures, compared: Figures | None) -> dict[str, object]:
    named: dict[str, object] = {
        "case": one.case,
        "peer": one.peer,
        "scenario": one.scenario,
        "variant": one.variant,
        "label": one.label,
        "how": one.how,
        "rounds": len(one.measured),
        "note": one.note,
    }
    against = {
        "compared_with": compared and f"{compared.peer} {compared.does}",
        "ratio": compared and round(one.value / compared.value, 3),
    }
    if one.held:
        spread = [round(min(one.held), 1), round(max(one.held), 1)]
        rounds = [round(held, 1) for held in one.held]
        return named | {"kb_a_connection": round(one.value, 1), "kb_spread": spread, "kb_rounds": rounds} | against
    return named | {
        "cpu_us": round(one.value, 1),
        "cpu_us_spread": [round(min(one.cpu), 1), round(max(one.cpu), 1)],
        "cpu_us_rounds": [round(cpu, 1) for cpu in one.cpu],
        **against,
        "requests_per_second": round(one.rate, 1),
        "mib_per_second": round(one.rate * one.moved / MIB, 1),
        "p50_ms": round(one.p50, 2),
        "p99_ms": round(one.p99, 2),
        "around_cpu_us": round(one.around, 1),
        "store_cpu_us": round(one.store, 2),
        "resident_mb": round(one.resident, 1),
        "private_mb": round(one.private, 1),
        "idle_private_mb": round(one.idle_private, 1),
    }


def processor() -> str:
    try:
        with Path("/proc/cpuinfo").open(encoding="utf-8") as lines:
            return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "")
    except OSError:
        return platform.processor()
