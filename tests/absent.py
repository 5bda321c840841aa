"""What a machine may lack: a test is skipped there with a message, unless this run may not do without it."""

import os
from typing import NoReturn

import pytest


def absent(what: str, why: str) -> NoReturn:
    """Skip; fail where GATEWAY_REQUIRE_<WHAT>=1, as CI sets it."""
    variable = f"GATEWAY_REQUIRE_{what}"
    if os.environ.get(variable) == "1":
        pytest.fail(f"{why}, and {variable}=1")
    pytest.skip(why)
