"""Outlier detection, by made-up time: who is ejected, for how long, and never too many."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.upstreams.outlier import Outliers
from gateway.upstreams.settings import OutlierSettings

THREE = OutlierSettings(consecutive_errors=3, ejection=30.0, max_ejected=50)


def fail(outliers: Outliers[str], host: str, times: int, now: float = 0.0, hosts: int = 4) -> bool:
    return [outliers.report(host, now, hosts, ok=False) for _ in range(times)][-1]


def test_so_many_errors_in_a_row_eject() -> None:
    outliers = Outliers[str](THREE)
    assert not fail(outliers, "a", 2)
    assert fail(outliers, "a", 1)
    assert outliers.ejected == {"a"}


def test_a_good_answer_between_them_starts_the_count_anew() -> None:
    outliers = Outliers[str](THREE)
    fail(outliers, "a", 2)
    outliers.report("a", 0.0, 4, ok=True)
    assert not fail(outliers, "a", 2)
    assert outliers.ejected == set()


def test_its_time_over_it_returns_and_the_next_ejection_is_longer() -> None:
    outliers = Outliers[str](THREE)
    fail(outliers, "a", 3)
    assert outliers.next_return == 30.0
    assert not outliers.restore(29.9)
    assert outliers.restore(30.0)
    assert outliers.ejected == set()
    fail(outliers, "a", 3, now=31.0)
    assert outliers.next_return == 31.0 + 60.0


def test_a_quiet_time_is_forgiven() -> None:
    outliers = Outliers[str](THREE)
    for now in (0.0, 31.0):
        fail(outliers, "a", 3, now=now)
        outliers.restore(now + 60.0)
    fail(outliers, "a", 3, now=91.0 + 65.0)  # two base times after the second ended
    assert outliers.next_return == 91.0 + 65.0 + 30.0


def test_no_ejection_lasts_longer_than_five_minutes() -> None:
    outliers, now = Outliers[str](THREE), 0.0
    for _ in range(20):
        fail(outliers, "a", 3, now=now)
        assert outliers.next_return is not None
        assert outliers.next_return - now <= 300.0
        now = outliers.next_return
        outliers.restore(now)
    assert outliers.report("a", now, 4, ok=False) is False


@pytest.mark.parametrize(("hosts", "out"), [(1, 0), (2, 1), (3, 1), (4, 2), (10, 5)])
def test_no_more_than_their_share_is_out(hosts: int, out: int) -> None:
    outliers = Outliers[str](THREE)
    for host in map(str, range(hosts)):
        fail(outliers, host, 9, hosts=hosts)
    assert len(outliers.ejected) == out


def test_what_still_comes_from_an_ejected_one_changes_nothing() -> None:
    outliers = Outliers[str](THREE)
    fail(outliers, "a", 3)
    assert not fail(outliers, "a", 10, now=5.0)
    assert outliers.next_return == 30.0


def test_hosts_that_are_gone_are_forgotten() -> None:
    outliers = Outliers[str](THREE)
    fail(outliers, "a", 3)
    outliers.keep(["b"])
    assert (outliers.ejected, outliers.next_return) == (set(), None)


@given(
    st.lists(st.tuples(st.sampled_from("abcde"), st.booleans(), st.floats(0, 20)), max_size=200),
    st.integers(0, 100),
)
def test_whatever_happens_the_share_holds_and_everyone_returns(
    events: list[tuple[str, bool, float]], share: int
) -> None:
    outliers, now = Outliers[str](OutlierSettings(2, 10.0, share)), 0.0
    for host, ok, wait in events:
        now += wait
        outliers.restore(now)
        outliers.report(host, now, 5, ok=ok)
        assert len(outliers.ejected) * 100 <= share * 5
        assert outliers.next_return is None or now < outliers.next_return <= now + 300.0
    outliers.restore(now + 301.0)
    assert outliers.ejected == set()
