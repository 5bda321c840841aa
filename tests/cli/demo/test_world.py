"""Starting the demo's parts, when the last of them does not start. (tests/flows/test_demo.py runs the whole.)"""

from pathlib import Path

import pytest

from gateway.cli.demo.world import NotStarted, world


async def test_when_the_gateway_does_not_start_it_is_said_why_and_nothing_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.chdir(Path(__file__).parents[3])
    config = tmp_path / "routes.yaml"
    config.write_text("version: 2\n")
    told: list[str] = []
    with pytest.raises(NotStarted, match=r"the gateway ended with \d; it said:\n(.|\n)*version"):
        async with world(config, told.append):
            pass
    assert [line.split()[0] for line in told] == ["certificates:", "OpenID", "backend", "backend", "browser"]
    assert list(tmp_path.iterdir()) == [config]
