import asyncio
from pathlib import Path

import pytest

from loadtest.inside import Plan, measure
from loadtest.job import DENIALS, Work


def test_sites_of_few_and_of_many_routes_are_asked_in_turns_and_answer_all(tmp_path: Path) -> None:
    plan = Plan(rounds=2, size=20, connections=4, drivers=("lane", "asgi"), routes=(2, 30), heads=40)
    figures = asyncio.run(measure(tmp_path, plan))  # raises where an answer is not 200
    assert list(figures) == ["lane, 2 routes", "asgi, 2 routes", "lane, 30 routes", "asgi, 30 routes"]
    assert all(len(batches) == 2 and min(batches) > 0 for batches in figures.values())


@pytest.mark.parametrize("work", [pytest.param(work, id=kind) for kind, work in DENIALS.items()])
def test_a_kind_of_refusal_is_asked_by_both_drivers_and_each_answer_has_its_status(tmp_path: Path, work: Work) -> None:
    figures = asyncio.run(measure(tmp_path, Plan(rounds=1, size=10, connections=4, routes=(2,), work=work)))
    assert list(figures) == ["lane", "asgi"]  # no answer had another status
