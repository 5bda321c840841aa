"""Suggestions as a patch: it applies, changes the rules that it names, and nothing else."""

import asyncio
import shutil
import subprocess
from pathlib import Path

import pytest

from gateway.cli.main import main
from gateway.cli.review_patch import patch
from gateway.config.load import load
from gateway.control.review import Suggestion
from gateway.model.place import Place
from tests.control.audit_log import Ask, write_log
from tests.control.policy_config import config
from tests.control.test_review import WEB

ROUTES = """
- name: api
  match: {paths: ["/api/*"], methods: [GET, HEAD, PUT]}  # what it serves
  upstream: api
  allow:
    # people
    - name: people
      from:
        request_principals: ["*"]
      # to what
      to: {methods: [GET, PUT]}

    # services
    - {name: services, from: {trust_domains: [cluster.local]}}  # all of them
    - {name: "${RULE:-variable}", from: {trust_domains: [cluster.local]}, to: {methods: [HEAD, PUT]}}
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    loaded = config(tmp_path, routes=ROUTES)
    asyncio.run(write_log(loaded, Ask(user="alice"), Ask(client=WEB), Ask(client=WEB, method="PUT")))
    return loaded.path


def test_the_patch_applies_and_the_file_is_as_tight_as_its_use(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["review", "-c", "routes.yaml", "--patch", "tighter.patch", "audit"]) == 0
    before = file.read_text()
    tool = shutil.which("patch")
    git = shutil.which("git")
    if tool is not None:
        subprocess.run([tool, "-p1", "-i", "tighter.patch"], check=True, cwd=tmp_path, capture_output=True)
    elif git is not None:
        subprocess.run([git, "apply", "tighter.patch"], check=True, cwd=tmp_path, capture_output=True)
    else:
        pytest.skip("neither patch nor git is here")
    people, services, _ = load(file).routes[0].allow
    assert people.to[0].methods == ("GET",)
    assert people.from_[0].request_principals == ("https://auth.example.com/realms/internal/alice",)
    assert (services.from_[0].principals, services.from_[0].trust_domains) == ((WEB,), ())
    for comment in ("# what it serves", "# people", "# services", "# all of them"):
        assert comment in file.read_text()
    gone = [line for line in before.splitlines() if line not in file.read_text().splitlines()]
    assert [line.strip().partition(":")[0] for line in gone] == [
        "from", "request_principals", "# to what", "to", "- {name",
    ]  # fmt: skip


def test_what_holds_a_variable_is_left_out_and_named(
    file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    where = load(file).routes[0].allow[2].where
    text, left = patch(file, [Suggestion("api", "variable", where, "", 1, {"name": "variable"})])
    assert (text, [each.rule for each in left]) == ("", ["variable"])
    gone = Suggestion("api", "gone", Place(str(file), 1, 1000), "", 1, {"name": "gone"})
    assert patch(file, [gone]) == ("", [gone])


def test_what_does_not_fit_writes_nothing(file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from gateway.cli.output import CannotTell

    where = load(file).routes[0].allow[1].where
    with pytest.raises(CannotTell, match="the suggestions do not fit"):
        patch(file, [Suggestion("api", "services", where, "", 1, {"name": "services", "frm": {}})])
    assert not list(tmp_path.glob(".review-*"))
