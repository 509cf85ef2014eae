"""What memory a pool takes: by role, for each worker beyond the first, and over many jobs.

A process's memory is its proportional share (Pss), so that each page counts once in the sum over a
tree. Its private memory is what would be free if it ended. MB are 2²⁰ bytes. The stand-in is in no
figure.
"""

import contextlib
import re
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

from bench import proc
from bench.figures import Figure
from bench.harness import Endpoint, Tree
from bench.subjects import fleet

WORKERS = 8
JOBS_EACH = 200
MANY_JOBS = 10_000
FIRST_JOBS = 1000  # after these a pool has met all that it meets with quiet jobs
BLOCK = 500  # messages at once
NO_DEARER = 1.1  # times what it was: /proc counts hundredths of a second
NO_MORE = 1.03  # times what it was: what two looks at the same pool may differ by


@dataclass(frozen=True)
class Share:
    """Of one process: its role as its title has it, and MB."""

    role: str
    pss: float
    private: float


def memory(endpoint: Endpoint) -> list[Figure]:
    """Pools of 1 and of 8 workers: when they are ready, and after 200 no-op jobs a worker."""
    idle, after = {}, {}
    for workers in (1, WORKERS):
        with fleet(endpoint, workers, "noop", "--log-format", "json") as tree:
            tree.await_events("dispatcher.ready", workers)
            time.sleep(2.0)  # what follows the start
            idle[workers] = list(shares(tree))
            work(endpoint, 0, workers * JOBS_EACH)
            after[workers] = list(shares(tree))
            tree.end(endpoint, signal.SIGTERM)
    return [
        Figure(f"memory of {WORKERS} idle workers", "MB", [_sum(idle[WORKERS])], bar=95.0),
        *_by_role(idle[WORKERS]),
        Figure(f"… after {JOBS_EACH} jobs each", "MB", [_sum(after[WORKERS])]),
        Figure("memory of a worker beyond the first, fresh", "MB", [_one_more(idle)], bar=4.0),
        Figure(f"… after {JOBS_EACH} jobs", "MB", [_one_more(after)], bar=5.5),
        *_by_role(after[WORKERS]),
    ]


def endurance(endpoint: Endpoint, jobs: int = MANY_JOBS) -> list[Figure]:
    """8 workers do so many no-op jobs: their memory at the end, beside that after the first 1,000;
    what each of the last 1,000 cost, beside each of the second 1,000.
    """
    with fleet(endpoint, WORKERS) as tree:
        work(endpoint, 0, FIRST_JOBS)
        early = list(shares(tree))
        first = _cost(endpoint, tree, FIRST_JOBS)
        work(endpoint, 2 * FIRST_JOBS, jobs - FIRST_JOBS)
        last = _cost(endpoint, tree, jobs - FIRST_JOBS)
        late = list(shares(tree))
        tree.end(endpoint, signal.SIGTERM)
    name = f"memory after {jobs} jobs, {WORKERS} workers"
    beside = f"after {FIRST_JOBS}"
    figures = [
        Figure(
            f"CPU per no-op job, the last of {jobs}",
            "ms",
            [last],
            [first],
            "early",
            bar=NO_DEARER,
            bar_of_ratio=True,
        ),
        _growth(name, [_sum(late)], [_sum(early)], beside),
    ]
    for role in _roles(late):
        ends, began = ([_private(each, role)] for each in (late, early))
        figures.append(_growth(f"… private memory, {role}", ends, began, beside))
    return figures


def _cost(endpoint: Endpoint, tree: Tree, done: int) -> float:
    """CPU milliseconds of a job, of the next 1,000."""
    pids = proc.processes(tree.directory)
    before = proc.cpu_seconds(pids)
    work(endpoint, done, done + FIRST_JOBS)
    return (proc.cpu_seconds(pids) - before) * 1000 / FIRST_JOBS


def work(endpoint: Endpoint, done: int, count: int) -> None:
    """Have the pool do the jobs from `done` to `count`, and wait until it is idle again."""
    while done < count:
        block = min(BLOCK, count - done)
        endpoint.fill(block)
        done += block
        endpoint.await_deleted(done)
    endpoint.await_polls(1)


def shares(tree: Tree) -> Iterator[Share]:
    """Of every process of a pool; a job that has just ended has none."""
    root = psutil.Process(tree.pid)
    for process in (root, *root.children(recursive=True)):
        with contextlib.suppress(OSError, psutil.NoSuchProcess):
            title = " ".join(process.cmdline())
            rollup = Path(f"/proc/{process.pid}/smaps_rollup").read_text()
            private = _field(rollup, "Private_Clean") + _field(rollup, "Private_Dirty")
            found = re.match(r"fleet: (\w+)", title)
            yield Share(found[1] if found else "other", _field(rollup, "Pss"), private)


def _field(rollup: str, name: str) -> float:
    found = re.search(rf"^{name}: +(\d+) kB$", rollup, re.MULTILINE)
    return int(found[1]) / 1024 if found else 0.0


def _sum(found: list[Share]) -> float:
    return sum(share.pss for share in found)


def _one_more(by_workers: dict[int, list[Share]]) -> float:
    """What a worker adds, with all that belongs to it."""
    return (_sum(by_workers[WORKERS]) - _sum(by_workers[1])) / (WORKERS - 1)


def _roles(found: list[Share]) -> Counter[str]:
    return Counter(share.role for share in found)


def _private(found: list[Share], role: str) -> float:
    """The mean of the processes of that role."""
    each = [share.private for share in found if share.role == role]
    return sum(each) / len(each) if each else 0.0


def _by_role(found: list[Share]) -> list[Figure]:
    figures = []
    for role, count in _roles(found).items():
        name = f"… {role}" if count == 1 else f"… {role}, each of {count}"
        pss = sum(share.pss for share in found if share.role == role) / count
        figures.append(Figure(f"{name}, share", "MB", [pss]))
        figures.append(Figure(f"{name}, private", "MB", [_private(found, role)]))
    return figures


def _growth(name: str, values: list[float], others: list[float], beside: str) -> Figure:
    return Figure(name, "MB", values, others, beside, bar=NO_MORE, bar_of_ratio=True)


MEASURES: dict[str, Callable[[Endpoint], list[Figure]]] = {
    "memory": memory,
    "endurance": endurance,
}
