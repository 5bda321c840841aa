import os
import sys
from pathlib import Path

from gateway.testing.process import running
from loadtest.measure import cores, cpu_seconds, memory, pinned, tree

# A parent that waits, and a child that works and holds memory until its stdin ends.
_CHILD = "held = bytearray(30_000_000); [x * x for x in range(3_000_000)]; print('done', flush=True); input()"
_PARENT = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {_CHILD!r}], stdin=subprocess.PIPE).wait()"


def test_time_and_memory_of_a_process_are_those_of_all_below_it(tmp_path: Path) -> None:
    sleep, work = [sys.executable, "-c", "import time; time.sleep(60)"], [sys.executable, "-c", _PARENT]
    with running(sleep, tmp_path / "idle.log") as idle, running(work, tmp_path / "log") as process:
        process.wait_for(lambda: "done" in process.output, what="the child's work")
        pid = process.popen.pid
        assert len(tree(pid)) == 2
        assert cpu_seconds(pid) > cpu_seconds(idle.popen.pid) + 0.05
        assert memory(pid).private > 30_000_000
        assert memory(pid).resident >= memory(pid).private


def test_a_process_is_kept_to_its_core(tmp_path: Path) -> None:
    core = max(os.sched_getaffinity(0))
    command = [sys.executable, "-c", "import os; print(sorted(os.sched_getaffinity(0)))"]
    with running(pinned(core, command), tmp_path / "log") as process:
        process.wait()
        assert process.output.strip() == f"[{core}]"
    assert pinned(None, command) == command


def test_gateway_and_load_get_a_core_each_where_there_are_two() -> None:
    one, other = cores()
    assert (one is None) == (len(os.sched_getaffinity(0)) < 2)
    assert one is None or one != other


def test_a_process_that_is_gone_has_used_nothing_that_can_be_read() -> None:
    assert cpu_seconds(2**22 + 1) == 0.0
