"""The program's own log: one line an event."""

import json
import logging
import sys

import pytest

from gateway.control.logs import JsonLines, TextLines, configure


def record(message: str, *args: object) -> logging.LogRecord:
    made = logging.LogRecord("gateway.x", logging.WARNING, "file.py", 1, message, args, None)
    made.created = 1795315174.6181576
    return made


def test_json_lines_are_json() -> None:
    line = JsonLines().format(record("%s said\n%s", "he", "no"))
    assert "\n" not in line
    assert json.loads(line) | {"pid": 0} == {
        "time": "2026-11-22T02:39:34.618Z", "level": "warning", "logger": "gateway.x", "pid": 0,
        "message": "he said\nno",
    }  # fmt: skip


def test_text_lines_cannot_be_forged() -> None:
    line = TextLines().format(record("path %s", "/a\n2026 error forged\x1b[2J"))
    assert line == "2026-11-22T02:39:34.618Z warning path /a\\n2026 error forged\\x1b[2J"


@pytest.mark.parametrize("form", [JsonLines(), TextLines()])
def test_a_traceback_is_kept(form: logging.Formatter) -> None:
    made = record("failed")
    try:
        raise ValueError("why")
    except ValueError:
        made.exc_info = sys.exc_info()
    assert "ValueError: why" in form.format(made)


def test_libraries_are_quiet_and_levels_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    try:
        configure("debug", "json")
        assert logging.getLogger("gateway").isEnabledFor(logging.DEBUG)
        assert not logging.getLogger("uvicorn.error").isEnabledFor(logging.INFO)
        configure("error", "text")
        assert not logging.getLogger("gateway").isEnabledFor(logging.WARNING)
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)
        for name in ("uvicorn", "uvicorn.error", "httpx2", "httpcore2", "asyncio"):
            logging.getLogger(name).setLevel(logging.NOTSET)
