"""What dispatchers say, and what it changes in the pool.

Part of the machine in `machine.py`; `helper_reports.py` has what the template and the scout say.
"""

from typing import assert_never

from fleet.core import polling, scheduling
from fleet.core.outcomes import Settlement
from fleet.core.pool import denials, emptiness, job_memory, receive_size, restarts, sizing
from fleet.core.pool import slot as pool_slot
from fleet.core.pool.effects import Effect, Log, Step
from fleet.core.pool.queue_state import Counts, QueueState, add_one
from fleet.core.pool.recovery import COUNTER_OF, keep_poll_open
from fleet.core.pool.scarcity import Spawning
from fleet.core.pool.slot import BUSY_STATES, Slot, change_state, end_poll
from fleet.core.pool.state import (
    IllegalEvent,
    Pool,
    PoolPhase,
    queue_of,
    with_queue,
    with_slot,
)
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
from fleet.core.records import replace
from fleet.core.sizing import workload
from fleet.core.slot_state import State

FULL_LENGTH = 0.9  # of the wait time: an empty poll shorter than that proves nothing


def note_report(pool: Pool, slot: Slot, report: Report, now: float, jitter: float) -> Step:
    """One report. Raises IllegalEvent when the slot's state does not allow it."""
    match report:
        case Ready():
            return _note_ready(pool, slot, report, now)
        case Received():
            return _note_received(pool, slot, report, now)
        case Empty():
            return _note_empty(pool, slot, report, now)
        case PollFailed():
            return _note_failed_poll(pool, slot, report, now, jitter)
        case Held():
            _expect(slot, State.WORKING)
            return with_slot(pool, _watch(pool, change_state(slot, State.HOLDING, now), now)), ()
        case Denied():
            _expect_message(slot, report.place)
            return denials.note_denied_delete(pool, slot, report, now)
        case Troubled(error):
            _expect(slot, *BUSY_STATES)
            return with_slot(pool, replace(slot, trouble=error)), ()
        case Healed():
            _expect(slot, *BUSY_STATES)
            pool = _note_other_answer(pool, slot)
            return with_slot(pool, replace(slot, trouble="")), ()
        case LeaseLost(place):
            _expect_message(slot, place)
            return with_slot(pool, replace(slot, lost=(*slot.lost, place))), ()
        case Settled():
            return _note_settled(pool, slot, report, now, jitter)
        case _:
            assert_never(report)


def _note_ready(pool: Pool, slot: Slot, report: Ready, now: float) -> Step:
    """The dispatcher has introduced itself; the template may name it later than that."""
    _expect(slot, State.SPAWNING, State.BOOTING)
    ready = replace(change_state(slot, State.IDLE, now), born=min(slot.born, now))
    fields = {"slot": slot.number, "pid": report.pid}
    is_first_word = slot.state is State.SPAWNING
    spawned = (Log("dispatcher.spawned", fields),) if is_first_word else ()
    pool = with_slot(replace(pool, spawning=Spawning()), ready)
    return pool, (*spawned, Log("dispatcher.ready", fields))


# Polls.


def _note_received(pool: Pool, slot: Slot, report: Received, now: float) -> Step:
    _expect(slot, State.POLLING)
    before = queue_of(pool, slot)
    if not 0 < report.count <= before.config.batch_size:
        raise IllegalEvent(f"slot {slot.number} has received {report.count} messages")
    counts, size = before.counts, pool.size
    if before.limit < size:
        size = int(before.limit)
    received = counts.received + report.count
    after = replace(
        _note_answer(pool, before, now, report.count),
        polling=polling.note_hit(before.polling, report.took, size),
        emptiness=emptiness.note_message(),
        counts=replace(counts, received=received, polls=counts.polls + 1),
    )
    uncounted = receive_size.note_received(after, size, slot.asked, report)
    if uncounted != after.uncounted:
        after = replace(after, uncounted=uncounted)
    pool = sizing.note_poll(with_queue(pool, slot.queue, after), report.took)
    pool = with_slot(pool, _watch(pool, end_poll(slot, report.count, now), now))
    return pool, _log_length(before, after)


def _note_empty(pool: Pool, slot: Slot, report: Empty, now: float) -> Step:
    _expect(slot, State.POLLING)
    before = queue_of(pool, slot)
    length = min(before.config.wait_time, before.polling.cuts.longest, slot.longest)
    is_full = report.took >= length * FULL_LENGTH
    after = replace(
        _note_answer(pool, before, now, 0),
        polling=polling.note_empty(before.polling, now, report.took),
        emptiness=emptiness.note_empty_poll(before.emptiness, slot.since, is_full),
        uncounted=0,
        counts=add_one(before.counts, "polls"),
    )
    pool = sizing.note_poll(with_queue(pool, slot.queue, after), None)
    return with_slot(pool, end_poll(slot, 0, now)), _log_length(before, after)


