"""What is measured: fleet, fleet at another commit, and the floors."""

import io
import signal
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.harness import ROOT, BenchError, Endpoint, Tree, running

WAIT_TIME = 5  # seconds of long poll, of the pool


@contextmanager
def fleet(
    endpoint: Endpoint, workers: int, app: str = "noop", *options: str, root: Path = ROOT
) -> Iterator[Tree]:
    """A pool of fleet's, with its default options, from an empty queue on until its first poll is
    open. ROOT is the folder that fleet is imported from.
    """
    where = ["--endpoint-url", endpoint.url, "--queue", "bench", "--wait-time", str(WAIT_TIME)]
    command = ["-m", "fleet", "start", "--workers", str(workers), *where, *options, _name(app)]
    path = f"{root}:{ROOT}"
    with running(endpoint, [sys.executable, *command], {"PYTHONPATH": path}, polls=1) as tree:
        yield tree


@contextmanager
def floor(
    endpoint: Endpoint, workers: int, app: str = "noop", kind: str = "signed-fork"
) -> Iterator[Tree]:
    """The bare loops, from an empty queue on until each has its poll open."""
    command = ["-m", "bench.floors", kind, endpoint.url, str(workers), _name(app)]
    environment = {"PYTHONPATH": str(ROOT)}
    with running(endpoint, [sys.executable, *command], environment, polls=workers) as tree:
        yield tree


@contextmanager
def forks(endpoint: Endpoint, workers: int, count: int) -> Iterator[Tree]:
    """So many bare forks in all, without a queue."""
    command = ["-m", "bench.floors", "fork", endpoint.url, str(workers), _name("noop"), str(count)]
    environment = {"PYTHONPATH": str(ROOT)}
    with running(endpoint, [sys.executable, *command], environment, polls=0) as tree:
        yield tree


def _name(app: str) -> str:
    """A job of bench/apps.py has no module in its name."""
    return f"bench.{app}" if ":" in app else f"bench.apps:{app}"


@dataclass(frozen=True)
class Subject:
    """One side of a comparison: `start(endpoint, workers, app)`, and the signal that ends it; a
    floor ends by itself.
    """

    name: str
    start: Callable[[Endpoint, int, str], AbstractContextManager[Tree]]
    stop: int | None = None


FLEET = Subject("fleet", fleet, signal.SIGTERM)
SIGNED = Subject("signed loop", floor)
BOTO3 = Subject("boto3 loop", partial(floor, kind="boto3-fork"))
CALLS = Subject("boto3 calls", partial(floor, kind="boto3"))


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
        yield Subject(commit[:7], partial(fleet, root=Path(directory)), signal.SIGTERM)
