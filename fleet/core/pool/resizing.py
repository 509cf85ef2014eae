"""The size that an operator wants, pauses, and limits. Part of the machine in `machine.py`.

`fleet scale`, TTIN and TTOU set the size of a fixed pool; in a pool with bounds they hold a size
within them until `fleet scale auto`. Beyond what is possible a command is refused, with the bounds
in its text; a signal goes as far as it can, because nobody reads an answer.
"""

from math import inf

from fleet.core.config import MOST_WORKERS
from fleet.core.pool.effects import Log, Step
from fleet.core.pool.emptiness import Emptiness
from fleet.core.pool.queue_state import QueueState
from fleet.core.pool.state import IllegalEvent, Pool, Resize, with_queue
from fleet.core.records import replace
from fleet.core.scheduling import note_grant


def size_refusal(pool: Pool, to: int | None) -> str | None:
    """Why the pool cannot have that size (None: the size that it finds right); None if it can."""
    bounds = pool.config.bounds
    if to is None:
        return (
            None
            if bounds
            else "this pool has a fixed size: "
            "it was started without --min-workers and --max-workers"
        )
    least, most = bounds or (1, MOST_WORKERS)
    if least <= to <= most:
        return None
    return f"{to} is not between {least} and {most}" + (", this pool's bounds" if bounds else "")


def nudge_size(pool: Pool, by: int) -> Step:
    """TTIN, TTOU: one more or one fewer, within what is possible."""
    least, most = pool.config.bounds or (1, MOST_WORKERS)
    return _hold_size(pool, max(least, min(most, pool.desired + by)), "a signal asked for it")


def scale(pool: Pool, to: int | None) -> Step:
    """`fleet scale`. A size that is refused changes nothing."""
    if size_refusal(pool, to):
        return pool, ()
    if to is None:
        return replace(pool, held=False), ()
    return _hold_size(pool, to, "an operator asked for it")


def _hold_size(pool: Pool, to: int, reason: str) -> Step:
    return resize(replace(pool, held=True), to, reason)


def resize(pool: Pool, to: int, reason: str) -> Step:
    """Want another size. `reason` is a phrase for people."""
    if to == pool.desired:
        return pool, ()
    log = Log("pool.resized", {"from": pool.desired, "to": to, "reason": reason})
    return replace(pool, desired=to, last_resize=Resize(pool.desired, to, reason)), (log,)


def pause(pool: Pool, wanted: bool, place: int | None, now: float) -> Step:
    """Receive nothing more, from one queue or from all (None), or go on.

    What is in hand is finished either way. A queue may be paused beside the whole pool. Raises
    IllegalEvent.
    """
    if place is not None:
        return _pause_queue(pool, place, wanted, now)
    if wanted is pool.paused:
        return pool, ()
    queues = tuple(_begin_anew(queue, now) for queue in pool.queues)
    return replace(pool, paused=wanted, queues=queues), (
        Log("pool.paused" if wanted else "pool.resumed", {}),
    )


def _pause_queue(pool: Pool, place: int, wanted: bool, now: float) -> Step:
    queue = _queue_at(pool, place)
    if wanted is queue.paused:
        return pool, ()
    # What proves that it is empty is outdated.
    after = replace(_begin_anew(queue, now), paused=wanted, emptiness=Emptiness())
    log = Log("queue.paused" if wanted else "queue.resumed", {"queue": queue.name})
    return with_queue(pool, place, after), (log,)


def limit_queue(pool: Pool, place: int, limit: float, now: float) -> Step:
    """Run so many jobs of a queue at the most. Those that run go on, though they are more.

    Raises IllegalEvent.
    """
    queue = _queue_at(pool, place)
    if limit < 1:
        raise IllegalEvent(f"a limit of {limit}")
    if limit == queue.limit:
        return pool, ()
    after = replace(queue, limit=limit, evidence=note_grant(queue.evidence, now))
    fields = {"queue": queue.name, "from": _shown(queue.limit), "to": _shown(limit)}
    return with_queue(pool, place, after), (Log("queue.limited", fields),)


def _queue_at(pool: Pool, place: int) -> QueueState:
    if not 0 <= place < len(pool.queues):
        raise IllegalEvent(f"there is no queue {place}")
    return pool.queues[place]


def _begin_anew(queue: QueueState, now: float) -> QueueState:
    """Polls that were refused may be allowed meanwhile, and no poll would tell.

    Nor has the queue starved while nobody was to poll it. Whether a queue that is not usable
    becomes so the scout tells.
    """
    refused = None if queue.usable else queue.refused
    return replace(queue, refused=refused, evidence=note_grant(queue.evidence, now))


def _shown(limit: float) -> int | str:
    """As `fleet scale --limit` takes it."""
    return "none" if limit == inf else int(limit)
