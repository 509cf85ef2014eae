"""What is against what should be: the second half of every step of the pool. `pool.py` has the
theory.

Each rule looks at the whole pool and asks for what is missing; running them twice at the same
moment changes nothing the second time.
"""

from collections.abc import Iterator
from dataclasses import replace
from math import inf

from fleet.core import polling
from fleet.core.exit_codes import DONE, ENDED_BADLY, QUEUE_UNUSABLE, UNCONFIRMED
from fleet.core.outcomes import Settlement
from fleet.core.pool import denials, emptiness, receive_size, silence, sizing
from fleet.core.pool import slot as pool_slot
from fleet.core.pool.completion import in_hand, room, satisfied, timed_out
from fleet.core.pool.effects import (
    AskStack,
    Effect,
    KillDispatcher,
    KillHelper,
    Log,
    Send,
    Spawn,
    SpawnHelper,
    Step,
    TellStack,
    TerminateDispatcher,
)
from fleet.core.pool.liveness import inspected
from fleet.core.pool.recovery import given
from fleet.core.pool.shutdown import stop
from fleet.core.pool.slot import ALIVE, HOLDS_MESSAGE, Slot, State
from fleet.core.pool.state import HelperState, Level, Pool, PoolEnd, PoolPhase, Role
from fleet.core.protocol import Drain, Free, Grant
from fleet.core.sizing import memory

POLL_MARGIN = (
    12.0  # seconds: a poll may take its wait time and the client's read timeout (10 s) on top
)
IMPORT_STACK_TIME = 2.0  # seconds for a late template to write its stack: no lease waits for it
SPAWNS_AT_ONCE = (
    16  # orders to the template that are not answered yet: more may not fit into its channel
)
POLL_GRACE = 10.0  # seconds: how long after that a silent dispatcher is left alone
LEAVE_GRACE = 10.0  # seconds: an idle dispatcher that was told to leave is gone in milliseconds
SILENT = {State.BOOTING: "not ready in time", State.IDLE: "told to leave, and still there"}


def reconcile(pool: Pool, now: float, *, judge: bool = True) -> Step:
    """Every rule in turn; the order is from what was to what shall be. `judge`: also who has been
    silent too long.
    """
    effects: list[Effect] = []
    for rule in (
        _stacks,
        *((_overdue, _late, silence.unheard, _overstayed, inspected) if judge else ()),
        _polls_over,
        _started,
        timed_out,
        given,
        denials.allowed,
        denials.hopeless,
        denials.asked,
        _emptied,
        satisfied,
        _helpers,
        _drained,
        _sized,
        _granted,
        _freed,
        _ended,
    ):
        pool, more = rule(pool, now)
        effects.extend(more)
    return pool, tuple(effects)


def wakes_at(pool: Pool, now: float) -> float:
    """The next moment after `now` at which time alone changes something, or infinity."""
    return min((at for at in _moments(pool) if at > now), default=inf)


def _moments(pool: Pool) -> Iterator[float]:
    yield pool.kill_at
    if pool.phase is PoolPhase.RUNNING:
        yield pool.ends_at
    yield pool.stacks_at
    yield pool.spawning.not_before
    yield from sizing.moments(pool)
    if pool.memory.short:
        yield pool.memory.at + memory.AGAIN
    yield pool.polling.not_before
    yield from pool.dead_polls
    yield from (
        will.estate.last_moment for will in pool.wills if will.settlement is Settlement.RELEASE
    )
    yield (
        _imported_by(pool)
        if pool.template.alive and not pool.template.ready
        else pool.template.not_before
    )
    yield inf if pool.scout.alive else pool.scout.not_before
    yield silence.patience(pool)
    yield from denials.moments(pool)
    for slot in pool.slots:
        yield slot.not_before if slot.state is State.VACANT else _patience(pool, slot)


def _patience(pool: Pool, slot: Slot) -> float:
    """Until when the slot may stay in its state without a word."""
    match slot.state:
        case State.SPAWNING | State.BOOTING:
            return slot.since + pool.config.boot_timeout
        case State.POLLING:
            expires = slot.since + pool.config.wait_time + POLL_MARGIN
            return expires if slot.silent_since == inf else slot.silent_since + POLL_GRACE
        case State.WORKING | State.HOLDING:
            return inf if slot.killed else slot.look_at
        case State.IDLE if slot.leaving:
            return slot.since + LEAVE_GRACE
        case _:
            return inf


def _put(pool: Pool, changed: list[Slot]) -> Pool:
    if not changed:
        return pool
    table = list(pool.slots)
    for slot in changed:
        table[slot.number] = slot
    return replace(pool, slots=tuple(table))


def _stacks(pool: Pool, now: float) -> Step:
    """Everybody has had time to write."""
    if now < pool.stacks_at:
        return pool, ()
    return replace(pool, stacks_at=inf), (TellStack(None),)


