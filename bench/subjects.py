"""What is measured: fleet, fleet at another commit, and the floors."""

import io
import signal
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.harness import ROOT, BenchError, Endpoint, Feed, Program, Tree, running

WAIT_TIME = 5  # seconds of long poll, of the pool


def fleet_program(
    url: str,
    workers: int,
    app: str,
    *,
    options: Sequence[str] = (),
    root: Path = ROOT,
    wait: int = WAIT_TIME,
) -> Program:
    """A pool of fleet's with its default options. ROOT is where fleet is imported from."""
    where = ["--endpoint-url", url, "--queue", "bench", "--wait-time", str(wait)]
    command = ["-m", "fleet", "start", "--workers", str(workers), *where, *options, full_name(app)]
    return Program([sys.executable, *command], {"PYTHONPATH": f"{root}:{ROOT}"}, polls=1)


def floor_program(url: str, workers: int, app: str, *, kind: str = "signed-fork") -> Program:
    """The bare loops."""
    command = ["-m", "bench.floors", kind, url, str(workers), full_name(app)]
    return Program([sys.executable, *command], {"PYTHONPATH": str(ROOT)}, polls=workers)


def full_name(app: str) -> str:
    """A job of bench/apps.py has no module in its name."""
    return f"bench.{app}" if ":" in app else f"bench.apps:{app}"


@dataclass(frozen=True)
class Subject:
    """One side of a comparison: how it is started on a feed's URL, with so many workers and an app;
    the signal that ends it (a floor ends by itself); and what feeds it.
    """

    name: str
    program: Callable[[str, int, str], Program]
    stop: int | None = None
    feed: Callable[[], AbstractContextManager[Feed]] = Endpoint

    def start(self, feed: Feed, workers: int, app: str) -> AbstractContextManager[Tree]:
        return running(feed, self.program(feed.url, workers, app))


FLEET = Subject("fleet", fleet_program, signal.SIGTERM)
SIGNED = Subject("signed loop", floor_program)
SOCKET = Subject("socket loop", partial(floor_program, kind="socket-fork"))
BOTO3 = Subject("boto3 loop", partial(floor_program, kind="boto3-fork"))
CALLS = Subject("boto3 calls", partial(floor_program, kind="boto3"))


def fleet(
    feed: Feed, workers: int, app: str = "noop", *options: str
) -> AbstractContextManager[Tree]:
    """A running pool with more options."""
    return running(feed, fleet_program(feed.url, workers, app, options=options))


def forks(feed: Feed, workers: int, count: int) -> AbstractContextManager[Tree]:
    """So many bare forks in all, without a queue."""
    program = floor_program(feed.url, workers, "noop", kind="fork")
    return running(feed, replace(program, command=[*program.command, str(count)], polls=0))


@contextmanager
def fleet_at(commit: str) -> Iterator[Subject]:
    """The package fleet as it was at a commit, run by this interpreter with the jobs of today.

    Raises BenchError when git has no such commit.
    """
    command = ["git", "-C", str(ROOT), "archive", commit, "fleet"]
    archive = subprocess.run(command, capture_output=True, check=False)
    if archive.returncode:
        raise BenchError(f"no fleet at {commit}: {archive.stderr.decode().strip()}")
    with TemporaryDirectory(prefix="fleet-bench-") as directory:
        with tarfile.open(fileobj=io.BytesIO(archive.stdout)) as tar:
            tar.extractall(directory, filter="data")
        yield Subject(commit[:7], partial(fleet_program, root=Path(directory)), signal.SIGTERM)
