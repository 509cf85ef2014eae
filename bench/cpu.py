"""What a job costs: CPU, page faults, jobs per second; beside the bare loops, beside another commit
of fleet, with a large app, with an app that has boto3, and over the number of workers.

A tree's cost is known when it has ended. A run of few blocks of messages and a run of many cost the
same start and stop; their difference, divided by the difference in messages, is what a job costs.
Sides that are compared live at the same time, each with a stand-in of its own, and get a block of
messages in turn while the others idle: on a shared host, runs one after the other differ by more
than what is to be told apart. Jobs per second are those of a block, from its first receive to its
last delete.
"""

import statistics
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from bench.figures import Figure
from bench.harness import Cost, Endpoint
from bench.subjects import BOTO3, CALLS, FLEET, SIGNED, SOCKET, Subject, fleet_at, forks

ROUNDS = 3
BLOCK = 200  # messages
FEW, MANY = 1, 5  # blocks of the two runs whose difference is the cost of the jobs alone
BASELINE = "f10286b"  # before what a job costs was halved


@dataclass(frozen=True)
class Side:
    """What runs: a subject, and with what."""

    subject: Subject
    workers: int = 8
    app: str = "noop"
    block: int = BLOCK  # messages


@dataclass(frozen=True)
class Run:
    """What one tree cost, and how many jobs a second it did."""

    cost: Cost
    rate: float


def cpu(_endpoint: Endpoint, baseline: str = BASELINE) -> list[Figure]:
    """A no-op job at 8 workers, beside the bare loops and beside fleet at another commit."""
    with fleet_at(baseline) as before:
        ours, signed, socket, boto3, old = rounds(
            [Side(subject) for subject in (FLEET, SIGNED, SOCKET, BOTO3, before)]
        )
    cost, faults, speed = (
        "CPU per no-op job, 8 workers",
        "page faults per no-op job",
        "jobs per second, 8 workers",
    )
    figures = [
        Figure(cost, "ms", ours["cpu"], signed["cpu"], SIGNED.name, bar=2.0, bar_of_ratio=True),
        Figure(cost, "ms", ours["cpu"], old["cpu"], before.name, bar=0.5, bar_of_ratio=True),
        Figure(cost, "ms", ours["cpu"], socket["cpu"], SOCKET.name),
        Figure(cost, "ms", ours["cpu"], boto3["cpu"], BOTO3.name),
        Figure(faults, "", ours["faults"], signed["faults"], SIGNED.name),
        Figure(speed, "/s", ours["rate"], signed["rate"], SIGNED.name),
        Figure(speed, "/s", ours["rate"], old["rate"], before.name),
    ]
    calls = rounds([Side(CALLS)], 1)[0]["cpu"]
    return [
        *figures,
        Figure("CPU of two calls of boto3", "ms", (), calls, CALLS.name),
        Figure("CPU of a fork, exit, wait beside boto3", "ms", (), [_cost_of_forks()], "forks"),
    ]


def apps(_endpoint: Endpoint) -> list[Figure]:
    """A no-op job at 4 workers, of an app that has 200 MB of objects, and of one that has a client
    of boto3; beside the bare loop with the same app.
    """
    figures = []
    for what, app, bar in (
        ("an app of 200 MB", "large_app:noop", 0.65),
        ("an app that has boto3", "clients:unused", None),
    ):
        ours, theirs = rounds([Side(each, 4, app, BLOCK // 2) for each in (FLEET, SIGNED)])
        cost, speed = f"CPU per no-op job, {what}, 4 workers", f"jobs per second, {what}"
        figures += [
            Figure(cost, "ms", ours["cpu"], theirs["cpu"], SIGNED.name, bar, bar_of_ratio=True),
            Figure(speed, "/s", ours["rate"], theirs["rate"], SIGNED.name),
        ]
    return figures


def growth(_endpoint: Endpoint) -> list[Figure]:
    """A no-op job at 64 workers, beside one at 1 and one at 8."""
    one, eight, many = rounds([Side(FLEET, workers, block=2 * BLOCK) for workers in (1, 8, 64)])
    return [
        Figure("CPU per no-op job, 64 workers", "ms", many["cpu"], others["cpu"], name, *bar)
        for others, name, bar in (
            (one, "1 worker", (1.2, True)),
            (eight, "8 workers", (1.2, True)),
        )
    ]


def rounds(sides: Sequence[Side], count: int = ROUNDS) -> list[dict[str, list[float]]]:
    """Of each side, a value a round: CPU milliseconds and page faults a job, jobs per second."""
    results = [jobs_alone(sides) for _ in range(count)]
    return [
        {name: [result[side][name] for result in results] for name in ("cpu", "faults", "rate")}
        for side in range(len(sides))
    ]


def jobs_alone(sides: Sequence[Side]) -> list[dict[str, float]]:
    """For each side: CPU milliseconds and page faults per job, jobs per second."""
    few, many = _in_turn(sides, FEW), _in_turn(sides, MANY)
    figures = []
    for side, short, long in zip(sides, few, many, strict=True):
        cost, jobs = long.cost - short.cost, (MANY - FEW) * side.block
        figures.append(
            {"cpu": cost.cpu * 1000 / jobs, "faults": cost.faults / jobs, "rate": long.rate}
        )
    return figures


def _in_turn(sides: Sequence[Side], blocks: int) -> list[Run]:
    """Run all sides at once; each works through its blocks of messages while the others idle."""
    with ExitStack() as stack:
        endpoints = [stack.enter_context(Endpoint()) for _ in sides]
        trees = [
            stack.enter_context(side.subject.start(endpoint, side.workers, side.app))
            for side, endpoint in zip(sides, endpoints, strict=True)
        ]
        for block in range(1, blocks + 1):
            for side, endpoint in zip(sides, endpoints, strict=True):
                endpoint.fill(side.block)
                endpoint.await_deleted(block * side.block)
        runs = []
        for side, endpoint, tree in zip(sides, endpoints, trees, strict=True):
            done = rate(endpoint.messages(), side.block)
            runs.append(Run(tree.end(endpoint, side.subject.stop), done))
        return runs


def rate(messages: Sequence[Mapping[str, int]], size: int) -> float:
    """Jobs per second while there were any; the median of the blocks."""
    blocks = [messages[at : at + size] for at in range(0, len(messages), size)]
    took = [
        max(m["deleted"] for m in block) - min(m["received"] for m in block) for block in blocks
    ]
    return size * 1e9 / statistics.median(took)


def _cost_of_forks() -> float:
    """CPU milliseconds of a fork, exit and wait in a process that has boto3 and a client loaded."""
    costs = []
    with Endpoint() as endpoint:
        for blocks in (FEW, MANY):
            with forks(endpoint, 8, blocks * BLOCK) as tree:
                costs.append(tree.end(endpoint, None))
    return (costs[1] - costs[0]).cpu * 1000 / ((MANY - FEW) * BLOCK)


MEASURES: dict[str, Callable[[Endpoint], list[Figure]]] = {
    "cpu": cpu,
    "apps": apps,
    "growth": growth,
}
