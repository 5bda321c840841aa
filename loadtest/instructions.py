"""What a request of the full job costs in instructions: `python -m loadtest.instructions`, where valgrind is installed.

The full job over transports in memory (`loadtest.inside`), counted by callgrind from when all is warm. Instructions do
not depend on how busy the machine is: two counts of the same code differ by less than a hundredth, so that a change of
two per cent can be told from one run. They are no time: system calls and TLS are not in them.
"""

import argparse
import re
import shutil
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from loadtest.inside import DRIVERS, WARM
from loadtest.job import ROOT, WORK

ROUNDS = 4
SIZE = 100  # requests of a round
LONGEST = 600.0  # seconds


def missing() -> str | None:
    """What has to be installed; None when it is."""
    return None if shutil.which("valgrind") and shutil.which("callgrind_control") else "apt-get install valgrind"


def counted(report: str) -> int:
    """Instructions out of what callgrind says at its end. Raises ValueError when it says nothing of the kind."""
    found = re.search(r"Collected : (\d+)", report)
    if found is None or found[1] == "0":
        raise ValueError(f"callgrind counted nothing: {report.strip()[-300:]}")
    return int(found[1])


def a_request(driver: str, rounds: int = ROUNDS, size: int = SIZE) -> float:
    """Instructions a request. Raises ValueError, OSError, subprocess.SubprocessError."""
    WORK.mkdir(exist_ok=True)
    with TemporaryDirectory(dir=WORK, prefix="instructions-") as directory:
        tool = ["valgrind", "--tool=callgrind", "--instr-atstart=no", f"--callgrind-out-file={Path(directory) / 'out'}"]
        told = ["--driver", driver, "--rounds", str(rounds), "--size", str(size), "--wait"]
        popen = subprocess.Popen(
            [*tool, sys.executable, "-m", "loadtest.inside", *told],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )
        try:
            assert popen.stdout is not None
            if popen.stdout.readline().strip() == WARM:
                begin = ["callgrind_control", "-i", "on", str(popen.pid)]
                subprocess.run(begin, check=True, capture_output=True, timeout=60)
            _, report = popen.communicate("\n", timeout=LONGEST)
        finally:
            popen.kill()
            popen.communicate()
    return counted(report) / (rounds * size)


def main(arguments: list[str]) -> int:
    """0, or 2 where nothing can be counted."""
    parser = argparse.ArgumentParser(prog="python -m loadtest.instructions", description=__doc__)
    parser.add_argument("--driver", choices=DRIVERS, help="only this one")
    given = parser.parse_args(arguments)
    if (needed := missing()) is not None:
        print(f"not installed: {needed}", file=sys.stderr)
        return 2
    for driver in (given.driver,) if given.driver else DRIVERS:
        print(f"{driver}: {a_request(driver):,.0f} instructions a request", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
