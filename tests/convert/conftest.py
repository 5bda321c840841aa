from pathlib import Path

import pytest

from gateway.testing.pki import Folder


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with `certs/`; each test writes its own files there."""
    made = tmp_path_factory.mktemp("convert")
    Folder(made / "certs").init()
    return made
