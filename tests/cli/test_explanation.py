"""The page that people read: the answer first, the deciding line next, what would be enough last."""

from pathlib import Path

import pytest

from gateway.cli.main import main
from tests.cli.test_explain import LIMITS, POLICIES, READER, ROUTES, URL
from tests.control.policy_config import place, write


def page(folder: Path, capsys: pytest.CaptureFixture[str], *args: str, client_certificate: str = "optional") -> str:
    file = write(folder, routes=ROUTES, policies=POLICIES, more=LIMITS, client_certificate=client_certificate)
    main(["explain", "-c", str(file), *args])
    return capsys.readouterr().out


def test_the_answer_comes_first_and_the_deciding_line_next(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = page(tmp_path, capsys, "GET", URL, "--claims", READER).splitlines()
    assert lines[0] == f"ALLOW  GET {URL}"
    assert lines[1] == f"  decided by readers  {place(tmp_path / 'routes.yaml', '{name: readers')}"
    assert "\x1b" not in "".join(lines)


def test_a_deny_ends_with_what_would_be_enough(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told = page(tmp_path, capsys, "POST", URL, "--claims", READER)
    assert told.startswith(f"DENY 403 no_rule_allows  POST {URL}\n")
    assert "  refused  authorize          no_rule_allows: no allow rule matches\n" in told
    nearest = told.partition("nearest to being allowed\n")[2]
    assert "readers" in nearest
    assert "    to.methods must be GET: it is POST\n" in nearest


def test_a_miss_names_the_methods_that_are_served(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told = page(tmp_path, capsys, "DELETE", URL)
    assert "  refused  route              method_not_allowed: served here: GET, POST\n" in told
    assert "decided by" not in told
    assert "rules" not in told


def test_the_handshake_and_notes_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told = page(tmp_path, capsys, "GET", URL, client_certificate="required")
    assert "  the TLS handshake refuses this: the client sees a closed connection, no answer\n" in told
    args = ("GET", URL, "--client", "spiffe://cluster.local/ns/a/sa/b")
    assert "  note: listener edge asks for no client certificate" in page(
        tmp_path, capsys, *args, client_certificate="none"
    )
