import pytest

from loadtest.bench import Measured, Plan, Row, Window
from loadtest.job import USUAL_WORK, How, Scenario, Variant, Work
from loadtest.load import Load
from loadtest.measure import Memory
from loadtest.peer import Peer
from loadtest.peers.envoy import CACHED, Envoy
from loadtest.peers.gateway import Gateway
from loadtest.peers.nginx import Nginx
from loadtest.report import document, figures
from loadtest.results import parsed
from loadtest.tables import table


def row(
    peer: Peer, variant: Variant, *cpu: float, work: Work = USUAL_WORK, label: str = "", case: str = "table"
) -> Row:
    """Windows of a thousand requests in a second, at so many microseconds each."""
    windows = [Window(1000, 1.0, micro / 1000, Load(2000, 5.0, 9.0, 0), 0.02) for micro in cpu]
    idle, loaded = Memory(50_000_000, 40_000_000), Memory(60_000_000, 45_000_000)
    return Row(peer, variant, work, label, case, idle=idle, loaded=loaded, windows=windows)


ROWS = [
    row(Gateway(), Variant(Scenario.FULL), 120, 90, 100),
    row(Envoy(), Variant(Scenario.FULL), 150),
    row(Envoy(), Variant(Scenario.FULL, CACHED), 80),
    row(Envoy(), Variant(Scenario.FORWARD), 50),
    Row(Gateway(), Variant(Scenario.FORWARD), trouble="ended at once"),
]


def cells(rows: list[Row], case: str) -> list[list[str]]:
    """Gateway, what it does, its figure, its ratio; of each row of a table."""
    return [line.split(" | ")[:4] for line in drawn(rows, case).splitlines()[2:]]


def drawn(rows: list[Row], case: str) -> str:
    return table(parsed("x", document(Measured(rows), figures(rows), Plan(3, 1, 60))), case)


def test_a_figure_is_the_median_with_its_spread() -> None:
    found = figures(ROWS)[0]
    assert (found.value, min(found.cpu), max(found.cpu)) == pytest.approx((100, 90, 120))
    assert (found.rate, found.p50, found.p99, found.around) == pytest.approx((1000, 5, 9, 20))
    assert (found.resident, found.private, found.idle_private) == (60, 45, 40)


def test_rows_are_compared_with_envoy_and_its_cache_and_the_cheapest_stands_first() -> None:
    assert cells(ROWS, "table") == [
        ["| Envoy", "full job, JWT cache on", "80.0 (80.0 - 80.0)", "1.00"],
        ["| **gateway**", "full job", "100 (90.0 - 120)", "1.25"],
        ["| Envoy", "full job", "150 (150 - 150)", "1.88"],
        ["| Envoy", "forward only", "50.0 (50.0 - 50.0)", "1.00"],
    ]


def test_without_envoy_the_table_has_no_ratio() -> None:
    assert cells(ROWS[:1], "table")[0][3] == "-"


def test_rows_of_another_label_are_compared_among_themselves() -> None:
    rows = [
        row(peer, Variant(Scenario.FORWARD), cpu, label=label, case="connections")
        for label, ours, theirs in (("kept", 200, 100), ("new", 900, 600))
        for peer, cpu in ((Gateway(), ours), (Envoy(), theirs))
    ]
    assert [line[3] for line in cells(rows, "connections")] == ["1.00", "2.00", "1.00", "1.50"]


def test_where_no_envoy_takes_part_the_first_row_is_what_others_are_compared_with() -> None:
    rows = [row(Gateway(), Variant(Scenario.FULL, name), cpu, case="features") for name, cpu in (("", 100), ("x", 90))]
    assert [line[3] for line in cells(rows, "features")] == ["0.90", "1.00"]


def test_idle_connections_are_told_by_memory() -> None:
    held = Row(Nginx(), Variant(Scenario.FORWARD), Work(How.IDLE), case="idle", held=[16_000, 15_000, 15_500])
    assert cells([held], "idle") == [["| nginx", "forward only", "15.5 (15.0 - 16.0)", "1.00 |"]]
    made = document(Measured([held]), figures([held]), Plan(3, 1, 60))
    assert made["rows"][0]["kb_a_connection"] == 15.5


def test_large_bodies_are_told_by_their_throughput_too() -> None:
    rows = [row(Nginx(), Variant(Scenario.FORWARD), 900, work=Work(answer=1 << 20), case="bodies")]
    assert drawn(rows, "bodies").splitlines()[2].endswith("| 1,000 |")


def test_the_document_holds_what_was_measured_and_why_the_rest_was_not() -> None:
    made = document(Measured(ROWS, {"table": [20.12345]}), figures(ROWS), Plan(3, 1, 60))
    assert isinstance(made["not_measured"], list)
    (failed,) = made["not_measured"]
    assert (failed["peer"], failed["scenario"], failed["why"]) == ("gateway", "forward only", "ended at once")
    rows = made["rows"]
    assert isinstance(rows, list)
    assert (rows[0]["cpu_us"], rows[0]["cpu_us_rounds"], rows[0]["ratio"]) == (100, [120, 90, 100], 1.25)
    assert made["calibration_ms"] == {"table": [20.123]}
