"""The arithmetic, by recorded files: `slower-machine` is `before` on a machine of another speed each round."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from loadtest.compare import FLOOR, UNKNOWN, compare, main
from loadtest.results import Run, read

FILES = Path(__file__).parent / "recorded"
BEFORE, SLOWER, MOVED = (FILES / f"{name}.json" for name in ("before", "slower-machine", "moved"))


def moves(before: Run, after: Run) -> dict[str, tuple[int, float]]:
    return {move.row.variant: (move.moved, round(move.change, 2)) for move in compare(before, after)}


def test_a_machine_of_another_speed_moves_nothing() -> None:
    assert moves(read(BEFORE), read(SLOWER)) == {
        "": (0, 0.0),
        "ASGI driver": (0, 0.0),
        "no limits": (0, 0.0),
        "audit synced": (0, 0.0),
    }


def test_what_moved_is_named_with_how_far_and_by_what_it_is_measured() -> None:
    assert moves(read(BEFORE), read(MOVED)) == {
        "": (0, 0.0),
        "ASGI driver": (1, 0.2),
        "no limits": (-1, -0.2),
        "audit synced": (1, 0.3),
    }
    against = {move.row.variant: move.against for move in compare(read(BEFORE), read(MOVED))}
    assert against["ASGI driver"] == "Envoy 1.40.0"
    assert against["audit synced"] == "calibration"


def test_another_version_of_the_peer_is_no_measure() -> None:
    after = read(MOVED)
    after.members["peers"]["Envoy"] = "1.41.0"
    assert {move.against for move in compare(read(BEFORE), after)} == {"calibration"}


def test_a_noisy_row_has_to_move_further() -> None:
    noise = {move.row.variant: move.noise for move in compare(read(BEFORE), read(BEFORE))}
    assert noise["ASGI driver"] == FLOOR
    noisy = replace(read(BEFORE).rows[0], rounds=(60, 75, 95, 80, 100))
    after = replace(read(BEFORE), rows=(noisy, *read(BEFORE).rows[1:]))
    found = next(move for move in compare(read(BEFORE), after) if move.row.variant == "")
    # deviations 20 5 15 0 20 of 80: 1.2533 * 1.4826 * 15 / sqrt(5) / 80, and nothing from before
    assert found.noise == pytest.approx(3 * 0.1558, rel=0.01)


def test_a_single_round_tells_little() -> None:
    short = tuple(replace(row, rounds=(row.value,)) for row in read(BEFORE).rows)
    assert all(move.noise >= UNKNOWN for move in compare(read(BEFORE), replace(read(BEFORE), rows=short)))


def test_instructions_that_both_runs_counted_are_compared_as_they_are() -> None:
    before, after = read(BEFORE), read(BEFORE)
    before.members["instructions"] = {"lane": 400_000, "asgi": 500_000}
    after.members["instructions"] = {"lane": 412_000, "asgi": 505_000, "other": 1}
    counted = {move.row.label: move.moved for move in compare(before, after) if move.against == "valgrind"}
    assert counted == {"lane": 1, "asgi": 0}


def test_rows_of_one_run_alone_are_left_out() -> None:
    before = read(BEFORE)
    assert len(compare(replace(before, rows=before.rows[1:]), before)) == 3


@pytest.mark.parametrize(("run", "code"), [(SLOWER, 0), (MOVED, 1)])
def test_it_exits_1_when_something_got_dearer(run: Path, code: int, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(run), "--before", str(BEFORE)]) == code
    said = capsys.readouterr().out
    assert ("DEARER" in said) is (code == 1)
    assert "of 4 rows dearer" in said


def test_runs_without_a_row_in_common_cannot_be_compared(tmp_path: Path) -> None:
    members = json.loads(BEFORE.read_text())
    empty = tmp_path / "empty.json"
    empty.write_text(json.dumps({**members, "rows": []}))
    assert main([str(empty), "--before", str(BEFORE)]) == 2


def test_runs_recorded_before_rounds_were_kept_can_be_read() -> None:
    old = read(Path(__file__).parents[2] / "loadtest/results/20261122T093541Z.json")
    assert all(row.rounds == (row.value,) for row in old.rows)
    assert compare(old, old)
