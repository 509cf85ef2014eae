"""The measurements, each a function from the stand-in to figures; what each counts and how is in
its docstring.

Fleet and its floor take turns, so that what else the host does meets both; a figure is the median
of its rounds.
"""

import os
import signal
import statistics
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field

from bench.harness import WAIT_TIME, Cost, Endpoint, Tree, activity, fleet, floor, forks

ROUNDS = 3
BLOCK = 200  # messages
FEW, MANY = 1, 5  # blocks of the two runs whose difference is the cost of the jobs alone
Start = Callable[..., AbstractContextManager[Tree]]
Side = tuple[Start, Endpoint, *tuple[str, ...]]


@dataclass(frozen=True)
class Run:
    """What one tree cost, and how many jobs a second it did."""

    cost: Cost
    rate: float


@dataclass(frozen=True)
class Figure:
    """One line of the table. `values` are fleet's, one a round; a bar is an upper bound."""

    measure: str
    unit: str
    values: Sequence[float]
    floor: Sequence[float] = field(default=())
    bar: float | None = None
    bar_of_ratio: bool = False

    @property
    def value(self) -> float | None:
        return statistics.median(self.values) if self.values else None

    @property
    def floor_value(self) -> float | None:
        return statistics.median(self.floor) if self.floor else None

    @property
    def ratios(self) -> list[float]:
        """Round by round: what else the host did in a round met both sides."""
        return (
            [ours / theirs for ours, theirs in zip(self.values, self.floor, strict=True)]
            if self.comparable
            else []
        )

    @property
    def comparable(self) -> bool:
        return bool(self.values and self.floor)

    @property
    def ratio(self) -> float | None:
        return statistics.median(self.ratios) if self.comparable else None

    @property
    def met(self) -> bool | None:
        """Whether the bar is met; None without one."""
        measured = self.ratio if self.bar_of_ratio else self.value
        return None if self.bar is None or measured is None else measured <= self.bar


