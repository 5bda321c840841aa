"""The run itself, with the one peer that starts at once."""

from collections.abc import Callable
from pathlib import Path

import pytest

from loadtest.bench import Measured, Plan, bench
from loadtest.cases import Case, Entry
from loadtest.job import How, Scenario, Variant, Work
from loadtest.peers.nginx import Nginx

FORWARD = Variant(Scenario.FORWARD)


@pytest.mark.skipif(Nginx().missing() is not None, reason="nginx is not installed")
def test_rows_are_measured_in_turn_and_a_row_that_does_not_do_its_job_says_why(tmp_path: Path) -> None:
    said: list[str] = []
    say: Callable[[str], None] = said.append
    entries = (
        Entry("nginx", FORWARD, Work(connections=2), "kept"),
        Entry("nginx", FORWARD, Work(How.IDLE, connections=5), "idle"),
        Entry("nginx", FORWARD, Work(status=403), "refused"),
    )
    found = Measured()
    bench(Case("tried", "a test", entries), Plan(1, 0.3, 60), tmp_path, say, found)
    kept, idle, refused = found.rows
    assert kept.trouble is None
    (window,) = kept.windows
    assert window.requests > 0
    assert 0.3 <= window.seconds < 5
    assert window.load.failed == 0
    assert idle.trouble is None
    assert len(idle.held) == 1
    assert refused.trouble == "answered 200 with 1024 bytes instead of 403 with 1024"
    assert refused.windows == []
    assert len(found.calibrations["tried"]) == 1
    assert any("us CPU a request" in line for line in said)
