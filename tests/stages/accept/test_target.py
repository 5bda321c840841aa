"""The forms of a request target (H6, H7)."""

import pytest

from gateway.model.reason import Reason
from gateway.model.refused import Refused
from gateway.stages.accept.target import Target, parse_target


@pytest.mark.parametrize(
    ("method", "target", "parsed"),
    [
        pytest.param("GET", b"/a?x=1", (None, b"/a", "x=1"), id="H7-origin-form"),
        pytest.param("GET", b"/a?", (None, b"/a", ""), id="H7-empty-query"),
        pytest.param("GET", b"/a?x=1?y", (None, b"/a", "x=1?y"), id="P6-query-is-whole"),
        pytest.param("GET", b"http://b.example/x?q", ("b.example", b"/x", "q"), id="H7-absolute-form"),
        pytest.param("GET", b"HTTPS://b.example", ("b.example", b"/", None), id="H7-absolute-form-bare"),
        pytest.param("GET", b"http://b.example?q", ("b.example", b"/", "q"), id="H7-absolute-form-query-only"),
        pytest.param("GET", b"http://u@b/x", ("u@b", b"/x", None), id="H6-userinfo-is-judged-as-authority"),
        pytest.param("OPTIONS", b"*", (None, b"*", None), id="H6-asterisk-for-options"),
        pytest.param("OPTIONS", b"http://b.example", ("b.example", b"*", None), id="H6-asterisk-absolute"),
        pytest.param("CONNECT", b"b.example:443", ("b.example:443", b"/", None), id="H6-authority-form"),
    ],
)
def test_each_form_says_what_it_says(method: str, target: bytes, parsed: Target) -> None:
    assert parse_target(method, target) == parsed


@pytest.mark.parametrize(
    ("method", "target", "reason"),
    [
        pytest.param("GET", b"*", Reason.BAD_REQUEST, id="H6-asterisk-for-get"),
        pytest.param("GET", b"b.example:443", Reason.BAD_REQUEST, id="H6-authority-form-for-get"),
        pytest.param("GET", b"ftp://b.example/x", Reason.BAD_REQUEST, id="H7-other-scheme"),
        pytest.param("GET", b"a/b", Reason.BAD_REQUEST, id="H7-no-slash"),
        pytest.param("GET", b"", Reason.BAD_REQUEST, id="H7-empty"),
        pytest.param("GET", b"/a#f", Reason.AMBIGUOUS_PATH, id="P2-fragment"),
        pytest.param("GET", b"/a?x#f", Reason.AMBIGUOUS_PATH, id="P2-fragment-behind-the-query"),
        pytest.param("GET", b"http://b.example#f", Reason.AMBIGUOUS_PATH, id="P2-fragment-in-absolute-form"),
        pytest.param("GET", b"/a?x\r\ny", Reason.BAD_REQUEST, id="H18-line-break-in-the-query"),
        pytest.param("GET", b"/a?x y", Reason.BAD_REQUEST, id="H5-space-in-the-query"),
    ],
)
def test_other_targets_are_refused(method: str, target: bytes, reason: Reason) -> None:
    with pytest.raises(Refused) as refused:
        parse_target(method, target)
    assert refused.value.reason is reason
