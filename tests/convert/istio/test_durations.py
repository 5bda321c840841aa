import pytest

from gateway.convert.istio.durations import duration


@pytest.mark.parametrize(("theirs", "ours"), [("1h30m", "90m"), ("500ms", "500ms"), ("0.25s", "250ms"), ("60s", "1m")])
def test_a_duration_gets_one_unit(theirs: str, ours: str) -> None:
    assert duration(theirs) == ours


@pytest.mark.parametrize("theirs", ["", "5", "5 s", "apple", "5s6"])
def test_anything_else_is_refused(theirs: str) -> None:
    with pytest.raises(ValueError, match="no duration"):
        duration(theirs)
