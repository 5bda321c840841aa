"""`check --print` as a golden file: tests/golden/effective.yaml. Made anew with GOLDEN=1."""

import os
from pathlib import Path

import yaml

from gateway.config.effective import Effective
from gateway.config.load import load
from tests.config.sample import loaded, write

GOLDEN = Path(__file__).parent.parent / "golden"


def test_the_effective_configuration_with_every_default_and_its_cause(folder: Path) -> None:
    config = load(write(folder, (GOLDEN / "routes.yaml").read_text(encoding="utf-8")), env={"WORKERS": "2"})
    lines = "\n".join(Effective(config).lines()) + "\n"
    if os.environ.get("GOLDEN") == "1":
        (GOLDEN / "effective.yaml").write_text(lines, encoding="utf-8")
    assert lines == (GOLDEN / "effective.yaml").read_text(encoding="utf-8")


def test_what_is_printed_is_a_file_that_means_the_same(folder: Path) -> None:
    config = load(write(folder, (GOLDEN / "routes.yaml").read_text(encoding="utf-8")), env={"WORKERS": "2"})
    printed = Effective(config)
    again = loaded(folder, "\n".join(printed.lines()).replace("(secret)", "redis://127.0.0.1/1"))
    assert Effective(again).plain() == printed.plain()
    assert yaml.safe_load("\n".join(printed.lines())) == printed.plain()


def test_secrets_are_not_printed(folder: Path) -> None:
    config = load(write(folder, (GOLDEN / "routes.yaml").read_text(encoding="utf-8")), env={"WORKERS": "2"})
    assert "hunter2" in config.store.get_secret_value()
    assert "hunter2" not in "\n".join(Effective(config).lines())
    assert "hunter2" not in str(Effective(config).plain())
