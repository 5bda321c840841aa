"""What the kernel accounts to a process and all below it: CPU time and memory; and processes kept to one core."""

import os
import sys
from dataclasses import dataclass
from pathlib import Path

_TICK = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Memory:
    """Of a process tree, in bytes."""

    resident: int
    private: int


def tree(pid: int) -> list[int]:
    """The process and all below it that are alive."""
    below: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            fields = _stat(int(entry.name))
            if fields:
                below.setdefault(int(fields[1]), []).append(int(entry.name))
    found = [pid]
    for one in found:
        found += below.get(one, [])
    return found


def cpu_seconds(pid: int) -> float:
    """User and system time of the whole tree, with that of its children that have ended (proc(5), stat)."""
    return sum(sum(map(int, fields[11:15])) for one in tree(pid) if (fields := _stat(one))) / _TICK


def memory(pid: int) -> Memory:
    """Resident and private memory of the tree; pages that its processes share count for each in `resident`."""
    resident = private = 0
    for one in tree(pid):
        try:
            lines = Path(f"/proc/{one}/smaps_rollup").read_text().splitlines()
        except OSError:
            continue
        for line in lines:
            name, _, rest = line.partition(":")
            if name == "Rss":
                resident += int(rest.split()[0]) * 1024
            elif name in {"Private_Clean", "Private_Dirty"}:
                private += int(rest.split()[0]) * 1024
    return Memory(resident, private)


def pinned(core: int | None, command: list[str]) -> list[str]:
    """The command, kept to one core; None: as it is."""
    if core is None:
        return command
    code = f"import os, sys; os.sched_setaffinity(0, {{{core}}}); os.execvp(sys.argv[1], sys.argv[1:])"
    return [sys.executable, "-S", "-c", code, *command]


def pin(pid: int, core: int | None) -> None:
    """Keep a tree of processes that runs already to one core, all of its threads; None: leave it."""
    if core is not None:
        for one in tree(pid):
            for thread in Path(f"/proc/{one}/task").iterdir():
                os.sched_setaffinity(int(thread.name), {core})


def cores() -> tuple[int | None, int | None]:
    """One for the gateway, one for load, backend and Redis; (None, None) where there is only one."""
    usable = sorted(os.sched_getaffinity(0))
    return (usable[0], usable[1]) if len(usable) > 1 else (None, None)


def _stat(pid: int) -> list[str]:
    """The fields after the command's name: state, parent, …; [] when the process is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []
