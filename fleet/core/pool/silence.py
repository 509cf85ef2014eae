"""A scout that says nothing is asked for a word, and then replaced. Part of `pool.py`'s machine.

It samples the queue at its interval and tells the counts, or why it has none; while it tries an
order or a late queue again and again it says at each try that it lives. Who is silent for longer is
stopped or hangs: what it was ordered would stay open, and the pool would wait for that for ever.
Silence is a suspicion first, and it is asked for a sample: after a suspension of the host it may
sleep for as long as before, and a master that was stopped itself, with its scout, must not blame
it. It is a verdict when no word comes then either.
"""

from dataclasses import replace
from math import inf

from fleet.core.pool.effects import AskSample, KillHelper, Step
from fleet.core.pool.state import Pool, Role

JITTER = 0.25  # of the interval, more or less, between two samples
QUIET = 20.0  # seconds: the pause before a try, and a call with all its time-outs
# Seconds until it has told a sample that it was asked for; names and credentials may take their
# time.
ANSWER = 40.0


def heard(pool: Pool, now: float) -> Pool:
    """It has said something."""
    return (
        replace(pool, scout=replace(pool.scout, heard=now, silent_since=inf, full=False))
        if pool.scout.alive
        else pool
    )


def patience(pool: Pool) -> float:
    """Until when the scout may be silent."""
    scout = pool.scout
    if not scout.alive or scout.killed:
        return inf
    if scout.silent_since < inf:
        return scout.silent_since + ANSWER
    samples_only = scout.ready and not scout.full and not any(will.waiting for will in pool.wills)
    return (
        scout.heard + QUIET + (pool.config.depth_interval * (1 + JITTER) if samples_only else 0.0)
    )


def unheard(pool: Pool, now: float) -> Step:
    """Ask the silent scout, or kill it."""
    scout = pool.scout
    if now < patience(pool):
        return pool, ()
    if scout.silent_since < inf:
        return replace(pool, scout=replace(scout, killed=True)), (KillHelper(Role.SCOUT),)
    pool = replace(
        pool, scout=replace(scout, silent_since=now), sizing=replace(pool.sizing, asked=True)
    )
    return pool, (AskSample(),)
