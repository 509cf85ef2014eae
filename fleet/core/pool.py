"""The master's state machine: `step(pool, event, now, luck)` returns the next pool and what to do.

Theory of operation
-------------------
The pool has a phase, and slots (slots.py). Two helpers feed it: the template, which imported the app and
forks dispatchers, and the scout, which talks to the queue.

    BOOTING ──template ready, queue usable──▶ RUNNING ──stop──▶ DRAINING ──no dispatcher left──▶ STOPPED
       └───────────────── stop, or one of the two cannot be had ───▲

Every event first changes what it is about (here); then `reconcile` compares what is with what should be and
asks for the difference: dispatchers to spawn or to terminate, polls to grant, messages to free, deadlines
that passed. So no event's code needs to know what else the event makes possible, and an opportunity that was
missed is found again at the next event. `reconcile.wakes_at` names the next moment at which time alone
changes something; nothing wakes the master in between.

A stop has three levels, each the answer to one more signal (signals within a second are one: a terminal's
Ctrl-C reaches the whole group, and supervisors repeat themselves):

    DRAIN  no more grants; dispatchers are told to leave; running jobs have `drain_timeout`
    NOW    running jobs are stopped at once; polls still come home
    KILL   everything is killed; what was in hand is left to its lease

Open polls are kept in the books: those of POLLING slots, and those of dispatchers that died while polling
(`dead_polls`: until when), because the server does not know that its client died and gives it the next
message. During a drain no message is released while any poll is open; outside a drain only dead ones delay.

The ledger: every Received is answered by exactly one Settled, or by its dispatcher's death, which counts as
`left`. So received = deleted + released + dead_lettered + left whenever nothing is in hand.

An event that the state does not allow (a report from a slot that has no dispatcher, say) raises `Illegal`
and changes nothing.
"""

from dataclasses import replace
from math import inf
from typing import assert_never

from fleet.core import emptiness, polling, restarts, slots
from fleet.core.books import Counts, End, Helper, Level, Phase, Pool, Role
from fleet.core.events import (
    Died,
    Effect,
    Event,
    HelperDied,
    HelperFailed,
    HelperReady,
    Log,
    Resized,
    Said,
    Sampled,
    Send,
    Spawned,
    SpawnFailed,
    StopAsked,
    Tick,
)
from fleet.core.exits import Settlement
from fleet.core.messages import Drain, Empty, Held, PollFailed, Ready, Received, Report, Settled
from fleet.core.reconcile import reconcile
from fleet.core.slots import HOLDS_MESSAGE, Slot, State

SAME_SIGNAL = 1.0  # seconds
DEAD_POLL_MARGIN = 1.0  # seconds: by then the server has ended a long poll whose client is gone
FULL_LENGTH = 0.9  # of the wait time: an empty poll shorter than that proves nothing
SCOUT_TRIES = 5  # deaths of a scout that never found the queue usable

Step = tuple[Pool, tuple[Effect, ...]]


class Illegal(Exception):
    """The event does not fit the state: a fault of fleet itself."""


def step(pool: Pool, event: Event, now: float, luck: float) -> Step:
    """The next pool, and what to do. `now` in seconds, `luck` in [0, 1) for jitter.

    Raises Illegal for an event that the state does not allow.
    """
    pool, first = _apply(pool, event, now, luck)
    pool, then = reconcile(pool, now)
    return pool, (*first, *then)


def _apply(pool: Pool, event: Event, now: float, luck: float) -> Step:
    match event:
        case Tick():
            return pool, ()
        case Said(number, report):
            return _said(pool, _slot(pool, number), report, now, luck)
        case Spawned(number, pid):
            return _spawned(pool, _slot(pool, number, State.SPAWNING), pid, now)
        case SpawnFailed(number, why):
            return _crashed(pool, _slot(pool, number, State.SPAWNING), f"not forked: {why}", now, luck)
        case Died(number):
            return _died(pool, _slot(pool, number), event, now, luck)
        case HelperReady(role):
            helper = _helper(pool, role)
            return _with_helper(pool, role, replace(helper, ready=True, proven=True, crashes=0)), ()
        case HelperFailed(role, code, why):
            if _helper(pool, role).proven or pool.end is not None:
                return pool, (Log("helper.failed", {"role": role.value, "why": why}),)
            return _stop(pool, Level.DRAIN, End(code, why), now)
        case HelperDied(role, cause):
            return _helper_died(pool, role, cause, now, luck)
        case Sampled(depth):
            pool = replace(
                pool,
                depth=depth,
                polling=polling.sampled(pool.polling, depth.visible, pool.size),
                emptiness=emptiness.sampled(pool.emptiness, now, depth.total),
            )
            return pool, ()
        case StopAsked(level, why):
            return _stop_asked(pool, level, why, now)
        case Resized(by):
            desired = max(1, pool.desired + by)
            change = {"from": pool.desired, "to": desired, "reason": "a signal asked for it"}
            return replace(pool, desired=desired), (Log("pool.resized", change),)
        case _:
            assert_never(event)


