"""What a handshake costs is told in ratios, which have bounds."""

import shutil

import pytest

from loadtest.handshakes import FULL, RESUMED, Row, main, report


@pytest.mark.parametrize(("full", "resumed", "within"), [(130, 65, True), (131, 65, False), (130, 66, False)])
def test_the_medians_are_held_against_the_bounds(
    full: float, resumed: float, within: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    ours = Row("gateway", 1, 1, {FULL: [full, 1, 1000], RESUMED: [1, resumed, 1000]})
    assert report([ours, Row("nginx", 2, 2, {FULL: [100], RESUMED: [50]})]) is within
    assert f"full to nginx's {full / 100:.2f}" in capsys.readouterr().out


@pytest.mark.skipif(shutil.which("nginx") is None, reason="nginx is not installed")
def test_both_servers_are_measured(capsys: pytest.CaptureFixture[str]) -> None:
    main(["--rounds", "1", "--count", "4", "--ask"])
    told = capsys.readouterr().out
    assert told.count("µs of CPU a connection") == 4
