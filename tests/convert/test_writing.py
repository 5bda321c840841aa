import yaml
from hypothesis import given
from hypothesis import strategies as st

from gateway.config.document import Document
from gateway.convert.writing import yaml_text

_SCALARS = st.one_of(
    st.booleans(),
    st.integers(-(10**9), 10**9),
    st.text(st.characters(codec="utf-8", exclude_categories=["C"]), max_size=12),
    st.sampled_from(["on", "no", "0777", "1:30", ".5", "1e3", "null", "~", "a: b", "- a", "#", "*", "x*", "", "/a"]),
)
_KEYS = st.text("abc-[]. ", min_size=1, max_size=5)
_VALUES = st.recursive(_SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_KEYS, inner, max_size=3))


@given(st.dictionaries(_KEYS, _VALUES, min_size=1, max_size=4))
def test_what_is_written_is_read_back_by_us_and_by_others(value: dict[str, object]) -> None:
    text = yaml_text(value)
    document = Document(text, "f", lambda scalar, _: scalar)
    assert document.problems == []
    assert document.root == value
    assert yaml.safe_load(text) == value
