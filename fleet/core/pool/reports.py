"""What dispatchers say, and what it changes in the books. Part of `pool.py`'s machine."""

from dataclasses import replace
from typing import assert_never

from fleet.core import polling
from fleet.core.outcomes import Settlement
from fleet.core.polling import Polling
from fleet.core.pool import denials, emptiness, restarts, sizing
from fleet.core.pool import slot as pool_slot
from fleet.core.pool.effects import Effect, Log, Step
from fleet.core.pool.recovery import count_settlement, keep_poll_open
from fleet.core.pool.scarcity import Spawning
from fleet.core.pool.slot import BUSY_STATES, Slot, State
from fleet.core.pool.state import Counts, IllegalEvent, Pool, PoolPhase, with_slot
from fleet.core.protocol import (
    Denied,
    Empty,
    Healed,
    Held,
    LeaseLost,
    PollFailed,
    Ready,
    Received,
    Report,
    Settled,
    Troubled,
)

FULL_LENGTH = 0.9  # of the wait time: an empty poll shorter than that proves nothing


def said(pool: Pool, slot: Slot, report: Report, now: float, jitter: float) -> Step:
    """One report. Raises IllegalEvent when the slot's state does not allow it."""
    counts = pool.counts
    match report:
        case Ready(pid):
            _expect(
                slot, State.SPAWNING, State.BOOTING
            )  # the template's word may come later than its child's
            ready = replace(pool_slot.change_state(slot, State.IDLE, now), born=min(slot.born, now))
            who = {"slot": slot.number, "pid": pid}
            first = (Log("dispatcher.spawned", who),) if slot.state is State.SPAWNING else ()
            pool = replace(pool, spawning=Spawning())
            return with_slot(pool, ready), (*first, Log("dispatcher.ready", who))
        case Received(took, count):
            _expect(slot, State.POLLING)
            if not 0 < count <= pool.config.batch_size:
                raise IllegalEvent(f"slot {slot.number} has received {count} messages")
            before = pool.polling
            pool = replace(
                _answered(pool),
                polling=polling.note_hit(pool.polling, took, pool.size),
                emptiness=emptiness.note_message(),
                counts=replace(counts, received=counts.received + count, polls=counts.polls + 1),
            )
            pool = sizing.note_poll(pool, took)
            held = with_slot(pool, _watched(pool, pool_slot.end_poll(slot, count, now), now))
            return held, _length_told(before, pool)
        case Empty(took):
            _expect(slot, State.POLLING)
            full = took >= min(pool.config.wait_time, pool.polling.cuts.longest) * FULL_LENGTH
            before = pool.polling
            pool = replace(
                _answered(pool),
                polling=polling.note_empty(pool.polling, now, took),
                emptiness=emptiness.note_empty_poll(pool.emptiness, slot.since, full),
                counts=replace(counts, polls=counts.polls + 1),
            )
            return with_slot(
                sizing.note_poll(pool, None), pool_slot.end_poll(slot, 0, now)
            ), _length_told(before, pool)
        case PollFailed(error, unanswered, refused, answered, took):
            _expect(slot, State.POLLING)
            if refused:
                pool = denials.note_refused_poll(pool, error, now)
            if unanswered:
                pool = keep_poll_open(pool, slot)
            before = pool.polling
            after = polling.note_failure(before, now, jitter, answered=answered)
            fields = {"slot": slot.number, "error": error, "failures": after.failures}
            paused = counts.pauses + (after is not before)
            after = (
                polling.note_cut(after, now, took, pool.config.wait_time) if unanswered else after
            )
            pool = replace(pool, counts=replace(counts, polls=counts.polls + 1, pauses=paused))
            pool = sizing.note_poll(replace(pool, polling=after, trouble=error), None)
            failed = with_slot(pool, pool_slot.end_poll(slot, 0, now))
            told = Log("poll.failed", fields | {"retry_in": round(after.not_before - now, 3)})
            return failed, (told, *_length_told(before, pool))
        case Held():
            _expect(slot, State.WORKING)
            return with_slot(
                pool, _watched(pool, pool_slot.change_state(slot, State.HOLDING, now), now)
            ), ()
        case Denied():
            _expect_message(slot, report.place)
            return denials.note_denied_delete(pool, slot, report, now)
        case Troubled(error):
            _expect(slot, *BUSY_STATES)
            return with_slot(pool, replace(slot, trouble=error)), ()
        case Healed():
            _expect(slot, *BUSY_STATES)
            pool = replace(pool, polling=polling.note_answer(pool.polling))
            return with_slot(pool, replace(slot, trouble="")), ()
        case LeaseLost(place):
            _expect_message(slot, place)
            return with_slot(pool, replace(slot, lost=(*slot.lost, place))), ()
        case Settled():
            _expect_message(slot, report.place)
            pool = sizing.note_settled(replace(pool, counts=_booked(counts, report)), report)
            pool = replace(
                pool,
                unconfirmed=pool.unconfirmed + report.unconfirmed,
                gone=report.gone or pool.gone,
            )
            if report.settlement is not Settlement.LEAVE:
                pool = replace(pool, polling=polling.note_answer(pool.polling))
            pool, effects = denials.note_settled(pool, slot, report)
            pool = with_slot(pool, pool_slot.settle(slot, report.place, now))
            pool, more = _settled(pool, slot, report, now, jitter)
            return pool, (*effects, *more)
        case _:
            assert_never(report)


