"""RateLimit fields as structured fields."""

from gateway.stages.answer.ratelimits import rate_limit_fields
from tests.exchange import limit_status


def test_one_limit() -> None:
    assert rate_limit_fields([limit_status("per-client", 100, 60, 99, 30)]) == [
        (b"ratelimit-policy", b'"per-client";q=100;w=60'),
        (b"ratelimit", b'"per-client";r=99;t=30'),
    ]


def test_of_two_states_of_one_limit_the_later_counts() -> None:
    first, second = limit_status("a", 10, 60, 9, 60), limit_status("a", 10, 60, 0, 60)
    assert rate_limit_fields([first, limit_status("b", 1, 1, 1, 1), second])[1] == (
        b"ratelimit",
        b'"a";r=0;t=60, "b";r=1;t=1',
    )


def test_a_name_cannot_leave_its_string() -> None:
    policy = rate_limit_fields([limit_status('a";q=9, "b\\ é', 1, 1, 1, 1)])[0][1]
    assert policy == rb'"a\";q=9, \"b\\ _";q=1;w=1'
