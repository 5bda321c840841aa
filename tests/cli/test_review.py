"""`gateway review`: documents and pages."""

import asyncio
import json
from pathlib import Path

import pytest

from gateway.cli.main import main
from tests.control.audit_log import Ask, write_log
from tests.control.policy_config import config, place
from tests.control.test_review import POLICIES, ROUTES, STRICT, WEB


@pytest.fixture
def log(tmp_path: Path) -> Path:
    loaded = config(tmp_path, routes=ROUTES, policies=POLICIES, listeners=STRICT)
    return asyncio.run(write_log(loaded, Ask(client=WEB), Ask(user="alice"), Ask(user="alice", method="HEAD")))


def test_the_documents_shape(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = log.parent / "routes.yaml"
    assert main(["review", "-c", str(file), "--json", str(log)]) == 0
    found = json.loads(capsys.readouterr().out)
    assert list(found) == ["unused_rules", "over_privileged", "strict_would_break", "suggestions"]
    assert found["unused_rules"][-1] == {
        "rule": "idle", "route": "api", "action": "allow", "mode": "enforce", "where": place(file, "{name: idle"),
    }  # fmt: skip
    assert found["over_privileged"] == [
        {
            "principal": WEB, "route": "api", "rule": "services", "where": place(file, "{name: services"),
            "granted": ["DELETE", "GET", "HEAD", "PUT"], "used": ["GET"], "requests": 1,
        }
    ]  # fmt: skip
    assert found["strict_would_break"] == [
        {
            "listener": "edge", "principal": "https://auth.example.com/realms/internal/alice",
            "since": "2027-01-15T08:00:00Z", "last": "2027-01-15T08:00:00Z", "requests": 2, "routes": ["api"],
        }
    ]  # fmt: skip
    assert [each["rule"] for each in found["suggestions"]] == ["services", "people"]


def test_people_read_it_at_a_glance(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["review", "-c", str(log.parent / "routes.yaml"), str(log)]) == 0
    page = capsys.readouterr().out
    assert "rules never used\n  audit puts" in page
    assert "api: services: GET of DELETE, GET, HEAD, PUT, 1 requests" in page
    assert "edge: not ready, 1 without a certificate since 2027-01-15T08:00:00Z" in page
    assert "  - name: services\n    from:" in page


def test_a_log_without_decisions_says_so(tmp_path: Path, log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "none.jsonl").write_text('{"type":"checkpoint"}\n')
    assert main(["review", "-c", str(log.parent / "routes.yaml"), str(tmp_path / "none.jsonl")]) == 0
    assert "nothing can be said" in capsys.readouterr().out
    assert main(["review", "-c", str(log.parent / "routes.yaml"), str(tmp_path / "nowhere")]) == 2
