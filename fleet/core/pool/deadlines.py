"""The moments at which time alone changes something, and what is done when one has passed.

Rules of `reconcile.py`. Whether a dispatcher that works on a message hangs, or the scout, is
`liveness.py`'s to say.
"""

from collections.abc import Iterator
from math import inf

from fleet.core.pool import denials, grants, recovery_orders, sizing
from fleet.core.pool.effects import (
    AskStack,
    Effect,
    KillDispatcher,
    KillHelper,
    LogHung,
    Step,
    TellStack,
)
from fleet.core.pool.liveness import scout_patience
from fleet.core.pool.slot import Slot
from fleet.core.pool.state import Level, Pool, PoolPhase, Role, with_queue, with_slots
from fleet.core.records import replace
from fleet.core.sizing import memory
from fleet.core.slot_state import State

# Seconds: a poll may take its wait time and the client's read timeout (10 s) on top.
POLL_MARGIN = 12.0
POLL_GRACE = 10.0  # seconds: how long after that a silent dispatcher is left alone
LEAVE_GRACE = 10.0  # seconds: an idle dispatcher that was told to leave is gone in milliseconds
IMPORT_STACK_TIME = 2.0  # seconds for a late template to write its stack: no lease waits for it
WHY_KILLED = {
    State.BOOTING: "not ready in time",
    State.IDLE: "told to leave, and still there",
    State.POLLING: "its poll never came home",
}


def wakes_at(pool: Pool, now: float) -> float:
    """The next moment after `now` at which time alone changes something, or infinity."""
    moments = [at for at in _moments(pool) if at > now]
    if pool.several:
        moments.append(grants.wakes_at(pool, now))
    return min(moments, default=inf)


def _moments(pool: Pool) -> Iterator[float]:
    yield pool.kill_at
    if pool.phase is PoolPhase.RUNNING:
        yield pool.ends_at
    yield pool.stacks_at
    yield pool.spawning.not_before
    yield from sizing.moments(pool)
    if pool.memory.short:
        yield pool.memory.at + memory.AGAIN
    for queue in pool.queues:
        yield queue.polling.not_before
        yield from queue.dead_polls
    yield from recovery_orders.moments(pool)
    is_importing = pool.template.alive and not pool.template.ready
    yield _import_deadline(pool) if is_importing else pool.template.not_before
    yield inf if pool.scout.alive else pool.scout.not_before
    yield scout_patience(pool)
    yield from denials.moments(pool)
    yield from [
        slot.not_before if slot.state is State.VACANT else _deadline(pool, slot)
        for slot in pool.slots
    ]


def _deadline(pool: Pool, slot: Slot) -> float:
    """Until when the slot may stay in its state without a word."""
    match slot.state:
        case State.SPAWNING | State.BOOTING:
            return slot.since + pool.config.boot_timeout
        case State.POLLING:
            if slot.silent_since < inf:
                return slot.silent_since + POLL_GRACE
            # botocore's client is as patient as for a full wait, however short this poll is.
            return slot.since + pool.queues[slot.queue].config.wait_time + POLL_MARGIN
        case State.WORKING | State.HOLDING:
            return inf if slot.killed else slot.look_at
        case State.IDLE if slot.leaving:
            return slot.since + LEAVE_GRACE
        case _:
            return inf


def _import_deadline(pool: Pool) -> float:
    """Until when the template may be at its import, or write its stack."""
    template = pool.template
    until = template.since + pool.config.boot_timeout
    return until if template.silent_since == inf else template.silent_since + IMPORT_STACK_TIME


def kill_overdue(pool: Pool, now: float) -> Step:
    """Kill dispatchers that do not come up or do not go; suspect pollers first that fell silent."""
    effects: list[Effect] = []
    changed: list[Slot] = []
    for slot in pool.slots:
        if slot.is_ending or slot.is_busy or now < _deadline(pool, slot):
            continue
        if slot.state is State.SPAWNING:
            # It is the template that hangs; its death vacates the slot.
            if pool.template.alive and not pool.template.killed:
                pool = replace(pool, template=replace(pool.template, killed=True))
                effects.append(KillHelper(Role.TEMPLATE))
            continue
        if slot.state is State.POLLING and slot.silent_since == inf:
            changed.append(replace(slot, silent_since=now))
            effects.append(AskStack(slot.number))
            continue
        changed.append(replace(slot, killed=True))
        effects.append(LogHung(slot.number, WHY_KILLED[slot.state]))
        if slot.state is State.POLLING:
            effects.append(TellStack(slot.number))
        effects.append(KillDispatcher(slot.number))
    return with_slots(pool, changed), tuple(effects)


def kill_late_template(pool: Pool, now: float) -> Step:
    """A template that does not get the app imported is asked where it hangs, then killed.

    The scout's patience with the queue is its own.
    """
    template = pool.template
    if not template.alive or template.ready or template.killed or now < _import_deadline(pool):
        return pool, ()
    if template.silent_since == inf:
        asked = replace(pool, template=replace(template, silent_since=now))
        return asked, (AskStack(Role.TEMPLATE),)
    killed = replace(pool, template=replace(template, killed=True))
    return killed, (TellStack(Role.TEMPLATE), KillHelper(Role.TEMPLATE))


def kill_late_stop(pool: Pool, now: float) -> Step:
    """A stop that takes longer than any stop may is continued at the last level."""
    if pool.phase is not PoolPhase.DRAINING or now < pool.kill_at:
        return pool, ()
    return replace(pool, level=Level.KILL), ()


def tell_stacks(pool: Pool, now: float) -> Step:
    """Every process that was asked for its stack has had its time to write it."""
    if now < pool.stacks_at:
        return pool, ()
    return replace(pool, stacks_at=inf), (TellStack(None),)


def forget_dead_polls(pool: Pool, now: float) -> Step:
    """Polls of dead dispatchers that the server has ended by now."""
    for place, queue in enumerate(pool.queues):
        if queue.dead_polls and min(queue.dead_polls) <= now:
            left = tuple(until for until in queue.dead_polls if until > now)
            pool = with_queue(pool, place, replace(queue, dead_polls=left))
    return pool, ()