def _overdue(pool: Pool, now: float) -> Step:
    """Dispatchers that do not come up, pollers that fell silent, those that do not go."""
    effects: list[Effect] = []
    changed: list[Slot] = []
    for slot in pool.slots:
        if slot.killed or slot.ended or slot.state in HOLDS_MESSAGE or now < _patience(pool, slot):
            continue
        if (
            slot.state is State.SPAWNING
        ):  # it is the template that hangs; its death vacates the slot
            if pool.template.alive and not pool.template.killed:
                pool = replace(pool, template=replace(pool.template, killed=True))
                effects.append(KillHelper(Role.TEMPLATE))
            continue
        if slot.state is State.POLLING and slot.silent_since == inf:
            changed.append(replace(slot, silent_since=now))
            effects.append(AskStack(slot.number))
            continue
        changed.append(replace(slot, killed=True))
        what = SILENT.get(slot.state, "its poll never came home")
        effects += [
            Log("dispatcher.hung", {"slot": slot.number, "pid": slot.pid, "why": what}),
            *([TellStack(slot.number)] if slot.state is State.POLLING else []),
            KillDispatcher(slot.number),
        ]
    return _put(pool, changed), tuple(effects)


def _late(pool: Pool, now: float) -> Step:
    """A template that does not get the app imported: asked where it hangs, then killed.

    The scout's patience with the queue is its own.
    """
    template = pool.template
    if not template.alive or template.ready or template.killed or now < _imported_by(pool):
        return pool, ()
    if template.silent_since == inf:
        return replace(pool, template=replace(template, silent_since=now)), (
            AskStack(Role.TEMPLATE),
        )
    killed = replace(pool, template=replace(template, killed=True))
    return killed, (TellStack(Role.TEMPLATE), KillHelper(Role.TEMPLATE))


def _imported_by(pool: Pool) -> float:
    """Until when the template may be at its import, or write its stack."""
    template = pool.template
    until = template.since + pool.config.boot_timeout
    return until if template.silent_since == inf else template.silent_since + IMPORT_STACK_TIME


def _overstayed(pool: Pool, now: float) -> Step:
    """A stop that takes longer than any stop may."""
    if pool.phase is not PoolPhase.DRAINING or now < pool.kill_at:
        return pool, ()
    return replace(pool, level=Level.KILL), ()


def _polls_over(pool: Pool, now: float) -> Step:
    """Polls of the dead that the server has ended by now."""
    if not pool.dead_polls or min(pool.dead_polls) > now:
        return pool, ()
    return replace(pool, dead_polls=tuple(until for until in pool.dead_polls if until > now)), ()


def _started(pool: Pool, now: float) -> Step:
    """Both helpers have done their first part: the pool runs."""
    if pool.phase is PoolPhase.BOOTING and pool.template.ready and pool.scout.ready:
        return replace(pool, phase=PoolPhase.RUNNING, ends_at=now + pool.config.max_seconds), ()
    return pool, ()


def _emptied(pool: Pool, now: float) -> Step:
    """--until-empty."""
    wanted = pool.config.empty_for
    if (
        pool.phase is not PoolPhase.RUNNING
        or wanted is None
        or not emptiness.reached(pool.emptiness, wanted)
    ):
        return pool, ()
    if in_hand(pool) or pool.denial:
        return pool, ()
    return stop(pool, Level.DRAIN, _empty(pool), now)


def _empty(pool: Pool) -> PoolEnd:
    """The end of --until-empty. Said again at the very end: a poll that was open may have brought
    one more message.
    """
    if pool.denial:  # what the last poll brought cannot be deleted
        return PoolEnd(QUEUE_UNUSABLE, pool.denial.why, emptied=True)
    bad = pool.counts.ended_badly
    why = "the queue is empty"
    return (
        PoolEnd(ENDED_BADLY, f"{why}; {bad} ended badly", emptied=True)
        if bad
        else PoolEnd(DONE, why, emptied=True)
    )


def _helpers(pool: Pool, now: float) -> Step:
    """Both helpers exist while the pool needs them."""
    effects: list[Effect] = []
    for role, helper in ((Role.TEMPLATE, pool.template), (Role.SCOUT, pool.scout)):
        after = helper
        wanted = pool.phase in (PoolPhase.BOOTING, PoolPhase.RUNNING) or (
            role is Role.SCOUT and pool.wills and pool.level is not Level.KILL
        )
        if not helper.alive and wanted and now >= max(helper.not_before, pool.spawning.not_before):
            after = HelperState(
                alive=True, proven=helper.proven, since=now, crashes=helper.crashes, heard=now
            )
            effects.append(SpawnHelper(role))
        if after is not helper:
            pool = (
                replace(pool, template=after)
                if role is Role.TEMPLATE
                else replace(pool, scout=after)
            )
    return pool, tuple(effects)


