"""How a pool comes to its end: the levels of a stop. Part of the machine in `machine.py`."""

from math import ceil, inf

from fleet.core.config import SAME_SIGNAL
from fleet.core.exit_codes import DONE
from fleet.core.pool.effects import Effect, Log, Send, Step
from fleet.core.pool.state import Level, Pool, PoolEnd, PoolPhase
from fleet.core.protocol import Drain
from fleet.core.records import replace
from fleet.core.slot_state import State


def note_stop_signal(pool: Pool, level: Level, why: str, now: float) -> Step:
    """One more signal. The same one within SAME_SIGNAL is not new, unless it asks for more."""
    if pool.phase is PoolPhase.STOPPED:
        return pool, ()
    # The first signal, though the pool may stop already.
    if pool.level is None or pool.signalled_at == -inf:
        return stop(replace(pool, signalled_at=now), level, PoolEnd(DONE, why), now)
    if level <= pool.level and now - pool.signalled_at <= SAME_SIGNAL:
        return pool, ()
    asked = max(level, Level(min(pool.level + 1, Level.KILL)))
    return stop(replace(pool, signalled_at=now), asked, PoolEnd(DONE, why), now)


def stop(pool: Pool, level: Level, end: PoolEnd, now: float, seconds: float | None = None) -> Step:
    """Begin to stop, or stop harder or sooner.

    The first reason stays; a recovery that is given up replaces it when everything is killed.

    `seconds`: the time of running jobs in a drain, if that is not --drain-timeout.
    """
    if seconds is None or level > Level.DRAIN:
        seconds = 0.0 if level > Level.DRAIN else pool.config.drain_timeout
    if pool.level is not None and (
        level < pool.level or (level == pool.level and now + seconds >= pool.jobs_until)
    ):
        return pool, ()
    end = pool.end or end
    effects: list[Effect] = []
    # In a start that fails the error is all that there is to say.
    if pool.phase is not PoolPhase.BOOTING or end.code == DONE:
        busy = pool.busy
        fields = {
            "why": end.why,
            "how": level.name.lower(),
            "busy": busy,
            "polling": pool.count(State.POLLING),
            "seconds": seconds,
            "waits": _describe_wait(pool, level, busy, seconds, pool.polls_until - now),
        }
        effects.append(Log("drain.started", fields))
    kill_at = min(pool.kill_at, now + pool.longest_drain(seconds))
    word = Drain(seconds, kill_at - now)
    effects.extend(
        Send(slot.number, word) for slot in pool.slots if slot.leaving and slot.has_process
    )
    return replace(
        pool,
        phase=PoolPhase.DRAINING,
        level=level,
        end=end,
        kill_at=kill_at,
        jobs_have=seconds,
        jobs_until=now + seconds,
    ), tuple(effects)


def _describe_wait(pool: Pool, level: Level, busy: int, seconds: float, polls_left: float) -> str:
    """What the stop waits for, and how long: jobs at most, polls about."""
    jobs = f"{busy} job{'' if busy == 1 else 's'}"
    if level is Level.KILL:
        return f"kills {jobs}" if busy else "kills what is there"
    parts = []
    if busy and level is Level.NOW:
        longest = max(queue.config.exit_timeout for queue in pool.queues)
        parts.append(f"{jobs} to stop (--exit-timeout {longest:g} s)")
    elif busy:
        parts.append(f"{jobs} ({seconds:g} s at most)")
    if polls_left > -inf:
        parts.append(f"open polls ({_describe_polls(polls_left)})")
    return "waits for " + " and ".join(parts) if parts else "nothing is in hand"


def _describe_polls(left: float) -> str:
    """How long open polls take. No bound: the client waits longer for a queue that is silent."""
    return f"about {ceil(left)} s" if left > 0 else "overdue"
