"""Nouns are frozen while tests run, and slotted always."""

import dataclasses
import os
import subprocess
import sys

import pytest

from gateway.model.reason import Effect
from gateway.model.shadow import Shadow

_SCRIPT = """
from gateway.model.reason import Effect
from gateway.model.shadow import Shadow
shadow = Shadow("rule", "a", Effect.DENY, None)
try:
    shadow.name = "b"
    print("changed")
except AttributeError:
    print("frozen")
try:
    shadow.other = 2
    print("open")
except (AttributeError, TypeError):  # a frozen slotted dataclass says TypeError for what it has no slot for
    print("slotted")
"""


def test_a_noun_cannot_be_changed_in_the_tests() -> None:
    shadow = Shadow("rule", "a", Effect.DENY, None)
    with pytest.raises(dataclasses.FrozenInstanceError):
        shadow.name = "b"  # type: ignore[misc]


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