# Slots and helpers by name.


def _slot(pool: Pool, number: int, *states: State) -> Slot:
    slot = pool.slots[number]
    if slot.state is State.VACANT or (states and slot.state not in states):
        raise Illegal(f"slot {number} is {slot.state.name}")
    return slot


def _with(pool: Pool, slot: Slot) -> Pool:
    number = slot.number
    return replace(pool, slots=(*pool.slots[:number], slot, *pool.slots[number + 1 :]))


def _helper(pool: Pool, role: Role) -> Helper:
    return pool.template if role is Role.TEMPLATE else pool.scout


def _with_helper(pool: Pool, role: Role, helper: Helper) -> Pool:
    return replace(pool, template=helper) if role is Role.TEMPLATE else replace(pool, scout=helper)


# What dispatchers say.


def _said(pool: Pool, slot: Slot, report: Report, now: float, luck: float) -> Step:
    counts = pool.counts
    match report:
        case Ready(pid):
            _expect(slot, State.SPAWNING, State.BOOTING)  # the template's word may come later than its child's
            ready = replace(slots.to(slot, State.IDLE, now), pid=pid, born=min(slot.born, now))
            who = {"slot": slot.number, "pid": pid}
            first = (Log("dispatcher.spawned", who),) if slot.state is State.SPAWNING else ()
            return _with(pool, ready), (*first, Log("dispatcher.ready", who))
        case Received(took):
            _expect(slot, State.POLLING)
            pool = replace(
                pool,
                polling=polling.hit(pool.polling, took, pool.size),
                emptiness=emptiness.received(),
                counts=replace(counts, received=counts.received + 1),
            )
            return _with(pool, slots.to(slot, State.WORKING, now)), ()
        case Empty(took):
            _expect(slot, State.POLLING)
            full = took >= pool.config.wait_time * FULL_LENGTH
            pool = replace(
                pool,
                polling=polling.empty(pool.polling, now, took),
                emptiness=emptiness.polled_empty(pool.emptiness, slot.since, full),
            )
            return _with(pool, slots.to(slot, State.IDLE, now)), ()
        case PollFailed(error):
            _expect(slot, State.POLLING)
            after = polling.failed(pool.polling, now, luck)
            fields = {"slot": slot.number, "error": error, "failures": after.failures}
            failed = _with(replace(pool, polling=after), slots.to(slot, State.IDLE, now))
            return failed, (Log("poll.failed", fields | {"retry_in": round(after.not_before - now, 3)}),)
        case Held():
            _expect(slot, State.WORKING)
            return _with(pool, slots.to(slot, State.HOLDING, now)), ()
        case Settled():
            _expect(slot, *HOLDS_MESSAGE)
            pool = replace(pool, counts=_booked(counts, report), restarts=restarts.Restarts())
            return _with(pool, replace(slots.to(slot, State.IDLE, now), crashes=0)), ()
        case _:
            assert_never(report)


def _expect(slot: Slot, *states: State) -> None:
    if slot.state not in states:
        raise Illegal(f"slot {slot.number} is {slot.state.name}")


def _booked(counts: Counts, report: Settled) -> Counts:
    match report.settlement:
        case Settlement.DELETE:
            counts = replace(counts, deleted=counts.deleted + 1)
        case Settlement.RELEASE:
            counts = replace(counts, released=counts.released + 1)
        case Settlement.LEAVE:
            counts = replace(counts, left=counts.left + 1)
        case _:
            assert_never(report.settlement)
    if report.outcome is not None:
        counts = replace(counts, **{report.outcome.value: getattr(counts, report.outcome.value) + 1})
    return replace(counts, ended_badly=counts.ended_badly + report.bad)


# Births and deaths.


def _spawned(pool: Pool, slot: Slot, pid: int, now: float) -> Step:
    born = replace(slots.to(slot, State.BOOTING, slot.since), pid=pid, born=now)
    effects: list[Effect] = [Log("dispatcher.spawned", {"slot": slot.number, "pid": pid})]
    return _with(pool, born), tuple(effects)


def _died(pool: Pool, slot: Slot, death: Died, now: float, luck: float) -> Step:
    """A dispatcher is gone. Exit 0 is how one leaves; it does so by itself only when it was told to."""
    effects: list[Effect] = []
    if slot.state is State.POLLING:
        until = slot.since + pool.config.wait_time + DEAD_POLL_MARGIN
        pool = replace(pool, dead_polls=(*pool.dead_polls, until))
    if slot.state in HOLDS_MESSAGE:
        pool = replace(pool, counts=replace(pool.counts, left=pool.counts.left + 1))
        what = {"message_id": death.message_id, "attempt": death.attempt, "why": "its dispatcher died"}
        effects.append(Log("message.left", {"slot": slot.number} | what))
    if death.exit.code == 0:
        return _with(pool, slots.vacated(replace(slot, crashes=0), now)), tuple(effects)
    deaths = pool.counts.dispatcher_deaths + 1
    pool = replace(pool, counts=replace(pool.counts, dispatcher_deaths=deaths))
    if pool.level is Level.KILL and slot.killed:
        return _with(pool, slots.vacated(slot, now)), tuple(effects)
    pool, more = _crashed(pool, slot, death.cause, now, luck)
    return pool, (*effects, *more)


