"""Trouble with a queue that no retry heals: polls that are refused, deletes that are not allowed.

Part of the machine in `machine.py`.

    a poll is refused, or the queue is gone   the pool polls on, at the pauses of any trouble, until
                                              a poll is answered
    a delete is denied                        nothing is received until a delete is allowed: each
                                              message more would be done and done again

A denied delete is asked for again by the process that has the message in hand: its dispatcher, or
the scout for a dead one. When that process gives it up, the message is left, in the ledger too, and
goes on as a probe: the master has the scout try the delete, at growing pauses, while the pool runs.
That is no settlement: what comes of it is only logged. One probe a queue is enough; an answer that
does not deny ends it, whatever else it says (on a FIFO queue the handle is no good any more).

A pool that serves goes on like this for ever. A pool that ends by itself gives up after GIVE_UP
seconds of either, when that is so of every queue that is not finished. While another queue goes on
it does, too, and its end says then that the queue cannot be used.
"""

from collections.abc import Iterator

from fleet.core.backoff import pause_before_next
from fleet.core.exit_codes import QUEUE_UNUSABLE
from fleet.core.outcomes import Settlement
from fleet.core.pool import emptiness
from fleet.core.pool.effects import Effect, Log, OrderScout, Step
from fleet.core.pool.queue_state import DeleteProbe, QueueState, Refusal
from fleet.core.pool.shutdown import stop
from fleet.core.pool.slot import Pending, Slot
from fleet.core.pool.state import (
    Level,
    Pool,
    PoolEnd,
    PoolPhase,
    queue_of,
    with_queue,
    with_slot,
)
from fleet.core.protocol import Denied, Settled
from fleet.core.records import replace
from fleet.core.scout_protocol import DeleteTried, TryDelete

GIVE_UP = 60.0  # seconds
PROBE_FIRST, PROBE_MOST = 1.0, 30.0  # seconds between two tries


def note_refused_poll(queue: QueueState, why: str, now: float) -> QueueState:
    """A poll met what does not heal by itself."""
    return replace(queue, refused=Refusal(queue.refused.since if queue.refused else now, why))


def note_denied_delete(pool: Pool, slot: Slot, report: Denied, now: float) -> Step:
    """A message in hand is done, and its delete is not allowed."""
    pending = Pending(report.place, report.message_id, report.handle)
    slot = replace(slot, denied=(*slot.denied, pending))
    return note_denial(with_slot(pool, slot), slot.queue, report.error, now)


def note_denial(pool: Pool, place: int, why: str, now: float) -> Step:
    """A queue's first refusal is logged; all others are the same."""
    queue = pool.queues[place]
    if queue.denial is not None:
        return pool, ()
    log = Log("deletes.denied", {"queue": queue.name, "error": why})
    return with_queue(pool, place, replace(queue, denial=Refusal(now, why))), (log,)


def note_settled(pool: Pool, slot: Slot, report: Settled) -> Step:
    """What a settlement says of the deletes. `slot` is as it was before."""
    if queue_of(pool, slot).denial is None:
        return pool, ()
    if report.settlement in (Settlement.DELETE, Settlement.DEAD_LETTER):
        return _hasten_probe(pool, slot.queue), ()
    pending = next((each for each in slot.denied if each.place == report.place), None)
    if pending is None:
        return pool, ()
    return give_up_delete(pool, slot.queue, slot.number, pending.message_id, pending.handle)


def _hasten_probe(pool: Pool, place: int) -> Pool:
    """Another delete was confirmed: the probe's may be, too."""
    queue = pool.queues[place]
    if queue.probe is None:
        return pool
    probe = replace(queue.probe, tries=0, at=0.0)
    return with_queue(pool, place, replace(queue, probe=probe))


def give_up_delete(pool: Pool, place: int, slot: int, message_id: str, handle: str) -> Step:
    """A denied delete whose message is not in hand any more becomes the probe, if there is none."""
    queue = pool.queues[place]
    why = queue.denial.why if queue.denial else ""
    about = {"slot": slot, "queue": queue.name, "message_id": message_id}
    log = Log("message.undeleted", about | {"error": why})
    probe = queue.probe or DeleteProbe(TryDelete(message_id, handle, place))
    return with_queue(pool, place, replace(queue, probe=probe)), (log,)


