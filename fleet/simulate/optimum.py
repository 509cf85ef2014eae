"""The limit: what a pool would need that knows when each message comes and how long its job takes.

It keeps the fewest workers that are allowed, and has one more for exactly as long as a job takes
when a message would otherwise wait longer than the target. It never pays for an idle worker above
the fewest, so no pool that keeps the target needs much less: the work itself, or the fewest workers
all the time, are lower bounds that it nearly reaches.
"""

import heapq
from collections.abc import Sequence
from dataclasses import dataclass

from fleet.simulate.scenario import Load, Scenario
from fleet.simulate.world import LATENCY, hidden_after

Deliveries = list[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Optimum:
    """Worker-seconds in all, and the fewest workers that keep the target if always there."""

    worker_seconds: float
    most: int


def of(scenario: Scenario, load: Load) -> Optimum:
    """For all hosts together."""
    deliveries = _deliveries(scenario, load)
    fewest = scenario.config.fewest_workers * scenario.hosts
    return Optimum(
        _worker_seconds(scenario, fewest, deliveries),
        max(fewest, _fewest_that_keep_target(scenario, deliveries)),
    )


def _worker_seconds(scenario: Scenario, fewest: int, deliveries: Deliveries) -> float:
    end = float(scenario.trace.seconds)
    free = [0.0] * fewest
    extra = 0.0
    for came, took in deliveries:
        latest = came + scenario.config.target_wait
        if free[0] <= latest:
            heapq.heapreplace(free, max(came, free[0]) + took)
        else:
            extra += max(0.0, min(end, latest + took) - min(end, latest))
    return fewest * end + extra


def _fewest_that_keep_target(scenario: Scenario, deliveries: Deliveries) -> int:
    """By bisection: do so many workers always do the work that there is within the target?"""
    work = [0.0] * (scenario.trace.seconds + 1)
    for came, took in deliveries:
        if came < scenario.trace.seconds:
            work[int(came)] += took
    few, many = 0, 1 + int(max(work))
    while few + 1 < many:
        middle = (few + many) // 2
        if _can_keep_target(middle, scenario.config.target_wait, work):
            many = middle
        else:
            few = middle
    return many


def _can_keep_target(workers: int, target_wait: float, work: Sequence[float]) -> bool:
    waiting = 0.0
    for more in work:
        waiting = max(0.0, waiting + more - workers)
        if waiting > workers * target_wait:
            return False
    return True


def _deliveries(scenario: Scenario, load: Load) -> Deliveries:
    """Of each delivery when it comes and how long it keeps a worker, in order.

    Those of failing messages too.
    """
    deliveries = []
    for message, (came, seconds) in enumerate(zip(load.arrivals, load.seconds, strict=True)):
        deliveries.append((came, seconds + LATENCY))
        if message in load.failing:
            pause = seconds + LATENCY + hidden_after(seconds, scenario.config)
            deliveries += [
                (came + again * pause, seconds + LATENCY) for again in range(1, scenario.receives)
            ]
    deliveries.sort()
    return deliveries
