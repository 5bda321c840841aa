"""`python -m loadtest.proofs [NAME…]` (make prove): prove, print the table, keep the figures in loadtest/results/."""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path

import uvloop

from loadtest.job import RESULTS, WORK
from loadtest.proofs import bodies, deploy, figure, loris, soak, store, trust
from loadtest.proofs.figure import Figure
from loadtest.proofs.plan import Plan
from loadtest.proofs.site import stay_aside

PROOFS: dict[str, Callable[[Plan], Awaitable[list[Figure]]]] = {
    "reload": deploy.reload,
    "rolling": deploy.rolling,
    "drain": deploy.drain,
    "bodies": bodies.large,
    "pressure": bodies.pressure,
    "loris": loris.loris,
    "flood": trust.flood,
    "rotation": trust.rotation,
    "revocation": trust.revocation,
    "black-hole": store.black_hole,
    "burst": store.burst,
    "soak": soak.soak,
}


def main(arguments: list[str]) -> int:
    """0 when every figure met its bound, 1 when not."""
    parser = argparse.ArgumentParser(prog="python -m loadtest.proofs", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(PROOFS)}; default: all")
    parser.add_argument("--quick", action="store_true", help="a look at each, not a figure to quote")
    parser.add_argument("--rate", type=float, default=500, help="good requests a second, default 500")
    parser.add_argument("--seconds", type=float, help="of a calm or troubled stretch, default 20: 10,000 samples")
    parser.add_argument("--soak", type=float, help="seconds of the soak, default 600")
    parser.add_argument("--output", type=Path, help="where the JSON goes (default: a new file in loadtest/results/)")
    given = parser.parse_args(arguments)
    if unknown := set(given.names) - PROOFS.keys():
        parser.error(f"no proof is called {', '.join(sorted(unknown))}: {', '.join(PROOFS)}")
    seconds, turns, size, soak = (3.0, 3, 64, 20.0) if given.quick else (20.0, 10, 1024, 600.0)
    stay_aside()
    WORK.mkdir(exist_ok=True)
    figures, took = list[Figure](), dict[str, float]()
    for name, prove in PROOFS.items():
        if given.names and name not in given.names:
            continue
        began = time.monotonic()
        with tempfile.TemporaryDirectory(dir=WORK, prefix=f"{name}-") as directory:
            plan = Plan(Path(directory), given.rate, given.seconds or seconds, turns, size, given.soak or soak)
            figures += uvloop.run(_proved(name, prove, plan))
        took[name] = time.monotonic() - began
        print(f"{name}: {took[name]:.0f} s", file=sys.stderr, flush=True)
    print(figure.table(figures))
    name = f"proofs-{datetime.now(UTC):%Y%m%dT%H%M%SZ}{'-quick' if given.quick else ''}.json"
    output = given.output or RESULTS / name
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(json.dumps(figure.document(figures, took), indent=1, ensure_ascii=False) + "\n")
    print(f"figures: {output}", file=sys.stderr)
    return 0 if all(one.met for one in figures) else 1


async def _proved(name: str, prove: Callable[[Plan], Awaitable[list[Figure]]], plan: Plan) -> list[Figure]:
    try:
        return await prove(plan)
    except (OSError, TimeoutError, RuntimeError, AssertionError) as error:
        return [Figure(name, "the proof itself", 0, "", "ran", met=False, note=repr(error)[-300:])]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
