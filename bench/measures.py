"""The measurements, each a function from the stand-in to figures; what each counts and how is in
its docstring.

Fleet and its floor take turns, so that what else the host does meets both; a figure is the median
of its rounds.
"""

import os
import signal
import statistics
import time
from collections.abc import Callable

from bench.cpu import BLOCK, ROUNDS
from bench.figures import Figure, percentile
from bench.harness import Cost, Endpoint, Feed, Tree, activity
from bench.subjects import BOTO3, FLEET, SIGNED, WAIT_TIME, Subject, fleet


def latency(endpoint: Endpoint) -> list[Figure]:
    """From a message's arrival at the endpoint to the first line of its job, in an idle pool of 8.

    One message at a time: see `one_by_one`.
    """
    ours, theirs = (delays(subject, endpoint, 60) for subject in (FLEET, SIGNED))
    return [
        Figure(
            f"send to start, idle, {which}",
            "ms",
            [percentile(ours, share)],
            [percentile(theirs, share)],
            beside=SIGNED.name,
        )
        for which, share in (("median", 0.5), ("p95", 0.95))
    ]


def delays(subject: Subject, endpoint: Endpoint, count: int) -> list[float]:
    """Milliseconds from the arrival of each of so many messages to the first line of its job."""
    with subject.start(endpoint, 8, "stamp") as tree:
        one_by_one(endpoint, count)
        jobs = _jobs(endpoint, tree)
        tree.end(endpoint, subject.stop)
    return [(job["started"] - job["sent"]) / 1e6 for job in jobs]


def _jobs(endpoint: Endpoint, tree: Tree) -> list[dict[str, int]]:
    """The endpoint's times of every message, with the job's own."""
    stamps = tree.stamped("job")
    messages = endpoint.messages()
    return [{**m, "started": stamps[m["body"]][0], "ended": stamps[m["body"]][1]} for m in messages]


def start(endpoint: Endpoint) -> list[Figure]:
    """From a job's start to the first line of user code, and from the fork of a bare child of the
    same dispatcher to its first line.

    One busy worker. A dispatcher starts both kinds in turn, so memory, caches and what else the
    host does are the same.
    """
    job, bare = [], []
    for _ in range(ROUNDS):
        with fleet(endpoint, 1, "starts:start") as tree:
            all_at_once(endpoint, 2 * BLOCK)
            job.append(_median_of(tree, "job"))
            bare.append(_median_of(tree, "bare"))
            tree.end(endpoint, signal.SIGTERM)
    return [
        Figure(
            "start of a job to its first line, median",
            "ms",
            job,
            bare,
            beside="bare fork",
            bar=1.5,
            bar_of_ratio=True,
        )
    ]


def _median_of(tree: Tree, kind: str) -> float:
    return statistics.median(until - began for began, until in tree.stamped(kind).values()) / 1e6


def exit_to_delete(endpoint: Endpoint) -> list[Figure]:
    """From a job's last line to the arrival of its delete request: one message at a time in a pool
    of 8; one busy worker; 8 busy ones.

    The job takes the time just before it returns, so its way out of the process is in it. With more
    busy workers than processors the wait for one is most of it, in the floor too; there the floor
    is what to compare with, not a bar.
    """
    figures = []
    for name, workers, count, feed, bar in (
        ("8 workers, one job at a time", 8, 60, one_by_one, 5.0),
        ("1 busy worker", 1, 200, all_at_once, 5.0),
        ("8 busy workers", 8, 600, all_at_once, None),
    ):
        times: dict[str, list[float]] = {}
        for subject in (FLEET, BOTO3):
            with subject.start(endpoint, workers, "stamp") as tree:
                feed(endpoint, count)
                jobs = _jobs(endpoint, tree)
                times[subject.name] = [(job["deleted"] - job["ended"]) / 1e6 for job in jobs]
                tree.end(endpoint, subject.stop)
        figures += [
            Figure(
                f"job's end to delete, {name}, {which}",
                "ms",
                [percentile(times[FLEET.name], share)],
                [percentile(times[BOTO3.name], share)],
                beside=BOTO3.name,
                bar=bar if which == "median" else None,
            )
            for which, share in (("median", 0.5), ("p99", 0.99))
        ]
    return figures


def one_by_one(feed: Feed, count: int) -> None:
    """Each message 50 ms after the one before it was deleted, while a poll is open."""
    for index in range(count):
        feed.await_polls(1)
        time.sleep(0.05)
        feed.put(index)
        feed.await_deleted(index + 1)


def all_at_once(endpoint: Endpoint, count: int) -> None:
    """As many messages as there are, until all are deleted."""
    endpoint.fill(count)
    endpoint.await_deleted(count)


