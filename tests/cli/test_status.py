"""`gateway status` asks a running gateway, over each kind of address."""

import json

import pytest

from tests.cli.conftest import Running


async def test_status(running: Running, capsys: pytest.CaptureFixture[str]) -> None:
    assert await running.gateway_command("status") == 0
    assert capsys.readouterr().out == "version: 0.1.0\nconfig:\n  digest: c0ffee\n"
    assert await running.gateway_command("status", "--json") == 0
    assert json.loads(capsys.readouterr().out)["workers"][0]["config"] == {"digest": "c0ffee"}


@pytest.mark.parametrize("running", ["tcp"], indirect=True)
async def test_a_worker_that_does_not_answer_is_1_and_lists_are_readable(
    running: Running, capsys: pytest.CaptureFixture[str]
) -> None:
    running.gateway.sections.clear()
    running.gateway.sections |= {
        "worker": lambda: 1,
        "error": lambda: "does not answer",
        "listeners": lambda: ["edge", "http"],
        "upstreams": lambda: [{"name": "inventory", "up": True}, {"name": "next", "up": None}],
        "empty": dict,
    }
    assert await running.gateway_command("status") == 1
    assert capsys.readouterr().out == (
        "worker: 1\nerror: does not answer\nlisteners: edge, http\n"
        "upstreams:\n  name: inventory\n  up: yes\n  name: next\n  up: none\nempty: none\n"
    )
