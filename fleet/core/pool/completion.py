"""--max-seconds and --max-jobs: how much a pool takes before it ends by itself.

Part of the machine in `machine.py`.

They do not end a pool that is still coming up: it has time-outs of its own, which say more.
"""

from math import inf

from fleet.core.exit_codes import DONE
from fleet.core.pool import denials
from fleet.core.pool.effects import Step
from fleet.core.pool.receive_size import messages_asked
from fleet.core.pool.shutdown import stop
from fleet.core.pool.state import Level, Pool, PoolEnd, PoolPhase


def stop_after_time(pool: Pool, now: float) -> Step:
    """--max-seconds: drain when they have passed.

    Running jobs have their own time, until somebody asks for a stop.
    """
    config = pool.config
    if pool.phase is not PoolPhase.RUNNING or now < pool.ends_at:
        return pool, ()
    return stop(
        pool,
        Level.DRAIN,
        _end_because(f"--max-seconds {config.max_seconds:g} is over"),
        now,
        pool.own_drain,
    )


def stop_after_jobs(pool: Pool, now: float) -> Step:
    """--max-jobs: drain when the last message that may be received is settled."""
    most = pool.config.max_jobs
    if (
        pool.phase is not PoolPhase.RUNNING
        or most is None
        or pool.counts.received < most
        or has_messages(pool)
    ):
        return pool, ()
    if denials.find_denial(pool):  # it ends, or it ends the pool
        return pool, ()
    return stop(pool, Level.DRAIN, _end_because(f"--max-jobs {most} is reached"), now)


def _end_because(why: str) -> PoolEnd:
    return PoolEnd(DONE, why, counted=True)


def has_messages(pool: Pool) -> bool:
    """Whether a message that was received is not settled yet."""
    return bool(pool.recoveries) or pool.busy > 0


def messages_left(pool: Pool) -> float:
    """How many messages more may be asked for, if every open poll brings as many as it may."""
    most = pool.config.max_jobs
    return inf if most is None else most - pool.counts.received - messages_asked(pool)