def _drained(pool: Pool, now: float) -> Step:
    """Everybody leaves; at the last level, and past the longest stop, nobody is asked."""
    if pool.phase is not PoolPhase.DRAINING:
        return pool, ()
    effects: list[Effect] = []
    changed: list[Slot] = []
    for slot in pool.slots:
        after = slot
        if slot.pid is None or slot.state is State.VACANT:
            if slot.state is State.SPAWNING and pool.level is Level.KILL:
                after = pool_slot.vacated(slot, now)
        elif pool.level is Level.KILL:
            after = replace(slot, killed=True)
            effects += [] if slot.killed else [KillDispatcher(slot.number)]
        elif not slot.leaving:
            after = pool_slot.leaves(slot, now)
            effects += [
                Send(slot.number, Drain(pool.jobs_have, pool.kill_at - now)),
                TerminateDispatcher(slot.number),
            ]
        if after is not slot:
            changed.append(after)
    return _put(pool, changed), tuple(effects)


def _sized(pool: Pool, now: float) -> Step:
    """As many dispatchers as desired: vacant slots are filled, idle ones retired; a busy one never."""
    if pool.phase is not PoolPhase.RUNNING:
        return pool, ()
    staying = [slot for slot in pool.slots if slot.state in ALIVE and not slot.leaving]
    surplus = len(staying) - pool.desired
    if surplus > 0:
        idle = [
            slot
            for slot in reversed(staying)
            if slot.state is State.IDLE and not slot.ended and not slot.killed
        ][:surplus]
        leaving = [pool_slot.leaves(slot, now) for slot in idle]
        return _put(pool, leaving), tuple(TerminateDispatcher(slot.number) for slot in leaving)
    if surplus == 0 or not pool.template.ready or now < pool.spawning.not_before:
        return pool, ()
    missing = pool.desired - len(pool.slots)
    if missing > 0:
        more = tuple(Slot(len(pool.slots) + index) for index in range(missing))
        pool = replace(pool, slots=(*pool.slots, *more))
    vacant = [slot for slot in pool.slots if slot.state is State.VACANT and slot.not_before <= now]
    at_once = max(0, min(-surplus, SPAWNS_AT_ONCE - pool.count(State.SPAWNING)))
    asked = [pool_slot.to(slot, State.SPAWNING, now) for slot in vacant[:at_once]]
    return _put(pool, asked), tuple(Spawn(slot.number) for slot in asked)


def _granted(pool: Pool, now: float) -> Step:
    """As many open polls as the evidence allows; a silent poll no longer counts."""
    if pool.phase is not PoolPhase.RUNNING or pool.paused or pool.denial:
        return pool, ()
    idle = [
        slot
        for slot in pool.slots
        if slot.state is State.IDLE and not slot.leaving and not slot.ended and not slot.killed
    ]
    if not idle:
        return pool, ()
    open_polls = sum(
        slot.state is State.POLLING and slot.silent_since == inf for slot in pool.slots
    )
    left, most = room(pool), receive_size.share(pool)
    asking: list[Slot] = []
    told: list[Effect] = []
    for slot in idle[: polling.grants(pool.polling, now, len(idle), open_polls)][
        : sizing.room(pool)
    ]:
        if left > 0:
            asking.append(pool_slot.polls(slot, int(min(most, left)), now))
            told.append(
                Send(slot.number, Grant(asking[-1].asked, polling.longest(pool.polling, now)))
            )
            pool = replace(pool, polling=polling.asked(pool.polling, now))
            left -= most
    return _put(pool, asking), tuple(told)


def _freed(pool: Pool, now: float) -> Step:
    """One release rule for the whole host."""
    holding = [slot for slot in pool.slots if slot.state is State.HOLDING]
    if not holding or pool.dead_polls:
        return pool, ()
    if pool.phase is PoolPhase.DRAINING and pool.count(State.POLLING):
        return pool, ()
    free = [replace(slot, state=State.WORKING, since=now) for slot in holding]
    return _put(pool, free), tuple(Send(slot.number, Free()) for slot in free)


def _ended(pool: Pool, _: float) -> Step:
    """The last dispatcher has gone."""
    if pool.phase is not PoolPhase.DRAINING or pool.size or pool.wills:
        return pool, ()
    end = _empty(pool) if pool.end and pool.end.emptied else pool.end
    if end and end.counted and (why := pool.denial.why if pool.denial else pool.gone):
        end = PoolEnd(
            QUEUE_UNUSABLE, why
        )  # it ends by itself in the midst of it, and to start it anew does not help
    if end and end.code == DONE and pool.unconfirmed:
        end = PoolEnd(
            UNCONFIRMED, f"{end.why}; {pool.unconfirmed} finished, their deletes not confirmed"
        )
    return replace(pool, phase=PoolPhase.STOPPED, kill_at=inf, end=end), ()