def _crashed(pool: Pool, slot: Slot, cause: str, now: float, luck: float) -> Step:
    """The slot's dispatcher ended without leave, or never came to be."""
    crashes = 1 if now - slot.born >= restarts.STABLE else slot.crashes + 1
    wait = restarts.delay(crashes, luck)
    vacant = replace(slots.vacated(slot, now), crashes=crashes, not_before=now + wait)
    pool = replace(_with(pool, vacant), restarts=restarts.crashed(pool.restarts, now, cause))
    fields = {"slot": slot.number, "pid": slot.pid, "cause": cause, "state": slot.state.name.lower()}
    log = Log("dispatcher.died", fields | {"respawn_in": round(wait, 3)})
    if pool.phase is Phase.DRAINING or not restarts.hopeless(pool.restarts, pool.desired):
        return pool, (log,)
    why = f"the pool cannot keep its dispatchers alive: {restarts.causes(pool.restarts)} within a minute"
    pool, effects = _stop(pool, Level.DRAIN, End(3, why), now)
    return pool, (log, *effects)


def _helper_died(pool: Pool, role: Role, cause: str, now: float, luck: float) -> Step:
    """A helper is started again; but an app that never loaded is the end, and so is a scout that never worked."""
    old = _helper(pool, role)
    crashes = old.crashes + 1
    pool = _with_helper(
        pool, role, Helper(proven=old.proven, crashes=crashes, not_before=now + restarts.delay(crashes, luck))
    )
    if pool.phase is Phase.DRAINING and not old.ready:
        return pool, ()
    log = Log("helper.died", {"role": role.value, "cause": cause})
    if role is Role.TEMPLATE:
        for slot in pool.slots:
            if slot.state is State.SPAWNING:  # its request died with the template
                pool = _with(pool, slots.vacated(slot, now))
    if old.proven or pool.end is not None:
        return pool, (log,)
    if role is Role.TEMPLATE:
        seconds = f"{pool.config.boot_timeout:g}"
        how = (
            f"was not imported within {seconds} s (--boot-timeout)"
            if old.killed
            else f"died while it was imported: {cause}"
        )
        pool, effects = _stop(pool, Level.DRAIN, End(4, f"the app {how}"), now)
        return pool, (log, *effects)
    if crashes >= SCOUT_TRIES:
        pool, effects = _stop(pool, Level.DRAIN, End(1, f"the scout cannot be kept alive: {cause}"), now)
        return pool, (log, *effects)
    return pool, (log,)


# The end.


def _stop_asked(pool: Pool, level: Level, why: str, now: float) -> Step:
    """One more signal. The same one within a second says nothing new, unless it asks for more."""
    if pool.phase is Phase.STOPPED:
        return pool, ()
    if pool.level is None:
        return _stop(replace(pool, signalled_at=now), level, End(0, why), now)
    if level <= pool.level and now - pool.signalled_at <= SAME_SIGNAL:
        return pool, ()
    asked = max(level, Level(min(pool.level + 1, Level.KILL)))
    return _stop(replace(pool, signalled_at=now), asked, End(0, why), now)


def _stop(pool: Pool, level: Level, end: End, now: float) -> Step:
    """Begin to stop, or stop harder. The first reason stays, but a kill with work in hand is exit 7."""
    if pool.level is not None and level <= pool.level:
        return pool, ()
    first = pool.level is None
    if level is Level.KILL and pool.counts.in_hand:
        end = End(7, f"killed with {pool.counts.in_hand} in hand")
    elif pool.end is not None:
        end = pool.end
    seconds = 0.0 if level > Level.DRAIN else pool.config.drain_timeout
    effects: list[Effect] = []
    if first or level is not pool.level:
        busy = sum(slot.state in HOLDS_MESSAGE for slot in pool.slots)
        fields = {
            "why": end.why,
            "level": level.name.lower(),
            "busy": busy,
            "polling": pool.count(State.POLLING),
        }
        effects.append(Log("drain.started", fields | {"seconds": seconds}))
    effects.extend(Send(slot.number, Drain(seconds)) for slot in pool.slots if slot.leaving and slot.pid is not None)
    kill_at = now + pool.config.longest_stop if pool.kill_at == inf else pool.kill_at
    return replace(pool, phase=Phase.DRAINING, level=level, end=end, kill_at=kill_at), tuple(effects)
