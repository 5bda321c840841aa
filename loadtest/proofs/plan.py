"""How much a proof measures, and what it is given."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Plan:
    """The full proof, or a look at it."""

    folder: Path  # a new one, the proof's own
    rate: float  # good requests a second
    seconds: float  # of a calm or a troubled stretch
    turns: int  # rotations, restarts, reloads
    mebibytes: int  # of a large body
    soak: float  # seconds
