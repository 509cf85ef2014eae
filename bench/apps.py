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


def pause(body: str) -> None:
    """Take 50 ms."""
    del body
    time.sleep(0.05)


def doze(body: str) -> None:
    """Take as many seconds as the message says."""
    time.sleep(float(body))


def sign(body: str) -> None:
    """Write down that this job has begun, in which process, and whose child that is; the key is the
    message's body.
    """
    append(f"begin {body} {time.monotonic_ns()} {os.getpid()}")
    append(f"parent {body} {time.monotonic_ns()} {os.getppid()}")


def work(body: str) -> None:
    """The same, then take two seconds, and write down the end."""
    sign(body)
    time.sleep(2.0)
    append(f"end {body} {time.monotonic_ns()} {os.getpid()}")


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
