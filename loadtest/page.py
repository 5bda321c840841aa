"""The figures of a run, put where they are quoted: `python -m loadtest.page [RUN.json [EARLIER.json]]`.

What the run did not measure is told of the earlier one, and said to be.
Rewrites what stands between `<!-- bench NAME -->` and `<!-- end -->` in docs/performance.md and README.md, and draws
the chart that both show. Everything else in these files is written by hand.
"""

import re
import statistics
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from loadtest import capacity, chart, tables, targets
from loadtest.job import ROOT
from loadtest.peers.envoy import CACHED
from loadtest.peers.gateway import ASGI
from loadtest.results import Recorded, Run, last, read
from loadtest.tables import MISSING

PAGES = (ROOT / "docs" / "performance.md", ROOT / "README.md")
_BLOCK = re.compile(r"(<!-- bench ([a-z]+) -->\n).*?(<!-- end -->)", re.DOTALL)
_COLUMNS: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("gateway", "gateway, lane", ("",)),
    ("gateway", "gateway, ASGI", (ASGI,)),
    ("Envoy", "Envoy", (CACHED, "")),
    ("HAProxy", "HAProxy", ("",)),
    ("nginx", "nginx", ("",)),
    ("Caddy", "Caddy", ("",)),
)
_APART = ("table", "features")  # cases that have a table of their own


def run_line(run: Run) -> str:
    """When, where and how."""
    plan, machine = run.members["plan"], run.members["machine"]
    when = f"{run.members['time'][:10]}, {machine['cores']} cores, {plan['rounds']} rounds of {plan['seconds']:g} s"
    who = "; ".join(f"{name} {version}" for name, version in run.members["peers"].items())
    return f"{when}, medians (least - most) ([figures]({{results}}/{run.name}.json)). {who}."


def picture(run: Run) -> str:
    return f"![CPU a request, by gateway and by scenario]({{results}}/{run.name}.svg)"


def table(run: Run) -> str:
    """The table of `make bench`."""
    return tables.table(run, "table")


def scenarios(run: Run) -> str:
    """Every other scenario: CPU microseconds a request (kB a connection where it says so), side by side."""
    head = [name for _, name, _ in _COLUMNS]
    rows = [row for row in run.rows if row.case not in _APART]
    if not rows:
        return MISSING
    lines = [f"| scenario | {' | '.join(head)} | lane to Envoy |", "|---" * (len(head) + 2) + "|"]
    for case, label in dict.fromkeys((row.case, row.label) for row in rows):
        here = [row for row in rows if (row.case, row.label) == (case, label)]
        cells = [_one(here, peer, variants) for peer, _, variants in _COLUMNS]
        ours, envoy = cells[0], cells[2]
        ratio = f"{ours.value / envoy.value:.2f}" if ours is not None and envoy is not None else "-"
        unit = " (kB)" if here[0].idle else ""
        shown = " | ".join("-" if cell is None else tables.number(cell.value) for cell in cells)
        lines.append(f"| {case}{f': {label}' if label else ''}{unit} | {shown} | {ratio} |")
    return "\n".join(lines)


def _one(rows: Sequence[Recorded], peer: str, variants: Sequence[str]) -> Recorded | None:
    found = (row for variant in variants for row in rows if (row.peer, row.variant) == (peer, variant))
    return next(found, None)


def features(run: Run) -> str:
    """What one thing more or less costs, in pairs of the same round."""
    base = run.find("features", "gateway", scenario="full job")
    if base is None:
        return MISSING
    lines = ["| full job, and | CPU µs/request | more or less |", "|---|---|---|"]
    for row in (row for row in run.rows if row.case == "features"):
        share = statistics.median(chart.paired(row, base)) - 1
        what = row.variant or row.label or "as it is (memory store, audit written, metrics)"
        lines.append(f"| {what} | {tables.number(row.value)} | {'' if row is base else f'{share:+.0%}'} |")
    return "\n".join(lines)


def planned(run: Run) -> str:
    if not any(row.case == "workers" for row in run.rows):
        return MISSING
    return capacity.text(run, list(capacity.RATES), capacity.Layout())


BLOCKS: dict[str, Callable[[Run], str]] = {
    "run": run_line,
    "chart": picture,
    "table": table,
    "targets": targets.table,
    "gap": targets.gap,
    "scenarios": scenarios,
    "features": features,
    "capacity": planned,
}


def filled(page: str, run: Run, results: str, earlier: Run | None = None) -> str:
    """The page with its blocks made anew; `results`: the way to loadtest/results/.

    Raises KeyError for a block that nobody makes.
    """

    def made(found: re.Match[str]) -> str:
        text = block(found[2], run, earlier).replace("{results}", results)
        return f"{found[1]}{text}\n{found[3]}"

    return _BLOCK.sub(made, page)


def block(name: str, run: Run, earlier: Run | None) -> str:
    """One block, of the earlier run where the other has nothing for it. Raises KeyError."""
    text = BLOCKS[name](run)
    if earlier is None:
        return text
    if name == "scenarios":  # each is a row or more of its own
        measured = {row.case for row in run.rows}
        rows = tuple(row for row in earlier.rows if row.case not in measured)
        earlier = replace(earlier, rows=rows)
    elif text != MISSING:
        return text
    rest = BLOCKS[name](earlier)
    if rest == MISSING:
        return text
    said = f"Of the run [{earlier.name}]({{results}}/{earlier.name}.json):\n\n{rest}"
    return said if text == MISSING else f"{text}\n\n{said}"


def main(arguments: list[str]) -> int:
    """0, or 2 when there is no run."""
    file = Path(arguments[0]) if arguments else last()
    earlier = read(Path(arguments[1])) if len(arguments) > 1 else None
    if file is None:
        print("no run is recorded: make bench", file=sys.stderr)
        return 2
    chart.write(file)
    for page in PAGES:
        results = "loadtest/results" if page.parent == ROOT else "../loadtest/results"
        page.write_text(filled(page.read_text(encoding="utf-8"), read(file), results, earlier), encoding="utf-8")
    print(f"{', '.join(str(page.relative_to(ROOT)) for page in PAGES)} quote {file.name}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
