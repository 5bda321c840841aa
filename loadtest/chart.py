"""A run as an SVG: `python -m loadtest.chart RUN.json`; the chart stands beside the file that it is made from.

Two panels: what a request of the table costs each gateway, and how this gateway stands to Envoy in every scenario. It
lies on a card of its own, in colours of which each text keeps 4.5:1 (WCAG AA) on a light page and on a dark one.
"""

import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from loadtest.results import Recorded, Run, read

_NAMES = ("card", "edge", "text", "soft", "ours", "them")
LIGHT = dict(zip(_NAMES, ("#ffffff", "#d0d7de", "#1f2328", "#59636e", "#0b6bcb", "#818b95"), strict=True))
DARK = dict(zip(_NAMES, ("#0d1117", "#3d444d", "#f0f6fc", "#9198a1", "#4c9bf5", "#6e7681"), strict=True))
WIDTH = 900
LEFT = 330  # pixels of the names
RIGHT = 130  # of the figures
ROW = 22
HEAD = 46  # of a panel


@dataclass(frozen=True)
class Bar:
    """One line of a panel."""

    name: str
    least: float
    value: float
    most: float
    text: str
    ours: bool


def cost(run: Run) -> list[Bar]:
    """What a request of the table costs, the cheapest first, the full job before forwarding alone."""
    rows = sorted((row for row in run.rows if row.case == "table"), key=lambda row: row.value)
    bars = []
    for scenario in ("full job", "forward only"):
        for row in (row for row in rows if row.scenario == scenario):
            envoy = run.envoy(row)
            ratio = f" · {row.value / envoy.value:.2f} of Envoy" if envoy is not None and envoy is not row else ""
            name = f"{row.peer}: {row.does}"
            bars.append(Bar(name, *_spread(row.rounds, row.members), f"{row.value:.0f}{ratio}", row.peer == "gateway"))
    return bars


def standing(run: Run) -> list[Bar]:
    """The gateway's figure by Envoy's, of each scenario, in pairs of the same round."""
    bars = []
    for row in run.rows:
        envoy = run.envoy(row)
        if row.peer != "gateway" or envoy is None:
            continue
        ratios = paired(row, envoy)
        value = row.value / envoy.value
        name = ", ".join((row.case, *(part for part in (row.variant, row.label) if part)))
        bars.append(
            Bar(name if row.case != "table" else row.does, min(ratios), value, max(ratios), f"{value:.2f}", ours=True)
        )
    return bars


def paired(row: Recorded, other: Recorded) -> list[float]:
    """One by the other in each round; by their medians where rounds were not kept or differ in number."""
    if len(row.rounds) != len(other.rounds):
        return [row.value / other.value]
    return [one / two for one, two in zip(row.rounds, other.rounds, strict=True)]


def _spread(rounds: Sequence[float], members: dict[str, list[float]]) -> tuple[float, float, float]:
    value = sorted(rounds)[len(rounds) // 2]
    least, most = members.get("cpu_us_spread", [min(rounds), max(rounds)])
    return least, value, most


def svg(run: Run) -> str:
    """The whole chart."""
    panels = [("CPU µs a request (line: least and most of the rounds)", cost(run), 0.0)]
    panels += [("CPU or memory, by Envoy's in the same run (1.0: the same)", standing(run), 1.0)]
    panels = [panel for panel in panels if panel[1]]
    height = 16 + sum(HEAD + ROW * len(bars) for _, bars, _ in panels)
    title = f"Benchmark of {run.members.get('time', '')[:10]}"
    size = f'width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}"'
    said = f'role="img" aria-label="{escape(title)}"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} {said} font-family="system-ui, sans-serif" font-size="13">',
        f"<title>{escape(title)}</title>",
        f"<style>{_style(LIGHT)}@media (prefers-color-scheme: dark){{{_style(DARK)}}}</style>",
        f'<rect class="card" x="0.5" y="0.5" width="{WIDTH - 1}" height="{height - 1}" rx="8"/>',
    ]
    top = 0
    for heading, bars, mark in panels:
        parts += _panel(heading, bars, mark, top)
        top += HEAD + ROW * len(bars)
    return "\n".join([*parts, "</svg>", ""])


def _style(colours: dict[str, str]) -> str:
    rules = {name: f"fill:{colours[name]}" for name in ("text", "soft", "ours", "them")}
    rules["card"] = f"fill:{colours['card']};stroke:{colours['edge']}"
    rules["line"] = f"stroke:{colours['text']};stroke-width:1.5"
    rules["mark"] = f"stroke:{colours['soft']};stroke-dasharray:3 3"
    return "".join(f".{name}{{{rule}}}" for name, rule in rules.items())


def _panel(heading: str, bars: Sequence[Bar], mark: float, top: int) -> Iterable[str]:
    most = max(*(bar.most for bar in bars), mark * 1.1)
    scale = (WIDTH - LEFT - RIGHT) / most
    yield f'<text class="text" x="16" y="{top + 30}" font-weight="600">{escape(heading)}</text>'
    for number, bar in enumerate(bars):
        y = top + HEAD + number * ROW
        weight = ' font-weight="600"' if bar.ours else ""
        yield f'<text class="text" x="{LEFT - 10}" y="{y + 14}" text-anchor="end"{weight}>{escape(bar.name)}</text>'
        colour = "ours" if bar.ours else "them"
        yield f'<rect class="{colour}" x="{LEFT}" y="{y + 3}" width="{bar.value * scale:.1f}" height="14" rx="2"/>'
        least, last = LEFT + bar.least * scale, LEFT + bar.most * scale
        yield f'<path class="line" d="M{least:.1f} {y + 10}H{last:.1f}"/>'
        end = max(last, LEFT + bar.value * scale) + 6
        yield f'<text class="soft" x="{end:.1f}" y="{y + 14}">{escape(bar.text)}</text>'
    if mark:
        x, bottom = LEFT + mark * scale, top + HEAD + ROW * len(bars)
        yield f'<path class="mark" d="M{x:.1f} {top + HEAD - 4}V{bottom}"/>'


def write(file: Path) -> Path:
    """The chart of a run, beside it. Raises OSError, ValueError, KeyError."""
    chart = file.with_suffix(".svg")
    chart.write_text(svg(read(file)), encoding="utf-8")
    return chart


if __name__ == "__main__":
    print(write(Path(sys.argv[1])))
