"""Medians over the rounds, their spread, and ratios to the peer that is compared with; as a table and as JSON."""

import os
import platform
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from loadtest import load
from loadtest.bench import Plan, Row
from loadtest.job import BODY, CALLERS, CONNECTIONS, ROUTES, Scenario
from loadtest.peers.envoy import CACHED

MEGABYTE = 1e6
_COLUMNS = (
    "gateway",
    "does",
    "CPU µs/request (least - most)",
    "to Envoy",
    "requests/s",
    "p50 ms",
    "p99 ms",
    "private MB (idle)",
    "note",
)


@dataclass(frozen=True)
class Figures:
    """One row of the table."""

    peer: str
    scenario: str
    variant: str
    cpu: float  # microseconds a request, median
    cpu_spread: tuple[float, float]  # least and greatest
    rate: float  # requests a second
    p50: float  # milliseconds
    p99: float
    resident: float  # MB, after load
    private: float
    idle_private: float
    rounds: int
    note: str


def figures(rows: Sequence[Row]) -> list[Figures]:
    """Of the rows that were measured."""
    found = []
    for row in rows:
        if row.trouble is None and row.windows and row.loaded is not None and row.idle is not None:
            cpu = [window.cpu / window.requests * 1e6 for window in row.windows]
            loads = [window.load for window in row.windows]
            found.append(
                Figures(
                    peer=row.peer.name,
                    scenario=row.variant.scenario,
                    variant=row.variant.name,
                    cpu=statistics.median(cpu),
                    cpu_spread=(min(cpu), max(cpu)),
                    rate=statistics.median(one.requests / one.seconds for one in row.windows),
                    p50=statistics.median(one.p50 for one in loads),
                    p99=statistics.median(one.p99 for one in loads),
                    resident=row.loaded.resident / MEGABYTE,
                    private=row.loaded.private / MEGABYTE,
                    idle_private=row.idle.private / MEGABYTE,
                    rounds=len(row.windows),
                    note=row.variant.note,
                )
            )
    return found


def reference(found: Sequence[Figures], scenario: str) -> Figures | None:
    """What a scenario's rows are compared with: Envoy, in the full job with its JWT cache on."""
    for one in found:
        if one.peer == "Envoy" and one.scenario == scenario:
            if scenario == Scenario.FULL and one.variant != CACHED:
                continue
            return one
    return None


def table(found: Sequence[Figures]) -> str:
    """Markdown: a row a variant, the cheapest first within its scenario."""
    lines = ["| " + " | ".join(_COLUMNS) + " |", "|---" * len(_COLUMNS) + "|"]
    for scenario in Scenario:
        compared = reference(found, scenario)
        for one in sorted((one for one in found if one.scenario == scenario), key=lambda one: one.cpu):
            does = one.scenario + (f", {one.variant}" if one.variant else "")
            ratio = f"{one.cpu / compared.cpu:.2f}" if compared is not None else "-"
            spread = f"{one.cpu_spread[0]:.0f} - {one.cpu_spread[1]:.0f}"
            lines.append(
                f"| {one.peer} | {does} | {one.cpu:.0f} ({spread}) | {ratio} | {one.rate:.0f} | {one.p50:.1f}"
                f" | {one.p99:.1f} | {one.private:.0f} ({one.idle_private:.0f}) | {one.note} |"
            )
    return "\n".join(lines)


def document(rows: Sequence[Row], found: Sequence[Figures], plan: Plan) -> dict[str, object]:
    """Everything, for machines and for later comparison."""
    peers = {row.peer.name: row.peer.version() for row in rows if row.peer.missing() is None}
    return {
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": {"processor": processor(), "cores": os.cpu_count(), "kernel": platform.release()},
        "job": {"routes": ROUTES, "callers": CALLERS, "connections": CONNECTIONS, "body": BODY, "load": load.tool()},
        "plan": {"rounds": plan.rounds, "seconds": plan.seconds},
        "peers": peers,
        "rows": [_row(one, found) for one in found],
        "not_measured": [
            {"peer": row.peer.name, "scenario": row.variant.scenario, "variant": row.variant.name, "why": row.trouble}
            for row in rows
            if row.trouble is not None
        ],
    }


def _row(one: Figures, found: Sequence[Figures]) -> dict[str, object]:
    compared = reference(found, one.scenario)
    return {
        "peer": one.peer,
        "scenario": one.scenario,
        "variant": one.variant,
        "cpu_us": round(one.cpu, 1),
        "cpu_us_spread": [round(value, 1) for value in one.cpu_spread],
        "to_envoy": round(one.cpu / compared.cpu, 3) if compared is not None else None,
        "requests_per_second": round(one.rate),
        "p50_ms": round(one.p50, 2),
        "p99_ms": round(one.p99, 2),
        "resident_mb": round(one.resident, 1),
        "private_mb": round(one.private, 1),
        "idle_private_mb": round(one.idle_private, 1),
        "rounds": one.rounds,
        "note": one.note,
    }


def processor() -> str:
    try:
        with Path("/proc/cpuinfo").open(encoding="utf-8") as lines:
            return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "")
    except OSError:
        return platform.processor()
