"""The jobs that the benchmarks run.

They import next to nothing, so that what is measured is the pool.

With BENCH_STAMPS set to a path, the import of this module and the job `stamp` append lines `word
key time time` to that file, one write a line; times are nanoseconds of CLOCK_MONOTONIC.
"""

import os
import time

STAMPS = os.environ.get("BENCH_STAMPS", "")


def append(line: str) -> None:
    """One line, whole, however many processes write."""
    descriptor = os.open(STAMPS, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    os.write(descriptor, line.encode() + b"\n")
    os.close(descriptor)


def noop(body: str) -> None:
    """Nothing."""


def stamp(body: str) -> None:
    """Write down when this job began and, as late as a job can, when it ended; the key is the
    message's body.
    """
    started = time.monotonic_ns()
    append(f"job {body} {started} {time.monotonic_ns()}")


def nap(body: str) -> None:
    """Write down when this job began, and take two seconds; the key is this process."""
    del body
    append(f"nap {os.getpid()} {time.monotonic_ns()} 0")
    time.sleep(2.0)


def hold(body: str) -> None:
    """Work until it is killed."""
    del body
    time.sleep(600.0)


if STAMPS:
    append(f"import {os.getpid()} {time.monotonic_ns()} {time.time_ns()}")
