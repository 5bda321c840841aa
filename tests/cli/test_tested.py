"""How `gateway test` tells its results to people and to CI."""

from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from gateway.cli.main import main
from tests.cli.test_test import FAILING, PASSING, ROUTES, put
from tests.control.policy_config import write


@pytest.fixture
def config(tmp_path: Path) -> Path:
    (tmp_path / "policy-tests").mkdir()
    return write(tmp_path, routes=ROUTES)


def test_people_see_what_failed_and_why(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    put(config, "a.yaml", PASSING, FAILING)
    assert main(["-c", str(config), "test"]) == 1
    page = capsys.readouterr().out
    assert "ok   reads" in page
    assert "FAIL writes" in page
    assert "effect: allow was expected, it is deny" in page
    assert "status: 200 was expected, it is 403" in page
    assert "nearest: readers: to.methods must be GET: it is PUT" in page
    assert "rules that no test matched\n  api: writers" in page
    assert "1 passed, 1 failed, 50% of 2 rules covered" in page
    assert "\x1b" not in page


def test_junit_names_each_test_and_failure(config: Path, tmp_path: Path) -> None:
    put(config, "a.yaml", PASSING, FAILING)
    assert main(["-c", str(config), "test", "--junit", str(tmp_path / "report.xml")]) == 1
    suite = ET.fromstring((tmp_path / "report.xml").read_text(encoding="utf-8"))
    assert (suite.get("tests"), suite.get("failures")) == ("2", "1")
    cases = suite.findall("testcase")
    assert [case.get("name") for case in cases] == ["reads", 'writes <&"']
    assert [len(case.findall("failure")) for case in cases] == [0, 1]
    assert "effect: allow was expected, it is deny" in (cases[1][0].get("message") or "")
