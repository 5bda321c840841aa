"""`gateway audit verify`: its exit codes, its JSON, and where its key comes from."""

import json
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gateway.cli.main import main
from gateway.stages.record import record_config
from gateway.testing.keys import new_key, private_pem, public_pem, write_private
from tests.stages.record.scene import lines, open_log

CONFIG = """
version: 1
listeners: {{edge: {{address: "127.0.0.1:8081"}}}}
routes: [{{name: health, match: {{paths: [/health]}}, public: true, respond: {{status: 200}}}}]
audit: {{directory: audit, signing_key: {key}}}
"""


@pytest.fixture
async def audit(tmp_path: Path) -> Path:
    """A signed log in `audit`, its key's halves beside it."""
    key = Ed25519PrivateKey.generate()
    write_private(tmp_path / "audit.key", private_pem(key))
    (tmp_path / "audit.pub").write_bytes(public_pem(key))
    log = open_log(tmp_path / "audit", key=key)
    log.start()
    for number in range(3):
        record_config(log, digest=str(number), ok=True)
    await log.close()
    return tmp_path / "audit"


def verify(directory: Path, *options: str, config: Path = Path("nowhere.yaml")) -> int:
    return main(["-c", str(config), "audit", "verify", str(directory), *options])


def document(capsys: pytest.CaptureFixture[str]) -> dict[str, object]:
    answer: dict[str, object] = json.loads(capsys.readouterr().out)
    return answer


async def test_a_log_that_holds(audit: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert verify(audit, "--key", str(audit.parent / "audit.pub"), "--json") == 0
    head = lines(audit)[-1]["hash"]
    assert document(capsys) == {
        "ok": True,
        "records": 5,
        "streams": [{"stream": "here-w0", "records": 5, "head": head, "findings": [], "warnings": []}],
    }
    assert verify(audit, "--key", str(audit.parent / "audit.pub")) == 0
    assert capsys.readouterr().out == f"here-w0: 5 records, holds, head {head}\n"


async def test_the_first_damaged_record_is_named(audit: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (path,) = audit.glob("*.jsonl")
    path.write_bytes(path.read_bytes().replace(b'"config":"1"', b'"config":"9"'))
    assert verify(audit, "--json") == 1
    found = document(capsys)["streams"]
    assert isinstance(found, list)
    message = "record 3 was altered: its bytes do not have its hash"
    assert found[0]["findings"] == [{"file": str(path), "line": 3, "seq": 3, "kind": "altered", "message": message}]
    assert verify(audit) == 1
    assert f"{path}:3: altered: {message}" in capsys.readouterr().out


async def test_the_key_of_the_config_is_the_default(audit: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = audit.parent / "routes.yaml"
    config.write_text(CONFIG.format(key="audit.key"))
    assert verify(audit, config=config) == 0
    assert "signatures_not_checked" not in capsys.readouterr().out
    write_private(audit.parent / "other.key", private_pem(new_key("ed25519")))
    config.write_text(CONFIG.format(key="other.key"))
    assert verify(audit, config=config) == 1
    assert "signature_bad" in capsys.readouterr().out


async def test_without_a_key_it_says_what_was_not_checked(audit: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert verify(audit) == 0
    assert "signatures_not_checked" in capsys.readouterr().out


async def test_one_of_several_keys_is_enough(audit: Path, tmp_path: Path) -> None:
    (tmp_path / "old.pub").write_bytes(public_pem(new_key("ed25519")))
    old, new = str(tmp_path / "old.pub"), str(audit.parent / "audit.pub")
    assert verify(audit, "--key", old) == 1
    assert verify(audit, "--key", old, "--key", new) == 0


async def test_a_head_kept_elsewhere(audit: Path, capsys: pytest.CaptureFixture[str]) -> None:
    kept = lines(audit)[-1]["hash"]
    assert verify(audit, "--head", kept.upper()) == 0
    (path,) = audit.glob("*.jsonl")
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-1]))
    assert verify(audit) == 0
    assert "tail not protected" in capsys.readouterr().out
    assert verify(audit, "--head", kept) == 1
    assert "truncated" in capsys.readouterr().out


@pytest.mark.parametrize(
    "options", [["--key", "nowhere.pub"], ["--key", "README"], ["--key", "rsa.pub"], ["--head", "abc"], ["--nonsense"]]
)
async def test_what_cannot_be_judged_is_2(
    audit: Path, options: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(audit.parent)
    Path("README").write_text("no key")
    Path("rsa.pub").write_bytes(public_pem(new_key("rsa2048")))
    assert verify(audit, *options, "--json") == 2
    assert set(document(capsys)) == {"error"}


def test_no_directory_and_no_log_are_2(tmp_path: Path) -> None:
    assert verify(tmp_path / "nowhere") == 2
    assert verify(tmp_path) == 2
