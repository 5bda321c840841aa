"""The files that users start from are valid, as `gateway check` sees them in a folder made by `gateway pki init`."""

import shutil
from pathlib import Path

import pytest

from gateway.cli.main import main

ROOT = Path(__file__).parents[1]
# contract.yaml holds keys that are still to be built, and has a test of its own.
EXAMPLES = [
    ROOT / "routes.yaml",
    *(path for path in sorted((ROOT / "examples").glob("*.yaml")) if path.stem != "contract"),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("examples")
    assert main(["pki", "init", str(made / "certs")]) == 0
    return made


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_is_valid_and_has_nothing_to_warn_of(
    example: Path, folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    shutil.copy(example, folder)
    strict = ["--strict"] if example.stem != "minimal" else []  # the smallest file signs no checkpoints
    assert main(["check", "-c", example.name, *strict]) == 0, capsys.readouterr().out


def test_without_certificates_each_missing_file_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copy(ROOT / "routes.yaml", tmp_path)
    assert main(["check"]) == 1
    said = capsys.readouterr().out
    for name in ("edge.pem", "edge.key", "gateway.pem", "cluster-ca.pem", "audit.key"):
        assert name in said
