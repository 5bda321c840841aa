from dataclasses import replace
from pathlib import Path

import pytest

from loadtest.capacity import Costs, Demand, Layout, main, model, most, plan
from loadtest.results import read

RECORDED = Path(__file__).parent / "recorded" / "capacity.json"
COSTS = Costs(request=100, handshake=2000, resumed=500, store=5, connection=40, worker=50)
BARE = Layout(cores=4, busy=1.0, spare=0.0)


@pytest.mark.parametrize(
    ("workers", "cores", "around", "rate"),
    [
        pytest.param(1, 2, 0, 10_000, id="one-core-is-full"),
        pytest.param(2, 2, 0, 20_000, id="two-are"),
        pytest.param(4, 2, 0, 20_000, id="more-workers-than-cores-help-nothing"),
        pytest.param(1, 2, 60, 10_000, id="what-runs-beside-it-has-a-core-of-its-own"),
        pytest.param(2, 2, 60, 12_500, id="what-runs-beside-them-takes-its-share"),
        pytest.param(1, 1, 100, 5_000, id="one-core-for-all"),
    ],
)
def test_a_machine_answers_what_its_cores_have_time_for(workers: int, cores: int, around: float, rate: float) -> None:
    assert most(COSTS, workers, cores, around) == pytest.approx(rate)


def test_a_request_is_dearer_where_more_than_one_worker_runs() -> None:
    dearer = Costs(request=100, contention=0.05)
    assert dearer.with_workers(1) == 100
    assert dearer.with_workers(2) == dearer.with_workers(3) == pytest.approx(105)
    assert most(dearer, 2, 2) == pytest.approx(2e6 / 105)


def test_cores_are_those_of_requests_and_handshakes() -> None:
    need = plan(Demand(10_000, new=0.1, resuming=0.75), COSTS, BARE)
    assert (need.handshakes, need.resumed) == (250, 750)
    assert need.cores == pytest.approx(1.0 + 0.5 + 0.375)
    assert need.replicas == 1


@pytest.mark.parametrize(
    ("busy", "spare", "replicas"),
    [(1.0, 0.0, 3), (0.5, 0.0, 5), (0.5, 0.5, 10)],
    ids=["none", "half-idle", "one-of-two"],
)
def test_headroom_and_a_zone_that_fails_are_replicas(busy: float, spare: float, replicas: int) -> None:
    assert plan(Demand(100_000, new=0), COSTS, Layout(4, busy, spare)).replicas == replicas


def test_the_store_has_shards_for_what_is_asked_of_it_and_none_where_nothing_is() -> None:
    assert plan(Demand(1_000_000), COSTS, Layout(busy=0.5)).shards == 10
    assert plan(Demand(1_000_000), Costs(request=100), Layout()).shards == 0


def test_memory_is_that_of_the_workers_and_of_the_connections() -> None:
    need = plan(Demand(40_000, new=0, open=1.0), COSTS, BARE)
    assert need.memory == pytest.approx(4 * 50 + 40_000 * 40 / 1000)


def test_the_costs_are_those_of_a_run_and_the_model_holds_for_its_one_and_two_workers() -> None:
    made = model(read(RECORDED))
    assert replace(made.costs, contention=0.05) == Costs(105, 1500, 400, 4.5, 0.05, 35, 50)
    assert made.costs.contention == pytest.approx(0.05)
    assert [check.workers for check in made.checks] == [1, 2]
    for check in made.checks:
        assert check.predicted == pytest.approx(check.measured, rel=0.1)


def test_a_plan_is_printed_for_each_rate(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(RECORDED), "--rate", "1000", "1000000"]) == 0
    said = capsys.readouterr().out
    assert "| 1,000 | " in said
    assert "| 1,000,000 | " in said
