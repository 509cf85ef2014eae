"""What is against what should be: the second half of every step of the pool.

`machine.py` has the theory.

Each rule looks at the whole pool and asks for what is missing; running them twice at the same
moment changes nothing the second time.

docs/decisions/0001 has the reasons.
"""

from math import inf

from fleet.core.exit_codes import DONE, ENDED_BADLY, QUEUE_UNUSABLE, UNCONFIRMED
from fleet.core.pool import deadlines, denials, recovery_orders
from fleet.core.pool.completion import has_messages, stop_after_jobs, stop_after_time
from fleet.core.pool.effects import (
    Effect,
    KillDispatcher,
    Send,
    Spawn,
    SpawnHelper,
    Step,
    TerminateDispatcher,
)
from fleet.core.pool.grants import grant_polls
from fleet.core.pool.liveness import inspect_dispatchers, judge_scout
from fleet.core.pool.releases import allow_releases
from fleet.core.pool.shutdown import stop
from fleet.core.pool.slot import Slot, ask_to_leave, change_state, vacate
from fleet.core.pool.state import (
    HelperState,
    Level,
    Pool,
    PoolEnd,
    PoolPhase,
    Role,
    helper_of,
    with_helper,
    with_slots,
)
from fleet.core.protocol import Drain
from fleet.core.records import replace
from fleet.core.scheduling import note_grant
from fleet.core.slot_state import State

# Orders to the template that are not answered yet: more may not fit into its channel.
SPAWNS_AT_ONCE = 16


def reconcile(pool: Pool, now: float, *, judge: bool = True) -> Step:
    """Every rule in turn; the order is from what was to what shall be.

    `judge`: also the rules that blame a process for its silence.
    """
    effects: list[Effect] = []
    for rule in _ALL_RULES if judge else _OTHER_RULES:
        pool, more = rule(pool, now)
        if more:
            effects.extend(more)
    return pool, tuple(effects)


def _begin_to_run(pool: Pool, now: float) -> Step:
    """Both helpers have done their first part: the pool runs."""
    if pool.phase is PoolPhase.BOOTING and pool.template.ready and pool.scout.ready:
        ends_at = now + pool.config.max_seconds
        pool = replace(pool, phase=PoolPhase.RUNNING, ends_at=ends_at)
        return (_begin_to_wait(pool, now) if pool.several else pool), ()
    return pool, ()


def _begin_to_wait(pool: Pool, now: float) -> Pool:
    """From now on a queue may starve."""
    queues = [replace(each, evidence=note_grant(each.evidence, now)) for each in pool.queues]
    return replace(pool, queues=tuple(queues))


def _start_helpers(pool: Pool, now: float) -> Step:
    """Both helpers exist while the pool needs them."""
    effects: list[Effect] = []
    for role in (Role.TEMPLATE, Role.SCOUT):
        helper = helper_of(pool, role)
        not_before = max(helper.not_before, pool.spawning.not_before)
        if helper.alive or now < not_before or not _needs_helper(pool, role):
            continue
        started = HelperState(
            alive=True, proven=helper.proven, since=now, crashes=helper.crashes, heard=now
        )
        pool = with_helper(pool, role, started)
        effects.append(SpawnHelper(role))
    return pool, tuple(effects)


def _needs_helper(pool: Pool, role: Role) -> bool:
    """A pool that stops needs the scout only, while there is something to settle.

    It settles for the dead, and hands out the keys that the living settle with.
    """
    if pool.phase in (PoolPhase.BOOTING, PoolPhase.RUNNING):
        return True
    return role is Role.SCOUT and has_messages(pool) and pool.level is not Level.KILL


def _tell_all_to_leave(pool: Pool, now: float) -> Step:
    """During a drain every dispatcher is told to leave; at the last level it is killed instead."""
    if pool.phase is not PoolPhase.DRAINING:
        return pool, ()
    effects: list[Effect] = []
    changed: list[Slot] = []
    for slot in pool.slots:
        if not slot.has_process:
            if slot.state is State.SPAWNING and pool.level is Level.KILL:
                changed.append(vacate(slot, now))
        elif pool.level is Level.KILL:
            if not slot.killed:
                changed.append(replace(slot, killed=True))
                effects.append(KillDispatcher(slot.number))
        elif not slot.leaving:
            changed.append(ask_to_leave(slot, now))
            effects += [
                Send(slot.number, Drain(pool.jobs_have, pool.kill_at - now)),
                TerminateDispatcher(slot.number),
            ]
    return with_slots(pool, changed), tuple(effects)


