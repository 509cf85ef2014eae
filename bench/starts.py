"""The job of the measure `start`: how long from a job's start until user code runs, beside a bare
fork of the same dispatcher.

It is imported in the template, so what is wrapped here is what starts the jobs of every dispatcher.
For every second message a bare child is forked first, in the same place and the same memory, and
its first line takes the time; for the others the job does. So both are the first after a receive.
Stamps are lines `start kind from until`.
"""

import mmap
import os
import time
from typing import Any

from bench.apps import append
from fleet.dispatcher.job_forker import JobForker

_real_start = JobForker.start
_starts = [0]
_began = memoryview(mmap.mmap(-1, mmap.PAGESIZE)).cast("Q")  # shared with the jobs


def start_job(forker: JobForker, *arguments: Any) -> Any:
    """Measure a bare child of the dispatcher, or note when the job's start began."""
    _starts[0] += 1
    _began[0] = 0
    if _starts[0] % 2:
        began = time.monotonic_ns()
        pid = os.fork()
        if pid == 0:
            append(f"bare {os.getpid()} {began} {time.monotonic_ns()}")
            os._exit(0)
        os.waitpid(pid, 0)
    else:
        _began[0] = time.monotonic_ns()
    return _real_start(forker, *arguments)


JobForker.start = start_job  # type: ignore[assignment, method-assign]


def start(_body: str) -> None:
    """Note when this line was reached."""
    reached = time.monotonic_ns()
    if _began[0]:
        append(f"job {os.getpid()} {_began[0]} {reached}")
