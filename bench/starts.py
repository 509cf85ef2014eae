"""The job of the measure `start`: how long from the fork until user code runs, beside a bare fork
of the same parent.

It is imported in the template, so what is wrapped here is the fork of every dispatcher. For every
second message a bare child is forked first, in the same place and the same memory, and its first
line takes the time; for the others the job does. So both are the first fork after a receive. Stamps
are lines `fork kind from until`.
"""

import os
import time
from collections.abc import Iterable

from bench.apps import append
from fleet.system import processes, signals

_real_fork = processes.fork_with_signals_blocked
_forks = [0]
_began = [0]


def fork_with_signals_blocked(blocked: Iterable[int] = signals.BLOCKED_AT_FORK) -> int:
    """Measure every fork's bare sibling, or note when the fork began."""
    _forks[0] += 1
    _began[0] = 0
    if _forks[0] % 2:
        began = time.monotonic_ns()
        pid = os.fork()
        if pid == 0:
            append(f"bare {os.getpid()} {began} {time.monotonic_ns()}")
            os._exit(0)
        os.waitpid(pid, 0)
    else:
        _began[0] = time.monotonic_ns()
    return _real_fork(blocked)


processes.fork_with_signals_blocked = fork_with_signals_blocked


def start(_body: str) -> None:
    """Note when this line was reached."""
    reached = time.monotonic_ns()
    if _began[0]:
        append(f"job {os.getpid()} {_began[0]} {reached}")
