"""What every test stands on: really frozen nouns, uvloop, the loop that serves, and nobody's roots but their own."""

import gc
import os
from collections.abc import Generator
from pathlib import Path

os.environ["GATEWAY_FROZEN"] = "1"
# An authority that ended long ago, whose key is gone: no test believes those of the machine (60 ms to read, each time)
os.environ["SSL_CERT_FILE"] = str(Path(__file__).with_name("roots.pem"))

import pytest

from tests import serving


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Each of n workers begins with another nth of the files: each file is compiled by one of them, for all."""
    report = yield
    at, count = (os.environ.get(f"PYTEST_XDIST_{name}", "") for name in ("WORKER", "WORKER_COUNT"))
    if at and isinstance(collector, pytest.Directory) and report.passed:
        begin = len(report.result) * int(at.removeprefix("gw")) // int(count)
        report.result = report.result[begin:] + report.result[:begin]
    return report


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """In every worker the same order again."""
    items.sort(key=lambda item: item.path)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """What is imported and collected stays: no garbage collector looks at it, now or later."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, bool]]:
    return "asyncio", {"use_uvloop": True}


@pytest.fixture(params=["lane", "asgi"])
def driver(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Whose work `tests.serving.serving` starts: `pytest.mark.usefixtures("driver")` runs a test over both."""
    name = str(request.param)
    monkeypatch.setattr(serving, "default_driver", name)
    return name
