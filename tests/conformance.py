"""Finds the public vectors, which live beside the project and are not copied into it."""

import os
from pathlib import Path

from tests.absent import absent

_BESIDE = Path(__file__).resolve().parents[2] / "shared" / "conformance"


def vectors(relative: str) -> Path:
    """The path of a vector file or folder; skips the test, with a message, where the vectors are absent."""
    path = Path(os.environ.get("GATEWAY_CONFORMANCE", _BESIDE)) / relative
    if not path.exists():
        absent("VECTORS", f"the public vectors are not beside the project: {relative}")
    return path