def _answered(pool: Pool) -> Pool:
    """The queue answers a poll. What nobody has confirmed is done again in the ordinary course, if
    it must be.
    """
    forgotten = pool.phase is PoolPhase.RUNNING and not pool.config.is_counted
    return replace(
        pool, trouble="", refused=None, gone="", unconfirmed=0 if forgotten else pool.unconfirmed
    )


def _length_told(before: Polling, pool: Pool) -> tuple[Effect, ...]:
    """How long polls may be, when that has changed."""
    was, cuts = before.cuts.longest, pool.polling.cuts
    if cuts.longest < was:
        return (Log("poll.shortened", {"age": round(cuts.age, 1), "seconds": int(cuts.longest)}),)
    return (
        (Log("poll.lengthened", {"seconds": pool.config.wait_time}),) if cuts.longest > was else ()
    )


def _watched(pool: Pool, slot: Slot, now: float) -> Slot:
    """A message in hand: its lease must be extended before the last third of it."""
    return replace(slot, look_at=now + pool.config.first_lease / 2)


def _settled(pool: Pool, slot: Slot, report: Settled, now: float, jitter: float) -> Step:
    """What a settled message says about the health of the host: a job ran, or there was no process
    for it.
    """
    if report.outcome is not None:
        idle = replace(pool.slots[slot.number], crashes=0)
        return replace(
            with_slot(pool, idle),
            restarts=restarts.Restarts(),
            polling=polling.end_starvation(pool.polling),
        ), ()
    if not report.starved:  # it came too late to be worked on
        return pool, ()
    after = polling.note_starvation(pool.polling, now, jitter)
    fields = {"slot": slot.number, "retry_in": round(after.not_before - now, 3)}
    counts = replace(pool.counts, pauses=pool.counts.pauses + 1)
    return replace(pool, polling=after, counts=counts), (Log("host.starved", fields),)


def _expect(slot: Slot, *states: State) -> None:
    if slot.state not in states:
        raise IllegalEvent(f"slot {slot.number} is {slot.state.name}")


def _expect_message(slot: Slot, place: int) -> None:
    _expect(slot, *BUSY_STATES)
    if place not in slot.places:
        raise IllegalEvent(f"slot {slot.number} has no message at {place}")


def _booked(counts: Counts, report: Settled) -> Counts:
    counts = count_settlement(counts, report.settlement)
    if report.redriven:
        name = "left_last" if report.settlement is Settlement.LEAVE else "released_last"
        counts = replace(counts, **{name: getattr(counts, name) + 1})
    if report.outcome is not None:
        counts = replace(
            counts, **{report.outcome.value: getattr(counts, report.outcome.value) + 1}
        )
    return replace(
        counts,
        ended_badly=counts.ended_badly + report.bad,
        lease_lost=counts.lease_lost + report.lease_lost,
    )
