import json
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.cli import main as program
from gateway.cli.main import COMMANDS, main
from gateway.cli.output import colourful, paint


def test_help_lists_every_command_with_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main(["--help"])
    assert left.value.code == 0
    shown = capsys.readouterr().out
    for name, (_, summary) in COMMANDS.items():
        assert f"  {name} " in shown
        assert summary in shown


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_command_of_the_table_is_there_and_has_help(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main([name, "--help"])
    assert left.value.code == 0
    assert "--config FILE" in capsys.readouterr().out


def test_help_imports_no_command_and_no_library() -> None:
    code = "import sys; from gateway.cli.main import main\ntry: main(['--help'])\nexcept SystemExit: pass\n"
    code += "print(*[m for m in ('pydantic', 'yaml', 'cryptography', 'asyncio', 'uvicorn', 'starlette') if "
    code += "m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=30)
    assert done.stdout.splitlines()[-1] == ""


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        pytest.param([], "no command was given", id="nothing"),
        pytest.param(["chekc"], "'chekc' is no command: did you mean check? (see `gateway --help`)", id="typo"),
        pytest.param(["--nonsense"], "unrecognized arguments: --nonsense (see `gateway --help`)", id="unknown-option"),
        pytest.param(
            ["check", "--nonsense"],
            "unrecognized arguments: --nonsense (see `gateway check --help`)",
            id="unknown-option-of-it",
        ),
        pytest.param(
            ["check", "-c"], "argument -c/--config: expected one argument (see `gateway check --help`)", id="no-value"
        ),
        pytest.param(["check", "extra"], "unrecognized arguments: extra (see `gateway check --help`)", id="too-much"),
        pytest.param(["-c", "none.yaml", "check"], "cannot read none.yaml: no such file or directory", id="no-file"),
        pytest.param(
            ["check", "--fail-within", "7"],
            "--fail-within: '7' is not a duration: write one number and one unit, like 300ms, 5s, 10m or 24h",
            id="bad-duration",
        ),
    ],
)
def test_what_cannot_be_told_is_exit_2_and_one_json_document(
    argv: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(argv) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.endswith(f"error: {message}\n")

    assert main([*argv[:-1], *argv[-1:], "--json"] if argv[-1:] != ["-c"] else ["check", "--json", "-c"]) == 2
    document = json.loads(capsys.readouterr().out)
    assert document["error"]["message"] == message
    assert set(document["error"]) == {"message", "file", "line", "column"}


def test_options_may_stand_before_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text("version: 2\n")
    assert main(["--json", "-c", str(path), "check"]) == 1
    assert json.loads(capsys.readouterr().out)["ok"] is False


def _module(monkeypatch: pytest.MonkeyPatch, body: str) -> None:
    """A command whose `run` is `body`."""
    module = type(sys)("made_up_command")
    exec(f"def add_arguments(parser): pass\ndef run(args):\n    {body}", module.__dict__)
    monkeypatch.setitem(sys.modules, "made_up_command", module)
    monkeypatch.setitem(program.COMMANDS, "made-up", ("made_up_command", "does something"))


def test_an_interrupt_is_130(monkeypatch: pytest.MonkeyPatch) -> None:
    _module(monkeypatch, "raise KeyboardInterrupt")
    assert main(["made-up"]) == 130


@pytest.mark.parametrize("body", ["raise KeyboardInterrupt", "return 130"])
def test_an_interrupt_under_json_is_one_document_too(
    body: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _module(monkeypatch, body)
    assert main(["made-up", "--json"]) == 130
    assert json.loads(capsys.readouterr().out)["error"]["message"] == "interrupted"


def test_what_was_printed_before_an_interrupt_stays_the_one_document(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _module(monkeypatch, "from gateway.cli import output; output.print_json([1]); raise KeyboardInterrupt")
    assert main(["made-up", "--json"]) == 130
    assert json.loads(capsys.readouterr().out) == [1]


def test_what_the_operating_system_refuses_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _module(monkeypatch, "open('/nowhere/at/all')")
    assert main(["made-up"]) == 2
    assert capsys.readouterr().err == "error: /nowhere/at/all: No such file or directory\n"
    assert main(["made-up", "--json"]) == 2
    assert json.loads(capsys.readouterr().out)["error"]["file"] == "/nowhere/at/all"


def test_a_fault_of_ours_is_never_an_answer(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _module(monkeypatch, "return 1 / 0")
    assert main(["made-up", "--json"]) == 2
    shown = capsys.readouterr()
    assert "ZeroDivisionError" in json.loads(shown.out)["error"]["message"]
    assert "Traceback" in shown.err


def test_an_invalid_configuration_is_exit_2_where_it_was_not_the_question(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text("version: 1\nzzz: 1\n")
    _module(monkeypatch, "from pathlib import Path; from gateway.config.load import load; load(Path(args.config))")
    assert main(["made-up", "-c", str(path), "--json"]) == 2
    shown = capsys.readouterr()
    assert json.loads(shown.out)["error"] == {
        "message": "'listeners' is missing",
        "file": str(path),
        "line": 1,
        "column": 1,
    }
    assert f"{path}:2:1: error: unknown key 'zzz'" in shown.err


def test_a_reader_that_goes_away_is_no_traceback() -> None:
    command = f"{sys.executable} -m gateway schema | head -c 10"
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=False, timeout=30)
    assert done.stderr == ""


class _Stream:
    def __init__(self, *, terminal: bool) -> None:
        self._terminal = terminal

    def isatty(self) -> bool:
        return self._terminal


def test_colours_only_on_a_terminal_that_wants_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert colourful(_Stream(terminal=True))  # type: ignore[arg-type]
    assert not colourful(_Stream(terminal=False))  # type: ignore[arg-type]
    assert paint("x", "red", _Stream(terminal=True)) == "\x1b[31mx\x1b[0m"  # type: ignore[arg-type]
    monkeypatch.setenv("NO_COLOR", "1")
    assert not colourful(_Stream(terminal=True))  # type: ignore[arg-type]
    monkeypatch.setenv("NO_COLOR", "")
    assert colourful(_Stream(terminal=True))  # type: ignore[arg-type]
    monkeypatch.setenv("TERM", "dumb")
    assert not colourful(_Stream(terminal=True))  # type: ignore[arg-type]


@pytest.mark.parametrize("argv", [["audit", "verify", "nowhere"], ["pki", "issue", "web", "--dir", "nowhere"]])
def test_config_and_json_may_stand_behind_an_action(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*argv, "-c", "mine.yaml", "--json"]) == 2
    assert "unrecognized" not in json.loads(capsys.readouterr().out)["error"]["message"]
