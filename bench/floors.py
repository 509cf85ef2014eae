"""The floors: bare loops of the calls that a pool cannot do without, run beside it in the same
benchmark.

    python -m bench.floors signed-fork  receive, fork a child that runs the job, wait, delete; the
                                        calls are signed by hand and go through http.client
    python -m bench.floors socket-fork  the same over a bare socket
    python -m bench.floors boto3-fork   the same with boto3's calls
    python -m bench.floors boto3        without the fork: what the two boto3 calls cost
    python -m bench.floors fork         fork, exit, wait: what a process costs beside boto3

Each is run by so many processes, forked from one that has loaded everything and frozen the
collector's heap; the client is made after that fork, as a pool must. A loop with a queue ends at
its first empty receive. No signals, no leases, no supervision: what fleet's numbers have above
these is the price of its guarantees.
"""

import gc
import importlib
import os
import sys
from collections.abc import Callable
from typing import Protocol

from bench import signed

WAIT = 300  # seconds of long poll (SQS has at most 20): an idle loop must not end before its turn
Job = Callable[[str], None]


class Calls(Protocol):
    """What a loop calls SQS by."""

    def receive(self) -> tuple[str, str] | None: ...

    def delete(self, handle: str) -> None: ...


def main(kind: str, where: str, workers: int, app: str, count: int = 0) -> int:
    """Run a floor to its end. WHERE is the endpoint's URL, APP is `module:attribute`, and COUNT, of
    `fork` only, is how many forks there are in all.
    """
    module, _, attribute = app.partition(":")
    job: Job = getattr(importlib.import_module(module), attribute)
    connect = _load(kind)
    gc.collect()
    gc.freeze()

    def work() -> None:
        if kind == "fork":
            for _ in range(count // workers):
                run_forked(job, "")
            return
        consume(connect(where), run_here if kind == "boto3" else run_forked, job)

    pids = [start(work) for _ in range(workers)]
    statuses = [os.waitpid(pid, 0)[1] for pid in pids]
    return int(any(statuses))


def _load(kind: str) -> Callable[[str], Calls]:
    """What makes a client. A floor holds no more than it needs, so each loads its own."""
    if kind == "signed-fork":
        from bench import library_http

        return lambda where: _signed(where, library_http.connect)
    if kind == "socket-fork":
        from bench import socket_http

        return lambda where: _signed(where, socket_http.connect)
    from bench import boto3_calls

    session = boto3_calls.session()
    return lambda where: boto3_calls.Calls(session, where, WAIT)


def _signed(where: str, connect: Callable[[str, float], signed.Exchange]) -> Calls:
    host = where.removeprefix("http://")
    return signed.Calls(host, WAIT, connect(host, WAIT + 10))


def start(work: Callable[[], None]) -> int:
    """Run `work` in a forked process."""
    pid = os.fork()
    if pid == 0:
        work()
        os._exit(0)
    return pid


def consume(calls: Calls, run: Callable[[Job, str], None], job: Job) -> None:
    """Receive, run, delete, until a receive comes back empty."""
    while (received := calls.receive()) is not None:
        body, handle = received
        run(job, body)
        calls.delete(handle)


def run_forked(job: Job, body: str) -> None:
    """Run a job in a process of its own and wait for it."""
    pid = os.fork()
    if pid == 0:
        job(body)
        os._exit(0)
    os.waitpid(pid, 0)


def run_here(job: Job, body: str) -> None:
    """Run a job without a process."""
    job(body)


if __name__ == "__main__":
    kind, where, workers, app, *count = sys.argv[1:]
    sys.exit(main(kind, where, int(workers), app, *map(int, count)))
