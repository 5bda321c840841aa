"""Nouns are frozen while tests run, and slotted always."""

import dataclasses
import os
import subprocess
import sys

import pytest

from gateway.model.limit import LimitStatus

_SCRIPT = """
from gateway.model.limit import LimitStatus
status = LimitStatus("a", 1, 1, 1, 1)
try:
    status.quota = 2
    print("changed")
except AttributeError:
    print("frozen")
try:
    status.other = 2
    print("open")
except (AttributeError, TypeError):  # a frozen slotted dataclass says TypeError for what it has no slot for
    print("slotted")
"""


def test_a_noun_cannot_be_changed_in_the_tests() -> None:
    status = LimitStatus("a", 1, 1, 1, 1)
    with pytest.raises(dataclasses.FrozenInstanceError):
        status.quota = 2  # type: ignore[misc]


@pytest.mark.parametrize(("flag", "said"), [("1", ["frozen", "slotted"]), ("0", ["changed", "slotted"])])
def test_what_freezes_nouns_is_the_environment(flag: str, said: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _SCRIPT],
        env={**os.environ, "GATEWAY_FROZEN": flag},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == said
