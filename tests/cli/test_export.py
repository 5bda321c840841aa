import json
import shutil
from pathlib import Path

import pytest
import yaml

from gateway.cli.main import main

SERVICES = Path(__file__).parents[2] / "examples" / "services.yaml"


@pytest.fixture
def config(tmp_path: Path) -> Path:
    assert main(["pki", "init", str(tmp_path / "certs")]) == 0
    shutil.copy(SERVICES, tmp_path)
    return tmp_path / "services.yaml"


def test_the_bootstrap_is_the_same_as_yaml_and_as_json(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert main(["export", "envoy", "-c", str(config)]) == 0
    people = capsys.readouterr()
    assert main(["export", "envoy", "-c", str(config), "--json"]) == 0
    machines = capsys.readouterr()
    bootstrap = json.loads(machines.out)
    assert yaml.safe_load(people.out) == bootstrap
    assert [cluster["name"] for cluster in bootstrap["static_resources"]["clusters"]] == ["orders", "ledger"]
    assert people.err == machines.err
    assert "not carried: rate_limits.per-workload: " in people.err
    assert f"{config}:" in people.err


def test_a_file_that_is_not_valid_has_no_answer(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "routes.yaml").write_text("version: 2\n")
    assert main(["export", "envoy", "-c", str(tmp_path / "routes.yaml"), "--json"]) == 2
    assert "error" in json.loads(capsys.readouterr().out)
    assert main(["export", "nginx", "-c", str(tmp_path / "routes.yaml")]) == 2
