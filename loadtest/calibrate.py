"""How fast the machine is just now: CPU time of a fixed piece of work, of the kind that a gateway does.

Half of it is the interpreter's (attribute reads, calls, dictionaries), half is OpenSSL's (SHA-256). A row's CPU by this
is a figure of the code alone, so that runs on a slow and on a fast day can be compared.
"""

import hashlib
import json
import statistics
import subprocess
import sys
import time

from loadtest.job import ROOT
from loadtest.measure import pinned

LOOPS = 60_000
BLOCK = b"x" * 16_384
BLOCKS = 500


class _Cell:
    __slots__ = ("held", "value")

    def __init__(self) -> None:
        self.value = 0
        self.held: dict[str, int] = {}

    def add(self, name: str) -> None:
        self.value += 1
        self.held[name] = self.held.get(name, 0) + self.value


def work() -> float:
    """CPU milliseconds of one piece."""
    began = time.process_time()
    cell, names = _Cell(), [f"name-{number}" for number in range(64)]
    for number in range(LOOPS):
        cell.add(names[number & 63])
    digest = hashlib.sha256()
    for _ in range(BLOCKS):
        digest.update(BLOCK)
    digest.digest()
    return (time.process_time() - began) * 1000


def calibration(core: int | None) -> float:
    """CPU milliseconds of one piece on a core, the median of some. Raises subprocess.SubprocessError."""
    command = pinned(core, [sys.executable, "-m", "loadtest.calibrate"])
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=ROOT, check=True)
    return float(json.loads(done.stdout))


if __name__ == "__main__":
    print(json.dumps(statistics.median(work() for _ in range(5))))