def _workers(count: int) -> str:
    return f"{count} worker{'s' if count > 1 else ''}"


def idle(endpoint: Endpoint) -> list[Figure]:
    """An idle pool for 20 s: the master's CPU and wake-ups, the whole tree's CPU, receive calls,
    depth samples.

    The floor of the calls is computed: so many bare loops, each with a poll of the same length.
    """
    figures = []
    for workers in (1, 8, 64):
        with fleet(endpoint, workers, "noop", "--log-format", "json") as tree:
            tree.await_events("dispatcher.ready", workers)
            time.sleep(2.0)  # what follows the start
            before = [activity(tree.pid, whole_tree=whole) for whole in (False, True)]
            before_calls, began = endpoint.requests(), time.monotonic()
            time.sleep(20.0)
            master, whole = (activity(tree.pid, whole_tree=w) - before[w] for w in (False, True))
            took = time.monotonic() - began
            calls = {
                name: (n - before_calls.get(name, 0)) * 60 / took
                for name, n in endpoint.requests().items()
            }
            tree.end(endpoint, signal.SIGTERM)
        name = _workers(workers)
        if workers > 1:
            figures.append(
                Figure(
                    f"idle master's share of a core, {name}",
                    "%",
                    [master.cpu / took * 100],
                    bar=0.2,
                )
            )
            figures.append(
                Figure(
                    f"idle master's wake-ups per minute, {name}", "", [master.wakeups * 60 / took]
                )
            )
            figures.append(
                Figure(f"idle tree's share of a core, {name}", "%", [whole.cpu / took * 100])
            )
        figures.append(
            Figure(
                f"idle receive calls per minute, {name}",
                "",
                [calls["ReceiveMessage"]],
                [workers * 60 / WAIT_TIME],
                beside="bare loops",
            )
        )
        figures.append(
            Figure(
                f"idle depth samples per minute, {name}", "", [calls.get("GetQueueAttributes", 0.0)]
            )
        )
    return figures


def ready(endpoint: Endpoint) -> list[Figure]:
    """50 workers: from the end of the app's import until all are ready; then from a SIGKILL to the
    slot's successor.

    Each slot is killed once: the second death in a row is answered with a delay on purpose.
    """
    boots, respawns = [], []
    for _ in range(ROUNDS):
        with fleet(endpoint, 50, "stamp", "--log-format", "json") as tree:
            events = tree.await_events("dispatcher.ready", 50)
            imported = max(wall for _, wall in tree.stamped("import").values()) / 1e9
            boots.append((events[49]["time"] - imported) * 1000)
            respawns += [_respawn(tree, event) for event in events[10:50:8]]
            tree.end(endpoint, signal.SIGTERM)
    return [
        Figure("app imported to 50 workers ready", "ms", boots, bar=1000.0),
        Figure("worker killed to its successor ready", "ms", respawns),
    ]


def _respawn(tree: Tree, event: dict[str, int]) -> float:
    """Milliseconds from the SIGKILL to the next ready event."""
    known = len(tree.events("dispatcher.ready"))
    killed = time.time()
    os.kill(event["pid"], signal.SIGKILL)
    ready_at: float = tree.await_events("dispatcher.ready", known + 1)[-1]["time"]
    return (ready_at - killed) * 1000


def clients(endpoint: Endpoint) -> list[Figure]:
    """CPU per job that makes a boto3 client, beside one that finds it made at import; `cpu` says
    how. 2 workers.
    """
    apps = {"noop": "apps:noop"} | {
        name: f"clients:{name}" for name in ("made", "made_again", "unused")
    }
    jobs: dict[str, list[float]] = {name: [] for name in apps}
    for _ in range(ROUNDS):
        for name, app in apps.items():
            few, many = (_cost(endpoint, app, count) for count in (BLOCK // 20, BLOCK // 4))
            jobs[name].append((many - few).cpu * 1000 / (BLOCK // 4 - BLOCK // 20))
    names = {
        "made": "a client made in it",
        "made_again": "the same of the import's session",
        "unused": "a client made at import, unused",
    }
    return [
        Figure(f"CPU per job, {what}", "ms", jobs[name], jobs["noop"], beside="no client")
        for name, what in names.items()
    ]


def _cost(endpoint: Endpoint, app: str, count: int) -> Cost:
    """Of a whole pool that does so many jobs."""
    with fleet(endpoint, 2, app) as tree:
        all_at_once(endpoint, count)
        return tree.end(endpoint, signal.SIGTERM)


MEASURES: dict[str, Callable[[Endpoint], list[Figure]]] = {
    "latency": latency,
    "start": start,
    "exit": exit_to_delete,
    "idle": idle,
    "ready": ready,
    "clients": clients,
}
