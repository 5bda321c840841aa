"""What every test stands on: really frozen nouns, and uvloop, the loop that serves."""

import os

os.environ["GATEWAY_FROZEN"] = "1"

import pytest

from tests import serving


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, bool]]:
    return "asyncio", {"use_uvloop": True}


@pytest.fixture(params=["lane", "asgi"])
def driver(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Whose work `tests.serving.serving` starts: `pytest.mark.usefixtures("driver")` runs a test over both."""
    name = str(request.param)
    monkeypatch.setattr(serving, "default_driver", name)
    return name
