"""What must hold of the choice among the queues of a pool, whatever the choice is made of.

In the words of the theory (fleet/core/scheduling/__init__.py). What is known of a queue is what the
account was told (account.py), not what the pool remembers.
"""

from collections.abc import Sequence
from math import inf
from typing import Protocol

from fleet.core.pool.completion import messages_left
from fleet.core.pool.slot import Slot
from fleet.core.pool.state import Pool, PoolPhase
from fleet.core.records import replace
from fleet.core.scheduling import LOOK, LOOKING, SETTLE
from fleet.core.slot_state import State

EPSILON = 1e-6


class Known(Protocol):
    """What is known of a queue's polls: see QueueLife in account.py."""

    newest: str
    home_at: float
    granted_at: float


def open_polls(pool: Pool, place: int) -> list[Slot]:
    """Those of a queue that did not fall silent."""
    return [
        slot
        for slot in pool.slots
        if slot.state is State.POLLING and slot.queue == place and slot.silent_since == inf
    ]


def taken(pool: Pool, place: int) -> int:
    """Dispatchers that have a message of the queue, or may get one."""
    return sum(
        (slot.is_busy or slot.state is State.POLLING) and slot.queue == place for slot in pool.slots
    )


def is_open(pool: Pool, place: int, now: float) -> bool:
    """Whether a grant may be given for the queue."""
    queue = pool.queues[place]
    may = queue.may_be_polled and now >= queue.polling.not_before and not pool.paused
    return may and taken(pool, place) < queue.limit


def is_empty(pool: Pool, place: int, known: Known, now: float) -> bool:
    """Whether the newest poll came home empty, or one waits."""
    waits = any(now >= slot.since + SETTLE for slot in open_polls(pool, place))
    return known.newest == "empty" or waits


def without_job_time(later: Pool, pool: Pool) -> Pool:
    """The pool after another look, without what that has told of the job time of its queues.

    It goes on with the time and with each grant. What it makes of the next choice is seen by that.
    """
    pairs = zip(later.queues, pool.queues, strict=True)
    queues = tuple(replace(after, work=queue.work) for after, queue in pairs)
    return replace(later, queues=queues, shares=pool.shares)


def may_wait_for_memory(pool: Pool) -> bool:
    """Whether the queue whose turn it is, by weights, may have no memory for a job.

    Whose turn it is goes on with the time of the running jobs, and nobody wakes for that alone.
    """
    return pool.memory.available < inf and pool.queues[0].weight is not None


def check_limits(before: Pool, after: Pool) -> None:
    """No more than the limit, and no more than before where it was lowered."""
    for place, queue in enumerate(after.queues):
        assert taken(after, place) <= max(queue.limit, taken(before, place))


def check_order(
    pool: Pool, place: int, granted_at: float, known: Sequence[Known], now: float
) -> None:
    """A lower queue of a strict order was given a grant; its last one was at `granted_at`."""
    starve_after = pool.config.starve_after
    if pool.queues[place].weight is not None:
        return
    if starve_after < inf and now >= granted_at + starve_after:
        return
    pause = max(0.0, LOOK * (len(pool.queues) / (LOOKING * max(1, pool.size)) - 1))
    for higher in range(place):
        if is_open(pool, higher, now):
            assert is_empty(pool, higher, known[higher], now), "it may have messages"
            is_due = now > known[higher].home_at + pause + EPSILON
            assert open_polls(pool, higher) or not is_due, "it was not looked at in time"


def check_rest(pool: Pool, known: Sequence[Known], now: float) -> None:
    """Where a dispatcher is left, no queue is without a poll that may have one."""
    if pool.phase is not PoolPhase.RUNNING or pool.memory.available < inf:
        return
    if not any(slot.is_available for slot in pool.slots) or messages_left(pool) <= 0:
        return
    for place, queue in enumerate(pool.queues):
        if not is_open(pool, place, now):
            continue
        assert open_polls(pool, place), f"queue {place} has no poll, and a dispatcher idles"
        if queue.weight is None and not is_empty(pool, place, known[place], now):
            return  # those below wait for it
