"""The pool's state in one phrase.

For a service manager's status line, and for a person who waits at a terminal.
"""

from math import inf

from fleet.core.pool import Level, Pool, PoolPhase
from fleet.core.slot_state import State
from fleet.core.view import queue_status, status

AGAIN = {Level.DRAIN: "; Ctrl-C again to stop them now", Level.NOW: "; Ctrl-C again to kill them"}


def status_line(pool: Pool) -> str:
    """`running: 3/8 busy, about 120 visible`."""
    word, why = status.state(pool), status.reason(pool)
    busy = pool.busy
    sample = queue_status.all_depths(pool.queues)
    depth = f", about {sample.visible} visible" if sample else ""
    return f"{word}: {busy}/{pool.desired} busy{depth}" + (f"; {why}" if why else "")


def drain_line(pool: Pool, now: float) -> str:
    """`draining: 3 jobs, 1 poll, 24 s left; Ctrl-C again to stop them now`.

    Empty when the pool waits for nothing.
    """
    if pool.phase is not PoolPhase.DRAINING or pool.level is None:
        return ""
    jobs = pool.busy
    text = describe_wait(
        jobs, pool.count(State.POLLING), pool.jobs_until - now, pool.polls_until - now
    )
    return text + (_next_signal(pool, pool.level, now) if jobs else "")


def _next_signal(pool: Pool, level: Level, now: float) -> str:
    """What the next signal would do."""
    seconds = pool.config.drain_timeout
    if level is Level.DRAIN and pool.signalled_at == -inf and now + seconds < pool.jobs_until:
        return f"; Ctrl-C gives them {seconds:g} s"
    return AGAIN.get(level, "")


def describe_wait(jobs: int, polls: int, left: float, polls_left: float) -> str:
    """What a drain waits for, and for how many seconds more: `left` for jobs, else `polls_left`."""
    parts = [
        f"{count} {word}{'' if count == 1 else 's'}"
        for count, word in ((jobs, "job"), (polls, "poll"))
        if count
    ]
    if not parts:
        return ""
    about, left = ("", left) if jobs else ("about ", polls_left)
    return f"draining: {', '.join(parts)}" + (f", {about}{left:.0f} s left" if left > 0 else "")