def _fill_or_retire(pool: Pool, now: float) -> Step:
    """Have as many dispatchers as desired: fill vacant slots, or retire idle dispatchers."""
    if pool.phase is not PoolPhase.RUNNING:
        return pool, ()
    staying = [slot for slot in pool.slots if slot.state is not State.VACANT and not slot.leaving]
    surplus = len(staying) - pool.desired
    if surplus > 0:
        idle = [slot for slot in reversed(staying) if slot.is_available][:surplus]
        leaving = [ask_to_leave(slot, now) for slot in idle]
        return with_slots(pool, leaving), tuple(
            TerminateDispatcher(each.number) for each in leaving
        )
    if surplus == 0 or not pool.template.ready or now < pool.spawning.not_before:
        return pool, ()
    more = range(len(pool.slots), pool.desired)
    pool = replace(pool, slots=(*pool.slots, *map(Slot, more))) if more else pool
    vacant = [slot for slot in pool.slots if slot.is_vacant and slot.not_before <= now]
    at_once = max(0, min(-surplus, SPAWNS_AT_ONCE - pool.count(State.SPAWNING)))
    spawned = [change_state(slot, State.SPAWNING, now) for slot in vacant[:at_once]]
    return with_slots(pool, spawned), tuple(Spawn(slot.number) for slot in spawned)


def _stop_when_empty(pool: Pool, now: float) -> Step:
    """--until-empty."""
    if pool.phase is not PoolPhase.RUNNING or not pool.config.until_empty:
        return pool, ()
    is_empty = all(
        queue.may_be_polled and not queue.gone and denials.is_finished(pool, queue)
        for queue in pool.queues
    )
    if not is_empty or has_messages(pool):
        return pool, ()
    return stop(pool, Level.DRAIN, _empty_end(pool), now)


def _empty_end(pool: Pool) -> PoolEnd:
    """The end of --until-empty.

    Said again at the very end: a poll that was open may have brought one more message.
    """
    if denial := denials.find_denial(pool):  # what the last poll brought cannot be deleted
        return PoolEnd(QUEUE_UNUSABLE, denial.why, emptied=True)
    why = "all queues are empty" if pool.several else "the queue is empty"
    if bad := pool.counts.ended_badly:
        return PoolEnd(ENDED_BADLY, f"{why}; {bad} ended badly", emptied=True)
    return PoolEnd(DONE, why, emptied=True)


def _finish(pool: Pool, now: float) -> Step:
    """The pool has stopped when its last dispatcher has gone and every message is settled."""
    if pool.phase is not PoolPhase.DRAINING or pool.size or pool.recoveries:
        return pool, ()
    end = _empty_end(pool) if pool.end and pool.end.emptied else pool.end
    if end and end.counted and (why := denials.why_unusable(pool, now)):
        # It ends by itself in the midst of it, and to start it anew does not help.
        end = PoolEnd(QUEUE_UNUSABLE, why)
    unconfirmed = sum(queue.unconfirmed for queue in pool.queues)
    if end and end.code == DONE and unconfirmed:
        why = f"{end.why}; {unconfirmed} finished, their deletes not confirmed"
        end = PoolEnd(UNCONFIRMED, why)
    return replace(pool, phase=PoolPhase.STOPPED, kill_at=inf, end=end), ()


_RULES_BEFORE = (deadlines.tell_stacks,)
_JUDGING_RULES = (
    deadlines.kill_overdue,
    deadlines.kill_late_template,
    judge_scout,
    deadlines.kill_late_stop,
    inspect_dispatchers,
)
_RULES_AFTER = (
    deadlines.forget_dead_polls,
    _begin_to_run,
    stop_after_time,
    recovery_orders.give_orders,
    denials.end_denial,
    denials.give_up_pool,
    denials.send_probe,
    _stop_when_empty,
    stop_after_jobs,
    _start_helpers,
    _tell_all_to_leave,
    _fill_or_retire,
    grant_polls,
    allow_releases,
    _finish,
)
_OTHER_RULES = (*_RULES_BEFORE, *_RULES_AFTER)
_ALL_RULES = (*_RULES_BEFORE, *_JUDGING_RULES, *_RULES_AFTER)
