"""Which endpoints take requests: health, ejections, panic."""

import pytest

from gateway.upstreams.usable import usable


@pytest.mark.parametrize(
    ("failing", "ejected", "left"),
    [
        pytest.param("", "", [0, 1, 2, 3], id="all-well"),
        pytest.param("b", "", [0, 2, 3], id="one-fails-its-check"),
        pytest.param("", "d", [0, 1, 2], id="one-is-ejected"),
        pytest.param("a", "b", [2, 3], id="half-is-enough"),
        pytest.param("ab", "c", [0, 1, 2, 3], id="panic-below-half"),
        pytest.param("abc", "", [0, 1, 2, 3], id="panic-though-one-is-well"),
        pytest.param("", "abcd", [0, 1, 2, 3], id="all-ejected-is-panic"),
        pytest.param("abcd", "", [], id="all-fail-their-check"),
    ],
)
def test_who_takes_requests(failing: str, ejected: str, left: list[int]) -> None:
    assert usable("abcd", set(failing), set(ejected)) == left
