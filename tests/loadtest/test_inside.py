import asyncio
from pathlib import Path

from loadtest.inside import Plan, measure


def test_sites_of_few_and_of_many_routes_are_asked_in_turns_and_answer_all(tmp_path: Path) -> None:
    plan = Plan(rounds=2, size=20, connections=4, drivers=("lane", "asgi"), routes=(2, 30), heads=40)
    figures = asyncio.run(measure(tmp_path, plan))  # raises where an answer is not 200
    assert list(figures) == ["lane, 2 routes", "asgi, 2 routes", "lane, 30 routes", "asgi, 30 routes"]
    assert all(len(batches) == 2 and min(batches) > 0 for batches in figures.values())
