"""The program of figures runs to its end and names each cost; what it measures hangs on the machine."""

import pytest

from loadtest import figures


def test_each_cost_is_named_beside_its_bound(capsys: pytest.CaptureFixture[str]) -> None:
    assert figures.main(["--rounds", "1", "--size", "64", "--records", "400"]) in (0, 1)
    rows = capsys.readouterr().out.splitlines()[1:]
    assert [row.split(",")[0].split("  ")[0] for row in rows] == [
        "limit check",
        "limit check",
        "limit check",
        "audit record",
        "audit record",
        "audit record",
        "metrics of a request",
        "traces off (no code of theirs is in the path)",
        "traces on",
        "gateway audit verify",
    ]
    assert [row.split("bound ")[1].split()[0] for row in rows if "bound" in row] == ["20", "5", "2", "0", "15"]


def test_a_figure_over_its_bound_says_so() -> None:
    assert str(figures.Figure("x", 5.1, 6.0, 5.0)).endswith("OVER")
    assert not str(figures.Figure("x", 5.0, 6.0, 5.0)).endswith("OVER")
