"""Rewriting: the result is a normalised path, or nothing is sent (P1, P7)."""

import pytest

from gateway.model.reason import Reason
from gateway.model.refused import Refused
from gateway.stages.forward.rewrite import Rewrite


@pytest.mark.parametrize(
    ("prefix", "path", "matched", "sent"),
    [
        ("/inventory", "/api/v1/inventory/42", "/api/v1/inventory", "/inventory/42"),
        ("/inventory", "/api/v1/inventory/", "/api/v1/inventory", "/inventory/"),
        ("/inventory/", "/api/a", "/api", "/inventory/a"),
        ("/", "/api/a", "/api", "/a"),
        ("/x", "/a%20b/c%2Fd", "/a%20b", "/x/c%2Fd"),
    ],
)
def test_prefix(prefix: str, path: str, matched: str, sent: str) -> None:
    assert Rewrite(prefix=prefix)(path, matched) == sent


@pytest.mark.parametrize(
    ("path", "matched"),
    [
        pytest.param("/api//evil", "/api", id="P3-empty-segment"),
        pytest.param("/api/../b", "/api", id="P1-dot-segment"),
        pytest.param("/apix", "/api/", id="P7-another-prefix"),
        pytest.param("/other/a", "/api", id="P7-no-prefix"),
    ],
)
def test_a_result_that_is_not_normal_is_refused(path: str, matched: str) -> None:
    with pytest.raises(Refused) as refused:
        Rewrite(prefix="/x")(path, matched)
    assert refused.value.reason is Reason.AMBIGUOUS_PATH


def test_path_sets_it_whole() -> None:
    assert Rewrite(path="/v2/all")("/anything", "") == "/v2/all"


def test_host_alone_leaves_the_path() -> None:
    assert Rewrite(host="a.internal")("/a", "") == "/a"


@pytest.mark.parametrize("text", ["/a//b", "/../a", "/a b", "/ä", "a", "/a%2e"])
def test_a_file_cannot_ask_for_another_kind_of_path(text: str) -> None:
    with pytest.raises(ValueError, match="no path in normal form"):
        Rewrite(path=text)
