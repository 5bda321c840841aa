"""W3C trace context."""

import pytest

from gateway.stages.accept.trace_context import sampling, trace_context

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
GOOD = f"00-{TRACE}-{PARENT}-01"


def test_a_good_parent_is_taken_over_with_a_span_of_our_own() -> None:
    taken = trace_context((GOOD,), ("a=1", "b=2"))
    assert (taken.trace_id, taken.parent_id, taken.flags, taken.state) == (TRACE, PARENT, 1, "a=1,b=2")
    assert len(taken.span_id) == 16
    assert taken.span_id not in (PARENT, trace_context((GOOD,), ()).span_id)


def test_a_later_version_is_read_as_far_as_it_is_known() -> None:
    assert trace_context((f"cc{GOOD[2:]}-what-the-future-brings",), ()).trace_id == TRACE


@pytest.mark.parametrize(
    "parent",
    [
        "",
        GOOD.upper(),
        GOOD[:-1],
        GOOD + "-x",
        GOOD + "x",
        "ff" + GOOD[2:],
        "cc" + GOOD[2:] + "x",
        f"00-{'0' * 32}-{PARENT}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE[:-1]}g-{PARENT}-01",
        f"00_{TRACE}_{PARENT}_01",
    ],
)
def test_a_bad_parent_is_replaced_and_its_state_dropped(parent: str) -> None:
    begun = trace_context((parent,), ("a=1",))
    assert begun.trace_id != TRACE
    assert (len(begun.trace_id), begun.parent_id, begun.flags, begun.state) == (32, None, 0, "")


def test_two_parents_are_none() -> None:
    assert trace_context((GOOD, GOOD), ()).parent_id is None


def test_state_is_dropped_where_it_is_too_long_or_unprintable() -> None:
    assert trace_context((GOOD,), ("a=" + "x" * 511,)).state == ""
    assert trace_context((GOOD,), ("a=\x01",)).state == ""


def test_a_sampled_part_of_the_traces_that_begin_here_is_marked() -> None:
    take = sampling(0.25)
    taken = [take((), ()) for _ in range(2000)]
    marked = [one for one in taken if one.flags]
    assert 350 < len(marked) < 650
    assert {one.flags for one in marked} == {1}
    # by the trace id alone, so that every gateway judges alike (OpenTelemetry's TraceIdRatioBased)
    assert all((int(one.trace_id[16:], 16) < 1 << 62) == bool(one.flags) for one in taken)


@pytest.mark.parametrize("part", [0.0, 1.0])
def test_the_callers_mark_stands_whatever_the_part(part: float) -> None:
    take = sampling(part)
    assert take((GOOD,), ()).flags == 1
    assert take((GOOD[:-1] + "0",), ()).flags == 0
    assert take((), ()).flags == part


def test_a_bad_parent_is_replaced_and_its_mark_does_not_count() -> None:
    taken = sampling(0.0)((GOOD + "x",), ("a=1",))
    assert (taken.parent_id, taken.flags, taken.state) == (None, 0, "")


@pytest.mark.parametrize(("sent", "passed"), [("00", 0), ("01", 1), ("02", 2), ("03", 3), ("ff", 3), ("04", 0)])
def test_flags_that_nobody_knows_are_not_passed_on(sent: str, passed: int) -> None:
    assert trace_context((GOOD[:-2] + sent,), ()).flags == passed
