"""Weights: each queue has its share of the job time, not of the messages.

A queue's job time is what its jobs have taken. Those that run count with the time so far or with
what such a job usually takes, whichever is more; an open poll counts as a job, because it may bring
one. The next grant goes to the queue with the least job time for its weight, so queues that always
have messages keep equal job times for their weights, up to a few jobs: start-time fair queueing,
with the clock of Linux's CFS.

A queue that has nothing to do saves nothing up. The clock is the least job time for its weight
among the queues that claim grants, and never goes back. A queue that begins to claim again is
forgiven what it is behind the clock: else a queue that was quiet for an hour would have every
dispatcher until it has caught up. The same holds for one that was paused, or at its limit.
"""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Shares:
    """By queue: how many seconds of job time it was forgiven, and whether it claims grants.

    `clock`: seconds of job time for a weight of 1.
    """

    clock: float = 0.0
    forgiven: tuple[float, ...] = ()
    awake: tuple[bool, ...] = ()


def new(queues: int) -> Shares:
    """The shares of so many queues before anything has run."""
    return Shares(0.0, (0.0,) * queues, (False,) * queues)


def job_time_for_weight(shares: Shares, queue: int, job_time: float, weight: float) -> float:
    """What a queue has had: the least comes next. Seconds for a weight of 1."""
    had = (job_time + shares.forgiven[queue]) / weight
    return had if shares.awake[queue] else max(shares.clock, had)


def advance(
    shares: Shares, job_times: Sequence[float], weights: Sequence[float], claims: Sequence[bool]
) -> Shares:
    """Before grants are given: the clock goes on, and queues that begin to claim are forgiven."""
    places = range(len(claims))
    had = [job_time_for_weight(shares, each, job_times[each], weights[each]) for each in places]
    going_on = [had[each] for each in places if shares.awake[each] and claims[each]]
    clock = max(shares.clock, min(going_on, default=shares.clock))
    forgiven = list(shares.forgiven)
    for each in places:
        if claims[each] and not shares.awake[each]:
            forgiven[each] = max(clock, had[each]) * weights[each] - job_times[each]
    return Shares(clock, tuple(forgiven), tuple(claims))
