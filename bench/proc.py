"""What the kernel tells of a tree of processes: which they are, the CPU time they have used, their
memory.

A tree's processes are those whose environment names its directory, so orphans are among them. What
has been reaped inside the tree is in its parent's count, as /proc/PID/stat has it: in hundredths of
a second, whose rounding is all that is inexact.
"""

import os
import re
import signal
import time
from collections.abc import Iterable
from pathlib import Path

TICK = 1 / os.sysconf("SC_CLK_TCK")  # seconds
CPU_CLOCK = 2  # CPUCLOCK_SCHED in the kernel's names of a process's clocks


def processes(directory: Path) -> set[int]:
    """Everything that runs with `BENCH_STAMPS` in this directory; what is a zombie does not run."""
    mark = f"BENCH_STAMPS={directory}/".encode()
    found = set()
    for path in Path("/proc").glob("[0-9]*/environ"):
        try:
            environment = path.read_bytes()
        except OSError:  # it has just ended, or is another user's
            continue
        if mark in environment:
            found.add(int(path.parent.name))
    return found


def cpu_seconds(pids: Iterable[int]) -> float:
    """What these have used, with their children that were waited for; 0 for what is gone."""
    return sum(_own(pid) + _reaped(pid) for pid in pids)


def _own(pid: int) -> float:
    try:
        return time.clock_gettime(~pid << 3 | CPU_CLOCK)
    except OSError:
        return 0.0


def _reaped(pid: int) -> float:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return 0.0
    user, system = stat.rpartition(")")[2].split()[13:15]
    return (int(user) + int(system)) * TICK


def pss(pids: Iterable[int]) -> float:
    """Their proportional share of memory, in MB of 2²⁰ bytes."""
    return sum(_pss(pid) for pid in pids) / 1024


def _pss(pid: int) -> int:
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:
        return 0
    found = re.search(r"^Pss: +(\d+) kB", text, re.MULTILINE)
    return int(found[1]) if found else 0


def end(directory: Path) -> None:
    """Kill what runs there until nothing does."""
    while pids := processes(directory):
        for pid in pids:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        time.sleep(0.02)
