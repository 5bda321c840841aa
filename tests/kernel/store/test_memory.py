import gc

from hypothesis import given
from hypothesis import strategies as st

from gateway.kernel.store import Buckets, MemoryStore


def test_a_bucket_lives_for_its_life_after_each_touch() -> None:
    buckets: Buckets[int] = Buckets(life=10)
    buckets.put(b"a", 1, now=0)
    assert buckets.get(b"a", now=9.9) == 1
    assert buckets.get(b"a", now=10) is None
    buckets.put(b"a", 2, now=9)
    assert buckets.get(b"a", now=18) == 2


def test_R9_a_table_never_grows_over_its_capacity_and_drops_what_was_touched_longest_ago() -> None:
    buckets: Buckets[int] = Buckets(life=10, capacity=3)
    for name in (b"a", b"b", b"c"):
        buckets.put(name, 1, now=0)
    buckets.put(b"a", 2, now=1)
    buckets.put(b"d", 1, now=2)
    assert len(buckets) == 3
    assert buckets.get(b"b", now=2) is None
    assert buckets.get(b"a", now=2) == 2


def test_R9_what_is_over_leaves_as_the_table_is_used() -> None:
    buckets: Buckets[int] = Buckets(life=10)
    for number in range(100):
        buckets.put(b"%d" % number, 1, now=0)
    for number in range(100):
        buckets.put(b"later%d" % number, 1, now=20 + number / 100)
    assert len(buckets) == 100


@given(
    st.lists(
        st.tuples(st.integers(0, 5), st.floats(0, 5)),
        max_size=60,
    )
)
def test_a_table_is_a_dict_whose_entries_expire(steps: list[tuple[int, float]]) -> None:
    buckets: Buckets[int] = Buckets(life=7)
    model: dict[bytes, tuple[float, int]] = {}
    now = 0.0
    for number, (name, pause) in enumerate(steps):
        now += pause
        key = b"%d" % name
        found = model.get(key)
        assert buckets.get(key, now) == (found[1] if found is not None and found[0] > now else None)
        buckets.put(key, number, now)
        model[key] = (now + 7, number)


def test_R13_a_table_outlives_a_reload_that_keeps_its_limit_and_goes_with_the_last_that_used_it() -> None:
    store: MemoryStore[int] = MemoryStore()
    old = store.table(b"limit", life=10)
    old.put(b"a", 1, now=0)
    new = store.table(b"limit", life=20)
    del old
    assert new.get(b"a", now=5) == 1
    assert new.life == 20
    del new
    gc.collect()
    assert store.table(b"limit", life=10).get(b"a", now=5) is None


def test_R9_who_keeps_an_entry_sees_that_it_was_dropped() -> None:
    buckets: Buckets[int] = Buckets(life=10, capacity=2)
    first, second = buckets.put(b"a", 1, now=1), buckets.put(b"b", 1, now=2)
    third = buckets.put(b"c", 1, now=3)  # over capacity: the first goes
    assert (first.fresh, second.fresh, third.fresh) == (0.0, 7.0, 8.0)
    buckets.drop(b"b")
    assert second.fresh == 0.0
    assert buckets.put(b"b", 2, now=4) is not second


def test_a_renewed_entry_lives_on_at_the_end_of_the_line() -> None:
    buckets: Buckets[int] = Buckets(life=10, capacity=2)
    first = buckets.put(b"a", 1, now=0)
    buckets.put(b"b", 1, now=1)
    first.state = 7
    buckets.renew(first, now=2)
    buckets.put(b"c", 1, now=3)
    assert buckets.get(b"b", now=3) is None
    assert buckets.get(b"a", now=11.9) == 7
    assert buckets.get(b"a", now=12) is None


def test_a_clock_that_is_set_back_ends_no_bucket_early() -> None:
    buckets: Buckets[int] = Buckets(life=10)
    buckets.put(b"a", 1, now=5)
    buckets.put(b"a", 2, now=1)
    assert buckets.get(b"a", now=14.9) == 2


def test_R9_what_finds_entries_by_another_key_is_bounded_over_all_that_do() -> None:
    buckets: Buckets[int] = Buckets(life=10)
    entry = buckets.put(b"a", 1, now=0)
    one, other = buckets.finder(), buckets.finder()
    for number in range(40_000):
        buckets.remember(one if number % 2 else other, ("issuer", str(number)), entry)
        assert len(one) + len(other) <= 16_384
    assert other[("issuer", "39998")] is one[("issuer", "39999")] is entry
