import inspect
from dataclasses import replace

import pytest

from gateway.stages.authenticate.authenticators.jwt import JwtVerifier
from loadtest.cases import CASES, chosen
from loadtest.job import REMEMBERED, How
from loadtest.peers import PEERS


def test_cases_are_chosen_by_name_once_each_and_in_the_order_asked_for() -> None:
    assert [case.name for case in chosen("idle, table,idle", set())] == ["idle", "table"]
    assert chosen("all", set()) == list(CASES)
    assert all(case.quick for case in chosen("quick", set()))
    with pytest.raises(ValueError, match="no scenario is called 'tabel': table, "):
        chosen("tabel", set())


def test_only_the_rows_of_the_peers_that_are_asked_for_stay() -> None:
    (case,) = chosen("table", {"envoy", "nginx"})
    assert {entry.peer for entry in case.entries} == {"Envoy", "nginx"}


def test_the_table_holds_every_way_of_every_peer() -> None:
    (case,) = chosen("table", set())
    assert [(entry.peer, entry.variant) for entry in case.entries] == [
        (peer.name, variant) for peer in PEERS for variant in peer.variants
    ]


def test_no_two_rows_of_a_case_are_called_the_same() -> None:
    for case in CASES:
        named = [(e.peer, e.variant.scenario, e.variant.name, e.label) for e in case.entries]
        assert len(set(named)) == len(named), case.name


def test_rows_of_many_and_of_few_routes_differ_in_the_routes_alone() -> None:
    (case,) = chosen("routes", set())
    for peer, name in {(entry.peer, entry.variant.name) for entry in case.entries}:
        few, many = (e for e in case.entries if (e.peer, e.variant.name) == (peer, name))
        assert (few.variant.setting.routes, many.variant.setting.routes) == (10, 10_000)
        assert replace(few.variant.setting, routes=10_000) == many.variant.setting
        assert few.work == many.work
        assert few.work.heads >= 2000  # over many routes, so that few of them answer all


def test_rows_of_many_and_of_few_heads_differ_in_the_heads_alone() -> None:
    (case,) = chosen("heads", set())
    for peer, name in {(entry.peer, entry.variant.name) for entry in case.entries}:
        few, many = (e for e in case.entries if (e.peer, e.variant.name) == (peer, name))
        assert few.variant == many.variant
        assert few.work.heads < many.work.heads
        assert replace(few.work, heads=many.work.heads) == many.work


def test_the_tokens_of_the_uncached_job_are_more_than_anybody_remembers() -> None:
    (case,) = chosen("uncached", set())
    remembered = inspect.signature(JwtVerifier).parameters["capacity"].default
    assert all(entry.work.tokens > max(remembered, REMEMBERED) for entry in case.entries)
    assert remembered == REMEMBERED  # Envoy is given as much as we have


@pytest.mark.parametrize("name", ["connections", "mtls-connections"])
def test_a_handshake_is_told_by_what_it_costs_above_a_kept_connection(name: str) -> None:
    (case,) = chosen(name, set())
    for peer in {entry.peer for entry in case.entries}:
        assert [e.work.how for e in case.entries if e.peer == peer] == [How.KEPT, How.NEW, How.RESUMED]
