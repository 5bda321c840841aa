import pytest

from loadtest.bench import Plan, Row, Window
from loadtest.job import Scenario, Variant
from loadtest.load import Load
from loadtest.measure import Memory
from loadtest.peers.envoy import CACHED, Envoy
from loadtest.peers.gateway import Gateway
from loadtest.report import document, figures, table


def row(peer: Gateway | Envoy, variant: Variant, *cpu: float) -> Row:
    """Windows of a thousand requests in a second, at so many microseconds each."""
    windows = [Window(1000, 1.0, micro / 1000, Load(2000, 5.0, 9.0, 0)) for micro in cpu]
    return Row(
        peer, variant, idle=Memory(50_000_000, 40_000_000), loaded=Memory(60_000_000, 45_000_000), windows=windows
    )


ROWS = [
    row(Gateway(), Variant(Scenario.FULL), 120, 90, 100),
    row(Envoy(), Variant(Scenario.FULL), 150),
    row(Envoy(), Variant(Scenario.FULL, CACHED), 80),
    row(Envoy(), Variant(Scenario.FORWARD), 50),
    Row(Gateway(), Variant(Scenario.FORWARD), trouble="ended at once"),
]


def test_a_figure_is_the_median_with_its_spread() -> None:
    found = figures(ROWS)[0]
    assert (found.cpu, *found.cpu_spread) == pytest.approx((100, 90, 120))
    assert (found.rate, found.p50, found.p99) == (1000, 5, 9)
    assert (found.resident, found.private, found.idle_private) == (60, 45, 40)


def test_rows_are_compared_with_envoy_and_its_cache_and_the_cheapest_stands_first() -> None:
    lines = table(figures(ROWS)).splitlines()[2:]
    assert [line.split(" | ")[:4] for line in lines] == [
        ["| Envoy", "full job, JWT cache on", "80 (80 - 80)", "1.00"],
        ["| gateway", "full job", "100 (90 - 120)", "1.25"],
        ["| Envoy", "full job", "150 (150 - 150)", "1.88"],
        ["| Envoy", "forward only", "50 (50 - 50)", "1.00"],
    ]


def test_without_envoy_there_is_no_ratio() -> None:
    assert " | - | " in table(figures(ROWS[:1]))


def test_the_document_holds_what_was_measured_and_why_the_rest_was_not() -> None:
    made = document(ROWS, figures(ROWS), Plan(3, 1, 60))
    assert made["not_measured"] == [
        {"peer": "gateway", "scenario": "forward only", "variant": "", "why": "ended at once"}
    ]
    rows = made["rows"]
    assert isinstance(rows, list)
    assert rows[0]["cpu_us"] == 100
    assert rows[0]["to_envoy"] == 1.25
