"""Did it get dearer: `python -m loadtest.compare RUN.json` against the last recorded run, or the one that is named.

A machine is never as fast as it was yesterday, so figures are compared as ratios within their own run: to Envoy at the
same work where the row has such a peer, else to the calibration loop, round by round. A row moved when the medians of
these ratios differ by more than the noise of both runs. Where both counted instructions (`--instructions`), those are
compared as they are. Prints every row, and exits 1 when one got dearer, 2 when there is nothing to compare.
"""

import argparse
import statistics
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from pathlib import Path

from loadtest.chart import paired
from loadtest.results import Recorded, Run, last, read

FLOOR = 0.05  # of a ratio: less is never called a move
SIGMAS = 3.0
FEW = 3  # rounds that a spread is told from; of fewer nothing is known but that it is large
UNKNOWN = 0.25  # the noise of such a row
COUNTED = 0.02  # of instructions, which do not depend on the machine's speed


@dataclass(frozen=True)
class Move:
    """One row in both runs."""

    row: Recorded
    against: str  # what it is measured by
    before: float  # ratio
    after: float
    noise: float  # as a share: what a change has to exceed

    @property
    def change(self) -> float:
        """As a share: 0.1 for ten per cent dearer."""
        return self.after / self.before - 1

    @property
    def moved(self) -> int:
        """1 dearer, -1 cheaper, 0 within the noise."""
        return 0 if abs(self.change) <= self.noise else 1 if self.change > 0 else -1

    def __str__(self) -> str:
        what = {1: "DEARER", -1: "cheaper", 0: "as before"}[self.moved]
        named = f"{self.row.case}: {self.row.does}"
        figures = f"{self.before:,.3f} -> {self.after:,.3f} by {self.against}"
        return f"{what:9} {self.change:+6.1%} (noise {self.noise:.1%})  {named}  {figures}"


def compare(before: Run, after: Run) -> list[Move]:
    """Every row of the gateway that both runs have."""
    moves = []
    for row in after.rows:
        old = next((other for other in before.rows if other.key == row.key), None)
        if row.peer != "gateway" or old is None:
            continue
        against, then, now = _ratios(before, after, old, row)
        noise = SIGMAS * sqrt(_error(then) ** 2 + _error(now) ** 2)
        moves.append(Move(row, against, statistics.median(then), statistics.median(now), max(noise, FLOOR)))
    return moves + _counted(before, after)


def _counted(before: Run, after: Run) -> list[Move]:
    """Instructions of a request without sockets, where both runs counted them."""
    then, now = (run.members.get("instructions", {}) for run in (before, after))
    return [
        Move(
            Recorded("instructions", "gateway", "full job", "", driver, now[driver], (now[driver],), {}),
            "valgrind",
            then[driver],
            now[driver],
            COUNTED,
        )
        for driver in now
        if driver in then
    ]


def _ratios(before: Run, after: Run, old: Recorded, new: Recorded) -> tuple[str, list[float], list[float]]:
    """What both rows are measured by, and each by it, round by round."""
    if new.idle:
        return "itself, kB", list(old.rounds), list(new.rounds)
    old_envoy, new_envoy = before.envoy(old), after.envoy(new)
    versions = before.members.get("peers", {}).get("Envoy"), after.members.get("peers", {}).get("Envoy")
    if old_envoy is not None and new_envoy is not None and versions[0] == versions[1]:
        return f"Envoy {versions[1]}", paired(old, old_envoy), paired(new, new_envoy)
    loops = before.calibrations.get(old.case), after.calibrations.get(new.case)
    if loops[0] and loops[1]:
        return "calibration", _by(old, loops[0]), _by(new, loops[1])
    return "itself, µs: another day may be another machine", list(old.rounds), list(new.rounds)


def _by(row: Recorded, calibrations: Sequence[float]) -> list[float]:
    if len(calibrations) < len(row.rounds):
        return [row.value / statistics.median(calibrations)]
    return [one / calibration for one, calibration in zip(row.rounds, calibrations, strict=False)]


def _error(ratios: Sequence[float]) -> float:
    """The standard error of their median, as a share of it; from the median of deviations: no outlier moves it."""
    if len(ratios) < FEW:
        return UNKNOWN / SIGMAS
    median = statistics.median(ratios)
    deviation = 1.4826 * statistics.median(abs(one - median) for one in ratios)
    return 1.2533 * deviation / sqrt(len(ratios)) / median


def main(arguments: list[str]) -> int:
    """0 when nothing got dearer, 1 when something did, 2 when nothing could be compared."""
    parser = argparse.ArgumentParser(prog="python -m loadtest.compare", description=__doc__)
    parser.add_argument("run", type=Path, nargs="?", help="default: the newest in loadtest/results/")
    parser.add_argument("--before", type=Path, help="default: the newest but that one")
    given = parser.parse_args(arguments)
    run = given.run or last()
    before = given.before or (last(run) if run is not None else None)
    if run is None or before is None:
        print("there are no two runs to compare", file=sys.stderr)
        return 2
    moves = compare(read(before), read(run))
    print(f"{run.stem} against {before.stem}")
    for move in sorted(moves, key=lambda move: -abs(move.change)):
        print(move)
    if not moves:
        print("the two runs have no row of ours in common", file=sys.stderr)
        return 2
    dearer = [move for move in moves if move.moved > 0]
    print(f"{len(dearer)} of {len(moves)} rows dearer, {sum(move.moved < 0 for move in moves)} cheaper")
    return 1 if dearer else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
