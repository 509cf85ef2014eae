"""The measurements of whatever a `Subject` starts, each one round of it: a function from a subject
to records with one value.

CPU and memory are those of the whole tree, servers and feeds excluded; the CPU of a job is what the
tree has used between the first and the last job of a block, after a block that warms it up.
"""

import os
import signal
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

from bench import proc
from bench.cpu import rate
from bench.figures import percentile
from bench.harness import PATIENCE, BenchError, Feed, Tree, await_true, started
from bench.measures import one_by_one
from bench.peers.records import Effort, Record
from bench.subjects import Subject

CALM = 0.02  # of a processor, at most, of a tree that is idle: it has started
LONGEST = 30.0  # seconds until what does not happen counts as never


@dataclass(frozen=True)
class Busy:
    """What a tree took for a block of jobs; memory in MB."""

    cpu: float  # ms a job
    rate: float  # jobs a second
    idle: float  # memory before any job
    after: float  # memory after all


def busy(subject: Subject, workers: int, app: str, jobs: int) -> Busy:
    """Of one tree, from its start on."""
    with subject.feed() as feed, subject.start(feed, workers, app) as tree:
        settle(tree)
        idle = proc.pss(proc.processes(tree.directory))
        warm = max(jobs // 8, 2 * workers)
        feed.fill(warm)
        feed.await_deleted(warm)
        pids = proc.processes(tree.directory)
        before = proc.cpu_seconds(pids)
        feed.fill(jobs)
        feed.await_deleted(warm + jobs)
        settle(tree)
        used = proc.cpu_seconds(pids) - before
        if not pids <= proc.processes(tree.directory):
            raise BenchError(f"{subject.name}: a process has ended between two jobs")
        after = proc.pss(pids)
        return Busy(used * 1000 / jobs, rate(feed.messages()[warm:], jobs), idle, after)


def settle(tree: Tree) -> None:
    """Return when the tree has used next to nothing for half a second. Raises BenchError."""

    def is_calm() -> bool:
        pids = proc.processes(tree.directory)
        before = proc.cpu_seconds(pids)
        time.sleep(0.5)
        return proc.cpu_seconds(pids) - before < 0.5 * CALM * max(1, len(pids) / 8)

    await_true(is_calm, "a tree that is idle")


def noop(subject: Subject, effort: Effort) -> list[Record]:
    """No-op jobs at 8 workers, and the memory of 8 workers."""
    run = busy(subject, 8, "noop", effort.jobs)
    return [
        Record("cpu", subject.name, "ms", [run.cpu]),
        Record("rate", subject.name, "/s", [run.rate]),
        Record("memory", subject.name, "MB", [run.idle]),
        Record("memory after work", subject.name, "MB", [run.after]),
    ]


def slow(subject: Subject, effort: Effort) -> list[Record]:
    """Jobs of 50 ms at 8 workers: 160 a second at most."""
    run = busy(subject, 8, "pause", effort.slow_jobs)
    return [Record("rate of 50 ms", subject.name, "/s", [run.rate])]


def large(subject: Subject, effort: Effort) -> list[Record]:
    """No-op jobs at 4 workers of an app of 200 MB."""
    run = busy(subject, 4, "large_app:noop", effort.jobs // 4)
    return [
        Record("large cpu", subject.name, "ms", [run.cpu], 4),
        Record("large rate", subject.name, "/s", [run.rate], 4),
        Record("large memory", subject.name, "MB", [run.after], 4),
    ]


def growth(subject: Subject, effort: Effort) -> list[Record]:
    """No-op jobs and memory over the number of workers."""
    records = []
    for workers in effort.sizes:
        run = busy(subject, workers, "noop", min(effort.jobs // 2, 200 * workers))
        records += [
            Record("growth cpu", subject.name, "ms", [run.cpu], workers),
            Record("growth rate", subject.name, "/s", [run.rate], workers),
            Record("growth memory", subject.name, "MB", [run.after], workers),
        ]
    return records


def latency(subject: Subject, effort: Effort) -> list[Record]:
    """From a message's arrival to its job's first line, 8 idle workers, one message at a time."""
    with subject.feed() as feed, subject.start(feed, 8, "stamp") as tree:
        settle(tree)
        one_by_one(feed, effort.letters)
        stamps, messages = tree.stamped("job"), feed.messages()
    delays = [
        (stamps[str(number)][0] - message["sent"]) / 1e6 for number, message in enumerate(messages)
    ]
    return [
        Record("latency", subject.name, "ms", [statistics.median(delays)]),
        Record("latency p95", subject.name, "ms", [percentile(delays, 0.95)]),
    ]


def start(subject: Subject, _effort: Effort) -> list[Record]:
    """From the command until eight messages that lie there have eight jobs at work."""
    with subject.feed() as feed:
        feed.reset()
        feed.fill(8)
        began = time.monotonic_ns()
        with started(subject.program(feed.url, 8, "work")) as tree:
            await_begun(tree, 8)
            last = max(at for _, at, _ in tree.lines("begin"))
    return [Record("start", subject.name, "s", [(last - began) / 1e9])]


def await_begun(tree: Tree, count: int) -> None:
    """Return when so many jobs have begun. Raises BenchError."""
    await_true(lambda: len(tree.lines("begin")) >= count, f"{count} jobs at work")


def stop(subject: Subject, _effort: Effort) -> list[Record]:
    """From TERM to the end of eight idle workers, with polls that have just begun."""
    with subject.feed() as feed, subject.start(feed, 8, "noop") as tree:
        settle(tree)
        feed.flush()
        feed.await_polls(1)
        return [Record("stop", subject.name, "s", [seconds_to_end(tree)])]


def seconds_to_end(tree: Tree) -> float:
    """Send TERM and wait for the end."""
    began = time.monotonic()
    tree.process.send_signal(signal.SIGTERM)
    tree.process.wait(PATIENCE)
    return time.monotonic() - began


def replacement(subject: Subject, _effort: Effort) -> list[Record]:
    """The only worker, idle, is killed and a message is sent: from the SIGKILL until its job has
    begun. The worker is the process that has run a job and still lives, or its parent.
    """
    with subject.feed() as feed, subject.start(feed, 1, "sign") as tree:
        feed.put(0)
        feed.await_deleted(1)
        settle(tree)
        own, parent = (tree.stamped(word)["0"][1] for word in ("begin", "parent"))
        victim = own if own in proc.processes(tree.directory) else parent
        killed = time.monotonic_ns()
        os.kill(victim, signal.SIGKILL)
        await_true(lambda: victim not in proc.processes(tree.directory), "its death")
        feed.open_polls()  # what is asked later is answered when its poll has been forgotten
        feed.put(1)
        return [Record("replacement", subject.name, "s", [_until_begun(tree, "1", killed)], 1)]


def _until_begun(tree: Tree, key: str, since: int) -> float | None:
    """Seconds, or None when the job does not begin."""
    while time.monotonic_ns() - since < LONGEST * 1e9:
        if key in (begun := tree.stamped("begin")):
            return (begun[key][0] - since) / 1e9
        time.sleep(0.01)
    return None


def idle(subject: Subject, effort: Effort) -> list[Record]:
    """Eight idle workers: calls to the server and CPU a minute."""
    with subject.feed() as feed, subject.start(feed, 8, "noop") as tree:
        settle(tree)
        pids = proc.processes(tree.directory)
        cpu, calls, began = proc.cpu_seconds(pids), _calls(feed), time.monotonic()
        time.sleep(effort.idle)
        minutes = (time.monotonic() - began) / 60
        used = proc.cpu_seconds(pids) - cpu
        made = _calls(feed) - calls
    return [
        Record("idle calls", subject.name, "a minute", [made / minutes]),
        Record("idle cpu", subject.name, "ms a minute", [used * 1000 / minutes]),
    ]


def _calls(feed: Feed) -> int:
    """All so far, without the feed's own."""
    return sum(count for name, count in feed.requests().items() if name != "info")


MEASURES: dict[str, Callable[[Subject, Effort], list[Record]]] = {
    "noop": noop,
    "slow": slow,
    "latency": latency,
    "large": large,
    "start": start,
    "stop": stop,
    "replacement": replacement,
    "idle": idle,
    "growth": growth,
}
