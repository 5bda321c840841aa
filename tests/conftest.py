"""What every test stands on: really frozen nouns, and uvloop, the loop that serves."""

import os

os.environ["GATEWAY_FROZEN"] = "1"

import pytest


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, bool]]:
    return "asyncio", {"use_uvloop": True}
