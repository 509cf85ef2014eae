"""What a pool does and why: the object that `fleet status --json` prints.

The contract lists its keys.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fleet.core.pool import Pool, PoolPhase, Slot, pass_time
from fleet.core.slot_state import State
from fleet.core.view import queue_status


@dataclass(frozen=True, slots=True)
class Identity:
    """What stays the same for a pool's whole life.

    Of several queues `queue` and `app` are lists with commas. `began` is on `system/clock.py`'s
    clock, `started_at` is ISO 8601.
    """

    name: str
    pid: int
    app: str
    queue: str
    started_at: str
    began: float


@dataclass(frozen=True, slots=True)
class InHand:
    """What the scoreboard says of a dispatcher that has a message.

    Before its job runs `job_pid` and `job_started_at` are 0.
    """

    message_id: str
    attempt: int
    job_pid: int
    job_started_at: float
    lease_until: float
    settling: bool
    waits: str = ""


def state(pool: Pool) -> str:
    """The pool's state in one word."""
    if pool.phase is PoolPhase.BOOTING:
        return "starting"
    if pool.phase is not PoolPhase.RUNNING:
        return "draining"
    if is_paused(pool):
        return "paused"
    return "degraded" if trouble(pool) else "running"


def is_paused(pool: Pool) -> bool:
    """Whether operators want that nothing more is received."""
    return pool.paused or all(queue.paused for queue in pool.queues)


def trouble(pool: Pool) -> str:
    """What is wrong between the pool and its queues, and what it costs; empty when nothing is.

    One of several that has trouble degrades itself and not the pool, which works for the others.
    Where all that nobody has paused have trouble, the first is told, with its name.
    """
    if len(pool.queues) == 1:
        return queue_status.trouble(pool, 0)
    told = [queue_status.trouble(pool, place) for place in range(len(pool.queues))]
    where = [place for place, why in enumerate(told) if why]
    works = any(not why and not pool.queues[place].paused for place, why in enumerate(told))
    if works or not where:
        return ""
    name, why, others = pool.queues[where[0]].name, told[where[0]], len(where) - 1
    more = f"; {others} more queue{'' if others == 1 else 's'} degraded" if others else ""
    return (why if repr(name) in why else f"queue {name!r}: {why}") + more


def reason(pool: Pool) -> str | None:
    """Why the pool is in a state that is not the normal one; None if it is."""
    match state(pool):
        case "draining":
            return pool.end.why if pool.end else None
        case "paused":
            return queue_status.PAUSED
        case "degraded":
            return trouble(pool)
        case "starting":
            waits = [
                role
                for role, helper in (("app", pool.template), ("queue", pool.scout))
                if not helper.ready
            ]
            return f"waiting for the {' and the '.join(waits)}"
        case _:
            return None


def snapshot(
    identity: Identity,
    pool: Pool,
    pids: Mapping[int, int],
    in_hand: Mapping[int, InHand],
    now: float,
) -> dict[str, Any]:
    """The whole object.

    `pids` are those of the dispatchers, by slot. Ages and what is left of leases in seconds.
    """
    least, most = pool.config.bounds or (pool.desired, pool.desired)
    wanted = 0 if pool.level is not None else pool.desired  # a pool that stops starts none again
    shown = [slot for slot in pool.slots if slot.number < wanted or slot.state is not State.VACANT]
    resize = pool.last_resize
    pool = pass_time(pool, now)  # it is as of its last event
    return {
        "name": identity.name,
        "pid": identity.pid,
        "app": identity.app,
        "queue": identity.queue,
        "state": state(pool),
        "reason": reason(pool),
        "started_at": identity.started_at,
        "uptime": round(now - identity.began, 3),
        "desired": pool.desired,
        "size": pool.size,
        "min": least,
        "max": most,
        "idle": pool.count(State.IDLE),
        "polling": pool.count(State.POLLING),
        "busy": pool.busy,
        "generation": 1,
        "counts": _counts(pool),
        "drain_left": round(max(0.0, pool.jobs_until - now), 3)
        if pool.phase is PoolPhase.DRAINING
        else None,
        "polls_left": round(max(0.0, pool.polls_until - now), 3)
        if pool.phase is PoolPhase.DRAINING
        else None,
        "depth": queue_status.depth(pool.queues, now),
        "job_seconds": queue_status.all_job_seconds(pool),
        "last_resize": resize and {"from": resize.was, "to": resize.to, "reason": resize.reason},
        "queues": [queue_status.snapshot(pool, place, now) for place in range(len(pool.queues))],
        "dispatchers": [
            _dispatcher(pool, slot, pids.get(slot.number), in_hand.get(slot.number), now)
            for slot in shown
        ],
    }


def _counts(pool: Pool) -> dict[str, int]:
    """Of all queues together, and what the pool counts."""
    each = [
        queue_status.counts(queue, queue_status.slots_of(pool, place))
        for place, queue in enumerate(pool.queues)
    ]
    return {name: sum(counts[name] for counts in each) for name in queue_status.COUNTS} | {
        "dispatcher_deaths": pool.dispatcher_deaths
    }


def _dispatcher(
    pool: Pool, slot: Slot, pid: int | None, hand: InHand | None, now: float
) -> dict[str, Any]:
    has_job = hand is not None and hand.job_pid != 0
    at_work = slot.is_busy or slot.state is State.POLLING
    return {
        "slot": slot.number,
        "pid": pid,
        "state": _state(slot, hand),
        "queue": pool.queues[slot.queue].name if at_work else None,
        "job_pid": hand.job_pid if hand and has_job else None,
        "message_id": hand.message_id if hand else None,
        "attempt": hand.attempt if hand else None,
        "job_age": round(now - hand.job_started_at, 3) if hand and has_job else None,
        "lease_left": round(hand.lease_until - now, 3) if hand else None,
        "deaths": slot.deaths,
        "waits": (hand.waits or None) if hand else None,
    }


def _state(slot: Slot, hand: InHand | None) -> str:
    match slot.state:
        case State.VACANT | State.SPAWNING | State.BOOTING:
            return "starting"
        case _ if slot.is_ending:
            return "stopping"
        case State.IDLE:
            return "stopping" if slot.leaving else "idle"
        case State.POLLING:
            return "polling"
        case State.HOLDING:
            return "settling"
        case State.WORKING:
            return "settling" if hand and hand.settling else "working"
