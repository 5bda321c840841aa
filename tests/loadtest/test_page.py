import re
from pathlib import Path

import pytest

from loadtest.job import ROOT
from loadtest.page import BLOCKS, PAGES, features, filled
from loadtest.results import parsed, read
from loadtest.tables import MISSING

RECORDED = Path(__file__).parent / "recorded" / "before.json"


def test_only_what_stands_between_the_marks_is_made_anew() -> None:
    page = "before\n<!-- bench chart -->\nold\n<!-- end -->\nbetween\n<!-- bench run -->\n<!-- end -->\nafter\n"
    made = filled(page, read(RECORDED), "../r")
    assert made.startswith("before\n<!-- bench chart -->\n![")
    assert "(../r/before.svg)\n<!-- end -->\nbetween\n" in made
    assert "old" not in made
    assert "2026-01-02, 2 cores, 5 rounds of 4 s" in made
    assert "; Envoy 1.40.0" in made
    assert made.endswith("<!-- end -->\nafter\n")
    assert filled(made, read(RECORDED), "../r") == made


def test_what_was_not_measured_is_told_of_the_earlier_run() -> None:
    run, earlier = read(RECORDED), read(RECORDED.with_stem("capacity"))
    assert BLOCKS["capacity"](run) == MISSING
    page = "".join(f"<!-- bench {name} -->\n<!-- end -->\n" for name in ("table", "scenarios", "capacity"))
    table, scenarios, capacity, _ = filled(page, run, "../r", earlier).split("<!-- end -->\n")
    of = "Of the run [capacity](../r/capacity.json):\n\n|"
    assert table.endswith(BLOCKS["table"](run) + "\n")
    assert "Of the run" not in table
    assert of in scenarios
    assert "Of the run [capacity](../r/capacity.json):\n\n" + BLOCKS["capacity"](earlier) in capacity
    named = [line.split("|")[1] for line in scenarios.splitlines() if line.startswith("| ")]
    assert len(named) - named.count(" scenario ") == len(set(named) - {" scenario "})  # no row twice


def test_a_block_that_nobody_makes_is_an_error() -> None:
    with pytest.raises(KeyError):
        filled("<!-- bench mood -->\n<!-- end -->", read(RECORDED), "r")


@pytest.mark.parametrize(
    ("name", "recorded"),
    [("table", "before"), ("targets", "before"), ("scenarios", "capacity"), ("capacity", "capacity")],
)
def test_each_table_has_as_many_cells_in_every_line(name: str, recorded: str) -> None:
    lines = [line for line in BLOCKS[name](read(RECORDED.with_stem(recorded))).splitlines() if line.startswith("|")]
    ruled = {line.count("|") for line in lines if line.startswith("|---")}
    assert len(lines) > 2
    assert {line.count("|") for line in lines} == ruled


def test_a_feature_is_told_by_what_it_adds_in_the_same_round() -> None:
    row = {"case": "features", "peer": "gateway", "scenario": "full job", "label": ""}
    rows = [
        {**row, "variant": "", "cpu_us": 100.0, "cpu_us_rounds": [100.0, 80.0, 120.0]},
        {**row, "variant": "no limits", "cpu_us": 95.0, "cpu_us_rounds": [90.0, 72.0, 120.0]},
    ]
    assert features(parsed("x", {"rows": rows})).splitlines()[-1] == "| no limits | 95.0 | -10% |"
    assert features(read(RECORDED)) == MISSING  # the usual row is not among them


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_pages_name_blocks_that_are_made_and_files_that_are_there(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    named = re.findall(r"<!-- bench ([a-z]+) -->", text)
    assert named
    assert set(named) <= set(BLOCKS)
    assert text.count("<!-- end -->") == len(named)
    for link in re.findall(r"\]\(((?:\.\./)?loadtest/results/[^)]+)\)", text):
        assert (page.parent / link).resolve().is_relative_to(ROOT)
        assert (page.parent / link).exists(), link
