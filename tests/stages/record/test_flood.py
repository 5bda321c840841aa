"""A flood of one kind is counted, and blinds no other kind."""

from gateway.stages.record.flood import PER_SECOND, Flood, Held


def test_a_second_has_its_budget_for_each_kind_and_reason() -> None:
    flood = Flood()
    assert [flood.admits("decision", "no_route", 10.0) for _ in range(PER_SECOND + 3)].count(False) == 3
    assert flood.admits("decision", "token_signature", 10.5)
    assert flood.holding()
    assert flood.told(10.9) == []  # the second is not over
    assert flood.told(11.0) == [Held("decision", "no_route", 3, 10.0)]
    assert not flood.holding()
    assert flood.admits("decision", "no_route", 11.1)


def test_a_quiet_second_begins_anew() -> None:
    flood = Flood()
    for second in (10.0, 11.0, 12.0):
        assert all(flood.admits("decision", "no_route", second) for _ in range(PER_SECOND))
    assert not flood.holding()


def test_nothing_counted_is_forgotten_at_the_end() -> None:
    flood = Flood()
    flood.lost("outcome", "audit_unavailable", 10.0, 5)
    assert flood.told(10.1, closing=True) == [Held("outcome", "audit_unavailable", 5, 10.0)]
    assert flood.told(99.0, closing=True) == []
