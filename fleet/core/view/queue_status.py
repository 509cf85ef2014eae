"""What one queue of a pool does and why, and what all of them do together."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from math import inf
from typing import Any

from fleet.core.depth import Depth
from fleet.core.pool import Pool, PoolPhase, QueueState, Slot, job_seconds
from fleet.core.sizing import workload
from fleet.core.sizing.workload import Workload
from fleet.core.slot_state import State

COUNTS = (
    "received",
    "succeeded",
    "failed",
    "timed_out",
    "signalled",
    "deleted",
    "released",
    "dead_lettered",
    "left",
    "lease_lost",
)
PAUSED = "an operator paused it"


def snapshot(pool: Pool, place: int, now: float) -> dict[str, Any]:
    """The object of a queue. The pool is as of now."""
    queue, slots = pool.queues[place], slots_of(pool, place)
    seconds = job_seconds(pool, place)
    return {
        "name": queue.name,
        "state": state(pool, place),
        "reason": reason(pool, place),
        "depth": depth([queue], now),
        "counts": counts(queue, slots),
        "busy": len([slot for slot in slots if slot.is_busy]),
        "polling": len([slot for slot in slots if slot.state is State.POLLING]),
        "limit": None if queue.limit == inf else int(queue.limit),
        "weight": queue.weight,
        "job_seconds": seconds and shown_seconds(*seconds),
    }


def slots_of(pool: Pool, place: int) -> list[Slot]:
    """Those that work for the queue, or did so last."""
    return [slot for slot in pool.slots if slot.queue == place]


def state(pool: Pool, place: int) -> str:
    """The queue's state in one word, of the pool's words."""
    if pool.phase is PoolPhase.BOOTING:
        return "starting"
    if pool.phase is not PoolPhase.RUNNING:
        return "draining"
    if pool.paused or pool.queues[place].paused:
        return "paused"
    return "degraded" if trouble(pool, place) else "running"


def reason(pool: Pool, place: int) -> str | None:
    """Why it is paused or degraded; None if it is neither."""
    match state(pool, place):
        case "paused":
            return PAUSED if pool.queues[place].paused else "an operator paused the pool"
        case "degraded":
            return trouble(pool, place)
        case _:
            return None


def trouble(pool: Pool, place: int) -> str:
    """What is wrong between the pool and the queue, and what it costs; empty when nothing is."""
    queue, slots = pool.queues[place], slots_of(pool, place)
    if queue.denial:
        why = f"{queue.denial.why}; nothing is received until a delete is allowed"
    elif queue.fails:
        why = queue.trouble or "its polls fail"
    else:
        why = next((slot.trouble for slot in slots if slot.trouble), "")
    lost = sum(len(slot.lost) for slot in slots)
    return why + (f"; {lost} lease{'' if lost == 1 else 's'} lost" if why and lost else "")


def counts(queue: QueueState, slots: Iterable[Slot]) -> dict[str, int]:
    """The counts that are shown. A lost lease counts at once, its message still in hand."""
    shown = {name: int(getattr(queue.counts, name)) for name in COUNTS}
    shown["lease_lost"] += sum(len(slot.lost) for slot in slots)
    return shown


def all_depths(queues: Iterable[QueueState]) -> Depth | None:
    """What the last samples have counted, together; None before the first."""
    known = [queue.depth for queue in queues if queue.depth is not None]
    if not known:
        return None
    return Depth(
        sum(each.visible for each in known),
        sum(each.in_flight for each in known),
        sum(each.delayed for each in known),
    )


def depth(queues: Sequence[QueueState], now: float) -> dict[str, Any] | None:
    """The same, and how old the oldest of the samples is."""
    together = all_depths(queues)
    if together is None:
        return None
    sampled = [queue.sampled_at for queue in queues if queue.sampled_at is not None]
    return asdict(together) | {"sampled_ago": round(now - min(sampled, default=now), 3)}


def all_job_seconds(pool: Pool) -> dict[str, float] | None:
    """How long a message keeps a dispatcher, whichever queue it is from."""
    works = [queue.work for queue in pool.queues]
    together = Workload(
        worked=sum(work.worked for work in works),
        finished=sum(work.finished for work in works),
        worked_total=sum(work.worked_total for work in works),
        finished_total=sum(work.finished_total for work in works),
    )
    mean = workload.mean_seconds(together, pool.busy)
    recent = workload.job_seconds(together, pool.busy)
    return None if mean is None or recent is None else shown_seconds(mean, recent)


def shown_seconds(mean: float, recent: float) -> dict[str, float]:
    """As the status has them."""
    return {"mean": round(mean, 4), "recent": round(recent, 4)}
