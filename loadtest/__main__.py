"""`python -m loadtest` (make bench): measure, print the table, keep the figures in loadtest/results/."""

import argparse
import json
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from loadtest import chart, instructions, load, report, tables
from loadtest.bench import Measured, Plan, bench
from loadtest.cases import CASES, chosen
from loadtest.inside import DRIVERS
from loadtest.job import RESULTS, WORK
from loadtest.peers import PEERS
from loadtest.results import parsed

FULL = Plan(rounds=5, seconds=4, longest=900)
QUICK = Plan(rounds=1, seconds=1, longest=90)
EXCUSED = ("not installed", "not offered")  # why a row may be left out


def main(arguments: list[str]) -> int:
    """0 when everything that is installed was measured, 1 when something failed, 130 when interrupted."""
    parser = argparse.ArgumentParser(prog="python -m loadtest", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one short round: a look, not a figure to quote")
    parser.add_argument("--scenario", default="", help="names, with commas between them, or all (default: table)")
    parser.add_argument("--list", action="store_true", help="the scenarios, and nothing is measured")
    parser.add_argument("--rounds", type=int, help=f"default {FULL.rounds}")
    parser.add_argument("--seconds", type=float, help=f"of each window, default {FULL.seconds:g}")
    parser.add_argument("--only", default="", help="names of peers, with commas between them")
    parser.add_argument("--output", type=Path, help="where the JSON goes (default: a new file in loadtest/results/)")
    parser.add_argument("--instructions", action="store_true", help="count those of a request too (valgrind; minutes)")
    given = parser.parse_args(arguments)
    if given.list:
        print("\n".join(f"{case.name:18} {len(case.entries):2} rows  {case.about}" for case in CASES))
        return 0
    usual = QUICK if given.quick else FULL
    plan = Plan(given.rounds or usual.rounds, given.seconds or usual.seconds, usual.longest)
    only = {name.strip().lower() for name in given.only.split(",") if name.strip()}
    unknown = only - {peer.name.lower() for peer in PEERS}
    if unknown:
        parser.error(f"no peer is called {', '.join(sorted(unknown))}: {', '.join(peer.name for peer in PEERS)}")
    if given.instructions and (needed := instructions.missing()) is not None:
        parser.error(f"--instructions: {needed}")
    try:
        cases = chosen(given.scenario or ("quick" if given.quick else "table"), only)
    except ValueError as error:
        parser.error(str(error))
    WORK.mkdir(exist_ok=True)
    _say(f"load by {load.tool()}; {plan.rounds} rounds of {plan.seconds:g} s a row, one after another")
    name = f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}{'-quick' if given.quick else ''}.json"
    output = given.output or RESULTS / name
    output.parent.mkdir(parents=True, exist_ok=True)
    measured, found, document = Measured(), [], dict[str, Any]()
    for case in cases:
        try:
            with tempfile.TemporaryDirectory(dir=WORK, prefix="run-") as directory:
                bench(case, plan, Path(directory), _say, measured)
        except KeyboardInterrupt:
            _say(f"interrupted: nothing is reported of {case.name}")
            return 130
        found = report.figures(measured.rows)
        document = report.document(measured, found, plan)
        _write(output, document)
        print(f"\n{case.name}\n\n{tables.table(parsed(output.stem, document), case.name)}", flush=True)
    if given.instructions:
        document["instructions"] = {driver: round(instructions.a_request(driver)) for driver in DRIVERS}
        _write(output, document)
    _say(f"figures: {output}, chart: {chart.write(output)}")
    troubles = [row.trouble for row in measured.rows if row.trouble is not None]
    return 0 if found and all(trouble.startswith(EXCUSED) for trouble in troubles) else 1


def _write(output: Path, document: dict[str, Any]) -> None:
    output.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n")


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
