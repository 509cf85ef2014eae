"""--max-seconds and --max-jobs: how much a pool takes before it ends by itself. Part of `pool.py`'s machine.

A pool that is still coming up does not end by them: it has time-outs of its own, which say more.
"""

from fleet.core.books import End, Level, Phase, Pool
from fleet.core.events import Effect
from fleet.core.slots import HOLDS_MESSAGE, State
from fleet.core.stopping import stop

Step = tuple[Pool, tuple[Effect, ...]]


def bounded(pool: Pool, now: float) -> Step:
    """Drain when the time has passed, or when the last message that may be taken is done."""
    if pool.phase is not Phase.RUNNING:
        return pool, ()
    if now >= pool.ends_at:
        return stop(pool, Level.DRAIN, End(0, f"--max-seconds ({pool.config.max_seconds:g}) have passed"), now)
    if _received_all(pool) and not in_hand(pool):
        return stop(pool, Level.DRAIN, End(0, f"--max-jobs ({pool.config.max_jobs}) are done"), now)
    return pool, ()


def _received_all(pool: Pool) -> bool:
    return pool.config.max_jobs is not None and pool.counts.received >= pool.config.max_jobs


def in_hand(pool: Pool) -> bool:
    """Whether a message of ours is not settled yet."""
    return bool(pool.wills) or any(slot.state in HOLDS_MESSAGE for slot in pool.slots)


def room(pool: Pool) -> int | None:
    """How many messages more may be asked for, if every open poll brings one, as a silent one still can; None: any."""
    if pool.config.max_jobs is None:
        return None
    return max(0, pool.config.max_jobs - pool.counts.received - pool.count(State.POLLING))
