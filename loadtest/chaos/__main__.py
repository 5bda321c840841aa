"""`python -m loadtest.chaos`: break one thing after another under light load, print a table, exit 1 if a promise broke.

The promises: no wrong allow, no unlogged access, no 401 or 403 from an outage, recovery by itself, an audit log that
verifies. About two minutes; `--only TEXT` takes the faults whose name holds it.
"""

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from loadtest.chaos.faults import FAULTS, Fault
from loadtest.chaos.load import Kind, Load, Phase, unlogged
from loadtest.chaos.world import World, world
from loadtest.job import ROOT, WORK

_STEP = "clock_backwards"  # a finding of verify
_CALM = 1.0  # seconds between two faults
_IN_A_ROW = 10  # good answers after which it is well again
_BOUND = 20.0  # seconds that recovery may take


async def broken(of: World, load: Load, name: str, seconds: float, fault: Fault) -> Phase:
    """One fault, from the moment it begins until all is well."""
    phase = load.phase = Phase(name)
    async with fault(of):
        await asyncio.sleep(seconds)
    mended, row = time.monotonic(), 0
    while row < _IN_A_ROW and time.monotonic() - mended < _BOUND:
        good = (await load.ask(Kind.GOOD)).status == 200
        good = good and (await load.ask(Kind.COUNTED)).status in (200, 429)  # its store is back too
        row = row + 1 if good else 0
        if row == 1:
            phase.recovered = time.monotonic() - mended
        elif not row:
            phase.recovered = None
    if row < _IN_A_ROW:
        phase.recovered = None
    return phase


async def run(only: str, folder: Path) -> int:
    """All of it; the exit code."""
    began, problems = time.monotonic(), list[str]()
    print(f"{'what breaks':36} {'asked':>6} {'200':>5} {'worst':>8} {'well again':>11}  answers", flush=True)
    async with world(folder) as of:
        load = Load(of)
        async with load.running():
            await asyncio.sleep(_CALM)
            for name, seconds, fault in FAULTS:
                if only in name:
                    phase = await broken(of, load, name, seconds, fault)
                    problems += told(phase)
                    load.phase = Phase("calm")
                    await asyncio.sleep(_CALM)
                    problems += [f"calm after {name}: {what}" for what in load.phase.violations]
        over = load.over_quota()
        problems += [over] if over is not None else []
    missing = unlogged(load.allowed, of.audit)
    if missing:
        problems.append(f"{len(missing)} answers of 200 have no record, the first {missing[0]}")
    steps, damage = damages(await asyncio.to_thread(verify, of))
    problems += [f"the audit log does not verify: {each}" for each in damage]
    recorded = len(load.allowed) - len(missing)
    print(f"\n{len(load.allowed)} accesses, {load.counted} of them counted; {recorded} have a record")
    print(
        f"audit verify: {len(damage)} damages, {steps} steps back of the clock; {time.monotonic() - began:.0f} s in all"
    )
    for problem in problems:
        print(f"BROKEN PROMISE: {problem}")
    return 1 if problems else 0


def told(phase: Phase) -> list[str]:
    """Print a row; gives what is wrong with it."""
    counts = phase.counts()
    others = ", ".join(f"{what} {count}" for what, count in sorted(counts.items()) if what != "200")
    worst = max((seen.seconds for seen in phase.seen), default=0.0)
    again = f"{phase.recovered:8.2f} s" if phase.recovered is not None else "never"
    print(
        f"{phase.name:36} {len(phase.seen):6} {counts.get('200', 0):5} {worst:6.2f} s {again:>11}  {others}", flush=True
    )
    problems = [f"{phase.name}: {what} ({count} times)" for what, count in phase.violations.items()]
    return problems if phase.recovered is not None else [*problems, f"{phase.name}: not well again within {_BOUND} s"]


def verify(of: World) -> str:
    """`gateway audit verify` over what was written, as JSON."""
    key = of.folder / "certs" / "audit.pub"
    command = [sys.executable, "-m", "gateway", "audit", "verify", str(of.audit), "--key", str(key), "--json"]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT).stdout


def damages(report: str) -> tuple[int, list[str]]:
    """How often the clock went back, which verify tells and which was our doing; and all else that it found."""
    streams = json.loads(report)["streams"]
    findings = [
        (finding["kind"], f"{stream['stream']}: {finding}") for stream in streams for finding in stream["findings"]
    ]
    return sum(kind == _STEP for kind, _ in findings), [told for kind, told in findings if kind != _STEP]


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m loadtest.chaos", description=__doc__)
    parser.add_argument("--only", default="", help="faults whose name holds this")
    given = parser.parse_args(arguments)
    WORK.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=WORK, prefix="chaos-") as directory:
        return asyncio.run(run(given.only, Path(directory)))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