def percentile(values: Iterable[float], share: float) -> float:
    """The smallest value that so large a share of all does not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def cpu(endpoint: Endpoint) -> list[Figure]:
    """CPU per no-op job of the whole tree, and jobs per second, at 8 workers.

    Pool and floor live at the same time, each with a stand-in of its own, and get a block of
    messages in turn while the other idles: on a shared host, runs one after the other differ by
    more than what is to be told apart. A run of one block and a run of many cost the same start,
    idle time and stop; their difference, divided by the difference in messages, is what a job
    costs. Jobs per second are those of a block, from its first receive to its last delete.
    """
    pool, loop = [], []
    with Endpoint() as other:
        sides: list[Side] = [(fleet, endpoint, "noop"), (floor, other, "noop")]
        for _ in range(ROUNDS):
            ours, theirs = jobs_alone(sides)
            pool.append(ours)
            loop.append(theirs)
        calls = jobs_alone([(floor, other, "noop", "boto3")])[0]
    figures = [
        Figure(
            "CPU per no-op job, 8 workers",
            "ms",
            _column("cpu", pool),
            _column("cpu", loop),
            bar=1.3,
            bar_of_ratio=True,
        ),
        Figure("page faults per no-op job", "", _column("faults", pool), _column("faults", loop)),
        Figure("jobs per second, 8 workers", "/s", _column("rate", pool), _column("rate", loop)),
    ]
    return [
        *figures,
        Figure("CPU of the floor's two calls alone", "ms", (), [calls["cpu"]]),
        Figure("CPU of a bare fork, exit, wait", "ms", (), [_cost_of_forks(endpoint)]),
    ]


def _column(name: str, runs: Sequence[Mapping[str, float]]) -> list[float]:
    return [run[name] for run in runs]


def jobs_alone(sides: Sequence[Side]) -> list[dict[str, float]]:
    """For each side: CPU milliseconds and page faults per job, jobs per second."""
    few, many = _in_turn(sides, FEW), _in_turn(sides, MANY)
    jobs = (MANY - FEW) * BLOCK
    costs = [(long.cost - short.cost, long.rate) for short, long in zip(few, many, strict=True)]
    return [
        {"cpu": cost.cpu * 1000 / jobs, "faults": cost.faults / jobs, "rate": rate}
        for cost, rate in costs
    ]


def _in_turn(sides: Sequence[Side], blocks: int) -> list[Run]:
    """Run all sides at once; each works through its blocks of messages while the others idle."""
    with ExitStack() as stack:
        trees = [
            stack.enter_context(start(endpoint, 8, *arguments))
            for start, endpoint, *arguments in sides
        ]
        for block in range(1, blocks + 1):
            for _, endpoint, *_ in sides:
                endpoint.fill(BLOCK)
                endpoint.await_deleted(block * BLOCK)
        runs = []
        for tree, (start, endpoint, *_) in zip(trees, sides, strict=True):
            rate = _rate(endpoint.messages())
            runs.append(Run(tree.end(endpoint, signal.SIGTERM if start is fleet else None), rate))
        return runs


def _rate(messages: Sequence[Mapping[str, int]]) -> float:
    """Jobs per second while there were any; the median of the blocks."""
    blocks = [messages[at : at + BLOCK] for at in range(0, len(messages), BLOCK)]
    took = [
        max(m["deleted"] for m in block) - min(m["received"] for m in block) for block in blocks
    ]
    return BLOCK * 1e9 / statistics.median(took)


def _cost_of_forks(endpoint: Endpoint) -> float:
    """CPU milliseconds of a fork, exit and wait in a process that has boto3 and a client loaded."""
    costs = []
    for blocks in (FEW, MANY):
        with forks(endpoint, 8, blocks * BLOCK) as tree:
            costs.append(tree.end(endpoint, None))
    return (costs[1] - costs[0]).cpu * 1000 / ((MANY - FEW) * BLOCK)


def latency(endpoint: Endpoint) -> list[Figure]:
    """From a message's arrival at the endpoint to the first line of its job, in an idle pool of 8.

    One message at a time: see `one_by_one`.
    """
    times: dict[Start, list[float]] = {}
    for start in (fleet, floor):
        with start(endpoint, 8, "stamp") as tree:
            one_by_one(endpoint, 60)
            times[start] = [(m["started"] - m["sent"]) / 1e6 for m in _jobs(endpoint, tree)]
            tree.end(endpoint, signal.SIGTERM if start is fleet else None)
    return [
        Figure(
            "send to start, idle, median",
            "ms",
            [statistics.median(times[fleet])],
            [statistics.median(times[floor])],
        ),
        Figure(
            "send to start, idle, p95",
            "ms",
            [percentile(times[fleet], 0.95)],
            [percentile(times[floor], 0.95)],
        ),
    ]


def _jobs(endpoint: Endpoint, tree: Tree) -> list[dict[str, int]]:
    """The endpoint's times of every message, with the job's own."""
    stamps = tree.stamped("job")
    messages = endpoint.messages()
    return [{**m, "started": stamps[m["body"]][0], "ended": stamps[m["body"]][1]} for m in messages]


def start(endpoint: Endpoint) -> list[Figure]:
    """From the fork to the first line of user code, in a job and in a bare child of the same
    dispatcher.

    One busy worker. A dispatcher forks both kinds in turn, so memory, caches and what else the host
    does are the same.
    """
    job, bare = [], []
    for _ in range(ROUNDS):
        with fleet(endpoint, 1, "starts:start") as tree:
            all_at_once(endpoint, 2 * BLOCK)
            job.append(_median_of(tree, "job"))
            bare.append(_median_of(tree, "bare"))
            tree.end(endpoint, signal.SIGTERM)
    return [
        Figure("fork to the job's first line, median", "ms", job, bare, bar=1.5, bar_of_ratio=True)
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
        times: dict[Start, list[float]] = {}
        for start in (fleet, floor):
            with start(endpoint, workers, "stamp") as tree:
                feed(endpoint, count)
                times[start] = [(m["deleted"] - m["ended"]) / 1e6 for m in _jobs(endpoint, tree)]
                tree.end(endpoint, signal.SIGTERM if start is fleet else None)
        for which, share in (("median", 0.5), ("p99", 0.99)):
            ours, theirs = ([percentile(times[start], share)] for start in (fleet, floor))
            limit = bar if which == "median" else None
            figures.append(
                Figure(f"job's end to delete, {name}, {which}", "ms", ours, theirs, bar=limit)
            )
    return figures


def one_by_one(endpoint: Endpoint, count: int) -> None:
    """Each message 50 ms after the one before it was deleted, while a poll is open."""
    for index in range(count):
        endpoint.await_polls(1)
        time.sleep(0.05)
        endpoint.call("POST", f"/fill?n=1&body={index}")
        endpoint.await_deleted(index + 1)


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
            before_calls, began = _requests(endpoint), time.monotonic()
            time.sleep(20.0)
            master, whole = (activity(tree.pid, whole_tree=w) - before[w] for w in (False, True))
            took = time.monotonic() - began
            calls = {
                name: (n - before_calls.get(name, 0)) * 60 / took
                for name, n in _requests(endpoint).items()
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
            )
        )
        figures.append(
            Figure(
                f"idle depth samples per minute, {name}", "", [calls.get("GetQueueAttributes", 0.0)]
            )
        )
    return figures


def _requests(endpoint: Endpoint) -> dict[str, int]:
    """The calls so far, by name."""
    return dict(endpoint.call("GET", "/stats")["requests"])


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
    return [
        Figure("CPU per job, a client made in it", "ms", jobs["made"], jobs["noop"]),
        Figure(
            "CPU per job, the same of the import's session", "ms", jobs["made_again"], jobs["noop"]
        ),
        Figure("CPU per job, a client made at import, unused", "ms", jobs["unused"], jobs["noop"]),
    ]


def _cost(endpoint: Endpoint, app: str, count: int) -> Cost:
    """Of a whole pool that does so many jobs."""
    with fleet(endpoint, 2, app) as tree:
        all_at_once(endpoint, count)
        return tree.end(endpoint, signal.SIGTERM)


MEASURES: dict[str, Callable[[Endpoint], list[Figure]]] = {
    "cpu": cpu,
    "latency": latency,
    "start": start,
    "exit": exit_to_delete,
    "idle": idle,
    "ready": ready,
    "clients": clients,
}
