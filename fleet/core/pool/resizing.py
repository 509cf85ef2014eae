"""The size that an operator wants. Part of the machine in `machine.py`.

`fleet scale`, TTIN and TTOU set the size of a fixed pool; in a pool with bounds they hold a size
within them until `fleet scale auto`. Beyond what is possible a command is refused, with the bounds
in its text; a signal goes as far as it can, because nobody reads an answer.
"""

from fleet.core.config import MOST_WORKERS
from fleet.core.pool.effects import Log, Step
from fleet.core.pool.state import Pool, Resize
from fleet.core.records import replace


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


def pause(pool: Pool, wanted: bool) -> Step:
    """Receive nothing more, or go on. What is in hand is finished either way."""
    if wanted is pool.paused:
        return pool, ()
    # Polls that were refused may be allowed meanwhile, and no poll would tell.
    queues = tuple(replace(queue, refused=None) for queue in pool.queues)
    return replace(pool, paused=wanted, queues=queues), (
        Log("pool.paused" if wanted else "pool.resumed", {}),
    )
