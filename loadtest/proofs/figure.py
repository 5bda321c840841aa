"""A figure, its bound, and whether it was met: as a table and as JSON."""

import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

from loadtest.proofs.load import Stretch
from loadtest.report import processor


@dataclass(frozen=True)
class Figure:
    """One line of a proof."""

    proof: str
    what: str
    value: float
    unit: str
    bound: str
    met: bool
    note: str = ""


def none_failed(proof: str, what: str, of: Stretch) -> Figure:
    """Zero failed requests, and some were made."""
    return Figure(proof, f"{what}: failed", of.lost, "", "0", of.lost == 0 and len(of.waits) > 0, str(of))


def at_most(proof: str, what: str, value: float, bound: float, unit: str = "", note: str = "") -> Figure:
    """A value that has a limit."""
    return Figure(proof, what, value, unit, f"≤ {bound:g}", value <= bound, note)


def calm_enough(proof: str, what: str, calm: Stretch, troubled: Stretch, floor: float = 5.0) -> Figure:
    """The p99 of good requests in trouble: under twice that of calm, or under `floor` milliseconds."""
    bound, value = max(2 * calm.share(0.99), floor), troubled.share(0.99)
    note = f"calm {calm.share(0.99):.1f} ms of {len(calm.waits)}; {troubled}"
    return Figure(proof, f"{what}: p99", value, "ms", f"< {bound:.1f}", value < bound, note)


def table(figures: Sequence[Figure]) -> str:
    """Markdown."""
    lines = ["| proof | figure | measured | bound | met | note |", "|---|---|---|---|---|---|"]
    lines += [
        f"| {one.proof} | {one.what} | {one.value:.4g} {one.unit} | {one.bound} {one.unit} "
        f"| {'yes' if one.met else '**NO**'} | {one.note} |"
        for one in figures
    ]
    return "\n".join(lines)


def document(figures: Sequence[Figure], seconds: dict[str, float]) -> dict[str, object]:
    """Everything, for machines; `seconds`: how long each proof took."""
    return {
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": {"processor": processor(), "kernel": platform.release(), "python": platform.python_version()},
        "seconds": {name: round(value, 1) for name, value in seconds.items()},
        "figures": [asdict(one) for one in figures],
        "met": all(one.met for one in figures),
    }