def note_probe_answer(pool: Pool, answer: DeleteTried, now: float, jitter: float) -> Pool:
    """The scout has tried the probe; an answer that nobody waits for says nothing."""
    queue = pool.queues[answer.queue]
    probe = queue.probe
    if probe is None or not probe.is_waiting:
        return pool
    if not answer.denied:
        unconfirmed = max(0, queue.unconfirmed - answer.deleted)
        after = replace(queue, probe=None, unconfirmed=unconfirmed)
        return with_queue(pool, answer.queue, after)
    tries = probe.tries + 1
    pause = pause_before_next(tries, PROBE_FIRST, PROBE_MOST, jitter)
    probe = replace(probe, tries=tries, at=now + pause, is_waiting=False)
    return with_queue(pool, answer.queue, replace(queue, probe=probe))


def lose_scout(pool: Pool) -> Pool:
    """The scout is dead: its successor is asked."""
    for place, queue in enumerate(pool.queues):
        if queue.probe is not None:
            probe = replace(queue.probe, is_waiting=False)
            pool = with_queue(pool, place, replace(queue, probe=probe))
    return pool


def find_denial(pool: Pool) -> Refusal | None:
    """The first queue's whose deletes are denied."""
    return next((queue.denial for queue in pool.queues if queue.denial), None)


def why_unusable(pool: Pool, now: float) -> str:
    """Why it does not help to start the pool anew; empty if it does."""
    if denial := find_denial(pool):
        return denial.why
    if gone := next((queue.gone for queue in pool.queues if queue.gone), ""):
        return gone
    lasting = filter(None, (_lasting_refusal(queue, now) for queue in pool.queues))
    return next((refusal.why for refusal in lasting), "")


# Rules of reconcile.


def end_denial(pool: Pool, _: float) -> Step:
    """No denied delete of a queue is left that could be denied again."""
    effects: tuple[Effect, ...] = ()
    for place, queue in enumerate(pool.queues):
        if queue.denial is not None and not queue.probe and not _is_pending(pool, place):
            pool = with_queue(pool, place, replace(queue, denial=None))
            effects = (*effects, Log("deletes.allowed", {"queue": queue.name}))
    return pool, effects


def _is_pending(pool: Pool, place: int) -> bool:
    in_hand = any(slot.denied and slot.queue == place for slot in pool.slots)
    return in_hand or any(each.denied and each.order.queue == place for each in pool.recoveries)


def send_probe(pool: Pool, now: float) -> Step:
    """Have a queue's probe tried, when it is time."""
    effects: tuple[Effect, ...] = ()
    for place, queue in enumerate(pool.queues):
        probe = queue.probe
        if probe is not None and _may_be_sent(pool, queue, probe) and now >= probe.at:
            waiting = replace(queue, probe=replace(probe, is_waiting=True))
            pool = with_queue(pool, place, waiting)
            effects = (*effects, OrderScout(probe.order))
    return pool, effects


def _may_be_sent(pool: Pool, queue: QueueState, probe: DeleteProbe) -> bool:
    is_known = pool.scout.ready and queue.usable and queue.answered
    return pool.phase is PoolPhase.RUNNING and is_known and not probe.is_waiting


def give_up_pool(pool: Pool, now: float) -> Step:
    """A pool that ends by itself would never do so while a refusal lasts."""
    for queue in pool.queues:
        if queue.denial is not None or queue.refused is not None:
            break
    else:
        return pool, ()
    if not _may_give_up(pool):
        return pool, ()
    lasting = [_lasting_refusal(queue, now) for queue in pool.queues]
    first = next(filter(None, lasting), None)
    if first is None or not all(
        refusal is not None or is_finished(pool, queue)
        for refusal, queue in zip(lasting, pool.queues, strict=True)
    ):
        return pool, ()
    why = f"{first.why} (for {GIVE_UP:g} s)"
    return stop(pool, Level.DRAIN, PoolEnd(QUEUE_UNUSABLE, why), now, pool.own_drain)


def _lasting_refusal(queue: QueueState, now: float) -> Refusal | None:
    """What does not heal, once that is so for too long."""
    for refusal in (queue.denial, queue.refused):
        if refusal is not None and now >= refusal.since + GIVE_UP:
            return refusal
    return None


def is_finished(pool: Pool, queue: QueueState) -> bool:
    """Whether --until-empty waits no more for that queue, but for its running jobs."""
    config = pool.config
    return config.until_empty and emptiness.is_reached(queue.emptiness, config.empty_for)


def _may_give_up(pool: Pool) -> bool:
    return pool.phase is PoolPhase.RUNNING and pool.config.ends_by_itself


def moments(pool: Pool) -> Iterator[float]:
    """When time alone changes something."""
    for queue in pool.queues:
        for refusal in (queue.denial, queue.refused):
            if refusal is not None and _may_give_up(pool):
                yield refusal.since + GIVE_UP
        if queue.probe is not None and _may_be_sent(pool, queue, queue.probe):
            yield queue.probe.at