def _note_failed_poll(
    pool: Pool, slot: Slot, report: PollFailed, now: float, jitter: float
) -> Step:
    _expect(slot, State.POLLING)
    if report.unanswered:
        pool = keep_poll_open(pool, slot)
    before = queue_of(pool, slot)
    counts = before.counts
    is_silence = report.unanswered or not report.answered
    held = report.took if pool.several and is_silence else 0.0
    polls = polling.note_failure(before.polling, now, jitter, answered=report.answered, held=held)
    pauses = counts.pauses + (polls is not before.polling)
    about = {"slot": slot.number, "queue": before.name}
    fields = about | {"error": report.error, "failures": polls.failures}
    if report.unanswered:
        wait = min(before.config.wait_time, slot.longest)
        polls = polling.note_cut(polls, now, report.took, wait)
    after = replace(
        denials.note_refused_poll(before, report.error, now) if report.refused else before,
        polling=polls,
        trouble=report.error,
        uncounted=0,
        counts=replace(counts, polls=counts.polls + 1, pauses=pauses),
    )
    if pool.several:
        after = replace(after, evidence=scheduling.note_failure(after.evidence, now))
    pool = sizing.note_poll(with_queue(pool, slot.queue, after), None)
    pool = with_slot(pool, end_poll(slot, 0, now))
    log = Log("poll.failed", fields | {"retry_in": round(polls.not_before - now, 3)})
    return pool, (log, *_log_length(before, after))


def _note_answer(pool: Pool, queue: QueueState, now: float, count: int) -> QueueState:
    """The queue answers a poll with `count` messages.

    What nobody has confirmed is done again in the ordinary course, if it must be.
    """
    if pool.several:
        queue = replace(queue, evidence=scheduling.note_answer(queue.evidence, now, count))
    forgets = pool.phase is PoolPhase.RUNNING and not pool.config.is_counted
    unconfirmed = 0 if forgets else queue.unconfirmed
    known = (queue.trouble, queue.refused, queue.gone, queue.unconfirmed)
    if known == ("", None, "", unconfirmed):
        return queue
    return replace(queue, trouble="", refused=None, gone="", unconfirmed=unconfirmed)


def _note_other_answer(pool: Pool, slot: Slot) -> Pool:
    """The slot's queue answers a call that is no poll."""
    queue = queue_of(pool, slot)
    after = polling.note_answer(queue.polling)
    if after is queue.polling:
        return pool
    return with_queue(pool, slot.queue, replace(queue, polling=after))


def _log_length(before: QueueState, after: QueueState) -> tuple[Effect, ...]:
    """How long polls may be, when that has changed."""
    was, cuts = before.polling.cuts.longest, after.polling.cuts
    if cuts.longest < was:
        age, seconds = round(cuts.age, 1), int(cuts.longest)
        return (Log("poll.shortened", {"queue": after.name, "age": age, "seconds": seconds}),)
    if cuts.longest > was:
        whole = after.config.wait_time
        return (Log("poll.lengthened", {"queue": after.name, "seconds": whole}),)
    return ()


# Messages.


def _watch(pool: Pool, slot: Slot, now: float) -> Slot:
    """A message in hand: its lease must be extended before the last third of it."""
    return replace(slot, look_at=now + queue_of(pool, slot).config.first_lease / 2)


def _note_settled(pool: Pool, slot: Slot, report: Settled, now: float, jitter: float) -> Step:
    _expect_message(slot, report.place)
    queue = queue_of(pool, slot)
    busy = sizing.busy_with(pool, slot.queue)
    queue = replace(
        queue,
        work=workload.note_end(queue.work, busy, report.hidden_for),
        jobs_mib=job_memory.note_job(queue.jobs_mib, report),
        counts=_count_settled(queue.counts, report),
        unconfirmed=queue.unconfirmed + report.unconfirmed,
        gone=report.gone or queue.gone,
    )
    pool = with_queue(pool, slot.queue, queue)
    if report.settlement is not Settlement.LEAVE:
        pool = _note_other_answer(pool, slot)
    pool, effects = denials.note_settled(pool, slot, report)
    pool = with_slot(pool, pool_slot.settle(slot, report.place, now))
    pool, more = _note_health(pool, pool.slots[slot.number], report, now, jitter)
    return pool, (*effects, *more)


def _note_health(pool: Pool, slot: Slot, report: Settled, now: float, jitter: float) -> Step:
    """What a settled message says of the host's health.

    A job ran, or there was no process for it, or it came too late to be worked on.
    """
    if report.outcome is not None:
        if slot.crashes:
            pool = with_slot(pool, replace(slot, crashes=0))
        if pool.restarts.crashes:
            pool = replace(pool, restarts=restarts.Restarts())
        for place, queue in enumerate(pool.queues):
            fed = polling.end_starvation(queue.polling)
            if fed is not queue.polling:
                pool = with_queue(pool, place, replace(queue, polling=fed))
        return pool, ()
    if not report.starved:
        return pool, ()
    for place, queue in enumerate(pool.queues):
        after = polling.note_starvation(queue.polling, now, jitter)
        pool = with_queue(pool, place, replace(queue, polling=after))
    starved = queue_of(pool, slot)
    counted = replace(starved, counts=add_one(starved.counts, "pauses"))
    pool = with_queue(pool, slot.queue, counted)
    fields = {"slot": slot.number, "retry_in": round(starved.polling.not_before - now, 3)}
    return pool, (Log("host.starved", fields),)


def _count_settled(counts: Counts, report: Settled) -> Counts:
    names = [COUNTER_OF[report.settlement]]
    if report.redriven:
        is_left = report.settlement is Settlement.LEAVE
        names.append("left_last" if is_left else "released_last")
    if report.outcome is not None:
        names.append(report.outcome.value)
    if report.bad:
        names.append("ended_badly")
    if report.lease_lost:
        names.append("lease_lost")
    return add_one(counts, *names)


def _expect(slot: Slot, *states: State) -> None:
    if slot.state not in states:
        raise IllegalEvent(f"slot {slot.number} is {slot.state.name}")


def _expect_message(slot: Slot, place: int) -> None:
    _expect(slot, *BUSY_STATES)
    if place not in slot.places:
        raise IllegalEvent(f"slot {slot.number} has no message at {place}")
