"""A recorded run, read: `make bench` writes one JSON document, charts, comparisons and pages are made from it."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from loadtest.job import RESULTS
from loadtest.peers.envoy import CACHED

Key = tuple[str, str, str, str, str]  # case, peer, scenario, variant, label


@dataclass(frozen=True)
class Recorded:
    """One row of a run."""

    case: str
    peer: str
    scenario: str
    variant: str
    label: str
    value: float  # CPU microseconds a request, or kB a connection
    rounds: tuple[float, ...]  # the same of each round; only the median in runs that kept no more
    members: dict[str, Any]  # as they stand in the file

    @property
    def key(self) -> Key:
        """What makes it the same row in another run."""
        return (self.case, self.peer, self.scenario, self.variant, self.label)

    @property
    def does(self) -> str:
        """What sets it off, in words."""
        return ", ".join(part for part in (self.scenario, self.variant, self.label) if part)

    @property
    def idle(self) -> bool:
        """True for memory of connections."""
        return "kb_a_connection" in self.members


@dataclass(frozen=True)
class Run:
    """One recorded run."""

    name: str  # of its file, without .json
    rows: tuple[Recorded, ...]
    calibrations: dict[str, list[float]]  # milliseconds, by case, one a round
    members: dict[str, Any]

    def find(self, case: str, peer: str, *, scenario: str = "", variant: str = "", label: str = "") -> Recorded | None:
        """The row, None when it was not measured; without `scenario` any."""
        for row in self.rows:
            named = (row.case, row.peer, row.variant, row.label) == (case, peer, variant, label)
            if named and scenario in ("", row.scenario):
                return row
        return None

    def envoy(self, row: Recorded) -> Recorded | None:
        """Envoy doing the same, with its JWT cache on where tokens are asked for."""
        variant = CACHED if row.scenario == "full job" else ""
        return self.find(row.case, "Envoy", scenario=row.scenario, variant=variant, label=row.label)


def read(file: Path) -> Run:
    """A run from its file. Raises OSError, ValueError, KeyError."""
    return parsed(file.stem, json.loads(file.read_text()))


def parsed(name: str, members: dict[str, Any]) -> Run:
    """A run from its document. Raises KeyError."""
    rows = tuple(_recorded(row) for row in members["rows"])
    return Run(name, rows, members.get("calibration_ms", {}), members)


def _recorded(row: dict[str, Any]) -> Recorded:
    value = float(row["cpu_us"] if "cpu_us" in row else row["kb_a_connection"])
    rounds = row.get("cpu_us_rounds") or row.get("kb_rounds") or [value]
    named = (row.get("case", "table"), row["peer"], row["scenario"], row["variant"], row.get("label", ""))
    return Recorded(*named, value, tuple(rounds), row)


def last(before: Path | None = None) -> Path | None:
    """The newest run that was kept (quick ones are no figures), other than `before`."""
    files = sorted(file for file in RESULTS.glob("2*.json") if not file.stem.endswith("-quick"))
    kept = [file for file in files if before is None or file.resolve() != before.resolve()]
    return kept[-1] if kept else None
