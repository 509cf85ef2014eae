"""What a pool does and why: the object that `fleet status --json` prints.

The contract lists its keys.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from fleet.core.pool import Pool, PoolPhase, QueueState, Slot, job_seconds, pass_time
from fleet.core.slot_state import State

COUNTS = (
    *(
        "received",
        "succeeded",
        "failed",
        "timed_out",
        "signalled",
        "deleted",
        "released",
        "dead_lettered",
        "left",
    ),
    "lease_lost",
)


@dataclass(frozen=True, slots=True)
class Identity:
    """What stays the same for a pool's whole life.

    `began` is on `system/clock.py`'s clock, `started_at` is ISO 8601.
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
    if pool.paused:
        return "paused"
    return "degraded" if trouble(pool) else "running"


def trouble(pool: Pool) -> str:
    """What is wrong between the pool and its queue, and what it has cost; empty when nothing is."""
    troubles = (slot.trouble for slot in pool.slots if slot.trouble)
    denial = next((queue.denial for queue in pool.queues if queue.denial), None)
    unanswered = next((queue for queue in pool.queues if queue.fails), None)
    if denial:
        why = f"{denial.why}; nothing is received until a delete is allowed"
    elif unanswered:
        why = unanswered.trouble or "its polls fail"
    else:
        why = next(troubles, "")
    lost = sum(len(slot.lost) for slot in pool.slots)
    return why + (f"; {lost} lease{'' if lost == 1 else 's'} lost" if why and lost else "")


def reason(pool: Pool) -> str | None:
    """Why the pool is in a state that is not the normal one; None if it is."""
    match state(pool):
        case "draining":
            return pool.end.why if pool.end else None
        case "paused":
            return "an operator paused it"
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
    seconds = job_seconds(pass_time(pool, now), 0)  # the pool is as of its last event
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
        "depth": _depth(pool.queues[0], now),
        "job_seconds": seconds and {"mean": round(seconds[0], 4), "recent": round(seconds[1], 4)},
        "last_resize": resize and {"from": resize.was, "to": resize.to, "reason": resize.reason},
        "dispatchers": [
            _dispatcher(slot, pids.get(slot.number), in_hand.get(slot.number), now)
            for slot in shown
        ],
    }


def _counts(pool: Pool) -> dict[str, int]:
    """The counts that are shown. A lost lease counts at once, its message still in hand."""
    shown = {name: getattr(pool.counts, name) for name in COUNTS}
    shown["lease_lost"] += sum(len(slot.lost) for slot in pool.slots)
    return shown | {"dispatcher_deaths": pool.dispatcher_deaths}


def _depth(queue: QueueState, now: float) -> dict[str, Any] | None:
    if queue.depth is None or queue.sampled_at is None:
        return None
    return asdict(queue.depth) | {"sampled_ago": round(now - queue.sampled_at, 3)}


def _dispatcher(slot: Slot, pid: int | None, hand: InHand | None, now: float) -> dict[str, Any]:
    has_job = hand is not None and hand.job_pid != 0
    return {
        "slot": slot.number,
        "pid": pid,
        "state": _state(slot, hand),
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
