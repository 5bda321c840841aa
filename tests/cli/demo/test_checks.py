"""What `gateway demo --check` makes of answers, and of none."""

from pathlib import Path

from gateway.cli.demo.cases import CASES
from gateway.cli.demo.checks import audit, try_case, walk
from gateway.cli.demo.place import Place

READ = next(case for case in CASES if case.name == "allowed-read")


async def test_no_answer_at_all_is_a_failed_check(tmp_path: Path) -> None:
    finding, answer = await try_case(READ, Place(tmp_path, 1, 1, 1, 1, "", ""))
    assert answer is None
    assert not finding.passed
    assert "no answer" in finding.actual


async def test_every_check_is_walked_even_when_nobody_answers(tmp_path: Path) -> None:
    nowhere = Place(tmp_path, 1, 1, 1, 1, "http://127.0.0.1:1", "http://127.0.0.1:1")
    findings = [finding async for finding in walk(nowhere)]
    assert [finding.name for finding in findings] == [
        *(case.name for case in CASES),
        "browser-login",
        "browser-other-origin",
    ]
    assert not any(finding.passed for finding in findings)


def test_an_audit_log_that_cannot_be_verified_is_a_failed_check(tmp_path: Path) -> None:
    finding = audit(Place(tmp_path, 1, 1, 1, 1, "", ""))
    assert not finding.passed
    assert str(tmp_path) in finding.actual
