"""Several queues in one pool: start latency, shares, and what an idle pool asks.

Each queue is on a stand-in of its own, given as the queue's URL. All figures are told by the
stand-ins: when a message was sent, received and deleted, and how many receive calls there were.
docs/queues.md has these figures.
"""

import random
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager

from bench.figures import Figure, percentile
from bench.harness import ROOT, Endpoint, Program, Tree, await_true, running
from bench.pool import tell
from bench.subjects import full_name

WAIT_TIME = 10  # seconds of long poll
SETTLED = 5.0  # seconds after the start
LATENCIES = 25  # messages on the high queue, 2 to 4 seconds apart
FLOOD = 20_000  # messages that are not done before the end
SHARED = IDLE = 60.0  # seconds


class Feeds:
    """The stand-ins of a pool's queues."""

    def __init__(self, endpoints: Sequence[Endpoint]) -> None:
        self._endpoints = endpoints

    def reset(self) -> None:
        for each in self._endpoints:
            each.reset()

    def flush(self) -> None:
        for each in self._endpoints:
            each.flush()

    def open_polls(self) -> int:
        return sum(each.open_polls() for each in self._endpoints)


@contextmanager
def shared_pool(
    workers: int, job_seconds: Sequence[float], weights: Sequence[int] = ()
) -> Iterator[tuple[Tree, list[Endpoint]]]:
    """A pool with a queue for each of JOB_SECONDS, which its jobs take; in this order, or with
    weights.
    """
    with ExitStack() as stack:
        endpoints = [stack.enter_context(Endpoint([f"{each:g}"])) for each in job_seconds]
        feeds = Feeds(endpoints)
        queues = [f"{each.url}/000000000000/q{place}" for place, each in enumerate(endpoints)]
        if weights:
            queues = [f"{queue}={each}" for queue, each in zip(queues, weights, strict=True)]
        command = [sys.executable, "-m", "fleet", "start", "--workers", str(workers)]
        command += [part for queue in queues for part in ("--queue", queue)]
        command += ["--wait-time", str(WAIT_TIME), full_name("doze")]
        program = Program(command, {"PYTHONPATH": str(ROOT)}, polls=min(workers, len(queues)))
        tree = stack.enter_context(running(feeds, program))
        yield tree, endpoints
        tree.end(feeds, signal.SIGTERM)


def latency(workers: int, low_seconds: float, limit: int | None = None) -> list[Figure]:
    """How long messages of the first queue wait for their receive while the second is flooded."""
    moments = random.Random(1)
    with shared_pool(workers, [0.1, low_seconds]) as (tree, (high, low)):
        if limit:
            tell(tree, "scale", "--queue", "q1", "--limit", str(limit))
        low.fill(FLOOD)
        time.sleep(SETTLED)
        for number in range(LATENCIES):
            high.put(number)
            time.sleep(moments.uniform(2.0, 4.0))
        await_true(lambda: all(each["received"] for each in high.messages()), "all to be received")
        waits = [(each["received"] - each["sent"]) / 1e9 for each in high.messages()]
    more = f", low's limit {limit}" if limit else ""
    name = f"high waits, {workers} workers, low's jobs {low_seconds:g} s{more}"
    return [
        Figure(f"{name}: {word}", "s", [percentile(waits, share)])
        for word, share in (("p50", 0.5), ("p95", 0.95), ("longest", 1.0))
    ]


def latencies(_: Endpoint) -> list[Figure]:
    """The first queue's start latency by workers and by what the second queue's jobs take."""
    figures = [
        figure
        for workers in (1, 2, 8)
        for seconds in (0.01, 1.0, 5.0)
        for figure in latency(workers, seconds)
    ]
    return figures + latency(8, 5.0, limit=7)


def share(weights: Sequence[int], job_seconds: Sequence[float]) -> Figure:
    """The first queue's share of the time from receive to delete, where both always have messages.

    What runs at the end counts as far as it has run.
    """
    with shared_pool(4, job_seconds, weights) as (_, endpoints):
        for each in endpoints:
            each.fill(FLOOD)
        began = time.monotonic_ns()
        time.sleep(SHARED)
        ended = time.monotonic_ns()
        worked = [_worked(each, began, ended) for each in endpoints]
    asked = weights[0] / sum(weights)
    name = "job time of the first of two queues, weights {} : {}, jobs {:g} s and {:g} s".format(
        *weights, *job_seconds
    )
    return Figure(name, "%", [100 * worked[0] / sum(worked)], [100 * asked], beside="asked")


def _worked(endpoint: Endpoint, began: int, ended: int) -> float:
    """Nanoseconds."""
    worked = 0
    for each in endpoint.messages():
        if each["received"]:
            worked += max(0, min(ended, each["deleted"] or ended) - max(began, each["received"]))
    return worked


def shares(_: Endpoint) -> list[Figure]:
    """Of the job time, by weights and by what jobs take."""
    pairs = [(1.0, 1.0), (0.5, 5.0)]
    return [share(weights, jobs) for weights in ((1, 1), (3, 1), (9, 1)) for jobs in pairs]


def idle_polls(_: Endpoint) -> list[Figure]:
    """Receive calls a minute of a pool that has nothing to do."""
    return [_idle(workers, queues) for workers in (1, 2, 8) for queues in (1, 2, 8)]


def _idle(workers: int, queues: int) -> Figure:
    with shared_pool(workers, [1.0] * queues) as (_, endpoints):
        time.sleep(SETTLED)
        before, began = sum(map(_receives, endpoints)), time.monotonic()
        time.sleep(IDLE)
        polls, seconds = sum(map(_receives, endpoints)) - before, time.monotonic() - began
    name = f"receive calls, idle, {workers} workers, {queues} queues, wait time {WAIT_TIME} s"
    return Figure(name, "a minute", [polls * 60 / seconds])


def _receives(endpoint: Endpoint) -> int:
    return endpoint.requests().get("ReceiveMessage", 0)


def queues(endpoint: Endpoint) -> list[Figure]:
    """All of it."""
    return latencies(endpoint) + shares(endpoint) + idle_polls(endpoint)


MEASURES: dict[str, Callable[[Endpoint], list[Figure]]] = {"queues": queues}
