"""A case of a recorded run as a Markdown table."""

from collections.abc import Sequence

from loadtest.results import Recorded, Run

MISSING = "Not measured in this run."
_COLUMNS = ("gateway", "does", "CPU µs/request (least - most)", "to {}", "requests/s", "p50 ms", "p99 ms", "private MB")
_IDLE = ("gateway", "does", "kB/connection (least - most)", "to {}")
_LARGE = 100.0  # MiB a second: above it the throughput is told too


def table(run: Run, case: str) -> str:
    """A row a variant, the cheapest first within what is compared; says so where nothing was measured."""
    rows = [row for row in run.rows if row.case == case]
    if not rows:
        return MISSING
    large = any(row.members.get("mib_per_second", 0) > _LARGE for row in rows)
    columns = [column.format(_compared(rows)) for column in (_IDLE if rows[0].idle else _COLUMNS)]
    columns += ["MiB/s"] if large else []
    lines = [f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]
    for group in dict.fromkeys((row.scenario, row.label) for row in rows):
        ranked = sorted((row for row in rows if (row.scenario, row.label) == group), key=lambda row: row.value)
        lines += [f"| {' | '.join(_cells(row, large=large))} |" for row in ranked]
    return "\n".join(lines)


def _compared(rows: Sequence[Recorded]) -> str:
    """Who the case is compared with."""
    named = (row.members.get("compared_with") for row in rows)
    return next((name.split()[0] for name in named if name), "Envoy")


def _cells(row: Recorded, *, large: bool) -> list[str]:
    members = row.members
    spread = members.get("kb_spread") or members.get("cpu_us_spread") or [row.value, row.value]
    note, ratio = members.get("note"), members.get("ratio", members.get("to_envoy"))
    cells = [
        f"**{row.peer}**" if row.peer == "gateway" else row.peer,
        row.does + (f" ({note})" if note else ""),
        f"{number(row.value)} ({number(spread[0])} - {number(spread[1])})",
        f"{ratio:.2f}" if ratio is not None else "-",
    ]
    if not row.idle:
        cells += [f"{members['requests_per_second']:,.0f}", f"{members['p50_ms']:.1f}", f"{members['p99_ms']:.1f}"]
        cells.append(f"{members['private_mb']:.0f}")
    return cells + ([f"{members['mib_per_second']:,.0f}"] if large else [])


def number(value: float) -> str:
    """Three digits that count, no more."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}"
