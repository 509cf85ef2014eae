"""Recovery of messages whose dispatchers died: who settles them, when, and how they are counted.

Part of the machine in `machine.py`.

The scout settles them, by order: a `Recover`. recovery_orders.py says when it is given.

A FIFO queue's poll whose dispatcher died makes an order too: to repeat the poll when it must be
over, and to release what it brought. Repeating is safe, so that order is given again. The message
counts as received only when one came.
"""

from fleet.core import polling, scheduling
from fleet.core.exit_codes import KILLED
from fleet.core.outcomes import Settlement
from fleet.core.pool import denials, emptiness
from fleet.core.pool.effects import Effect, Log, Step
from fleet.core.pool.events import Died
from fleet.core.pool.orphan import Orphan, settlement_of
from fleet.core.pool.queue_state import add_one
from fleet.core.pool.slot import Slot
from fleet.core.pool.state import Level, Pool, PoolEnd, Recovery, queue_of, with_queue
from fleet.core.records import replace
from fleet.core.scout_protocol import Recover, Recovered, RecoveryDenied
from fleet.core.slot_state import State

DEAD_POLL_MARGIN = 1.0  # seconds: by then the server has ended a long poll whose client is gone
COUNTER_OF = {
    Settlement.DELETE: "deleted",
    Settlement.RELEASE: "released",
    Settlement.DEAD_LETTER: "dead_lettered",
    Settlement.LEAVE: "left",
}


def keep_poll_open(pool: Pool, slot: Slot) -> Pool:
    """Nobody listens to the slot's poll any more, and the server does not know that."""
    queue = queue_of(pool, slot)
    dead_polls = (*queue.dead_polls, _poll_ends_at(pool, slot))
    return with_queue(pool, slot.queue, replace(queue, dead_polls=dead_polls))


def _poll_ends_at(pool: Pool, slot: Slot) -> float:
    """When the server has ended the slot's poll, at the latest.

    It is counted from the grant, and the poll begins at the server only after the look-up and the
    connection. So a poll that was granted less than the whole wait is given that all the same.
    """
    return slot.since + queue_of(pool, slot).config.wait_time + DEAD_POLL_MARGIN


def recover_from_death(pool: Pool, slot: Slot, death: Died, now: float) -> Step:
    """Take over what a dead dispatcher leaves.

    An open poll, messages in hand, or messages that it had settled without saying so.
    """
    if slot.state is State.POLLING and not death.orphans:
        pool = keep_poll_open(_forget_answer(pool, slot.queue, now), slot)
        return (_repeat_poll(pool, slot, death.receive_id) if death.receive_id else pool), ()
    if slot.state is State.POLLING:
        return _recover_received(pool, slot, death, now)
    if slot.is_busy:
        return _recover_in_hand(pool, slot, death, now)
    return pool, ()


def _forget_answer(pool: Pool, place: int, now: float) -> Pool:
    """A poll never came home, so what the one before it said is outdated."""
    if not pool.several:
        return pool
    queue = pool.queues[place]
    evidence = scheduling.note_failure(queue.evidence, now)
    return with_queue(pool, place, replace(queue, evidence=evidence))


def _recover_received(pool: Pool, slot: Slot, death: Died, now: float) -> Step:
    """The poll had come home, and the dispatcher died before it could say so."""
    pool = _count(_forget_answer(pool, slot.queue, now), slot.queue, "polls")
    effects: list[Effect] = []
    for orphan in death.orphans:
        pool, more = _recover(_count_received(pool, slot.queue), slot, orphan, now)
        effects += more
    return pool, tuple(effects)


def _recover_in_hand(pool: Pool, slot: Slot, death: Died, now: float) -> Step:
    """The dispatcher had said that these messages came."""
    orphans = {orphan.place: orphan for orphan in death.orphans}
    denied = {each.place: each for each in slot.denied}
    effects: list[Effect] = []
    for place in slot.places:
        if place in orphans:
            pool, more = _recover(pool, slot, orphans[place], now, denied=place in denied)
            effects += more
            continue
        settlement = death.settled.get(place, Settlement.LEAVE)
        if place in denied and settlement is Settlement.LEAVE:
            pool, more = denials.give_up_delete(
                pool, slot.queue, slot.number, denied[place].message_id, denied[place].handle
            )
            effects += more
        pool = _count_end(pool, slot.queue, settlement, is_done=place in denied)
    return pool, tuple(effects)


def _recover(pool: Pool, slot: Slot, orphan: Orphan, now: float, *, denied: bool = False) -> Step:
    """Order what is to be done with an orphan, if anything is.

    A record that names another queue than the dispatcher was sent to is a fault's: of its message
    it is not known where it belongs.
    """
    order = Recover(
        pool.next_recovery,
        orphan.message_id,
        orphan.handle,
        settlement_of(orphan, now) if orphan.queue == slot.queue else Settlement.LEAVE,
        orphan.delay,
        orphan.lease_until,
        queue=slot.queue,
    )
    recovery = Recovery(slot.number, orphan.attempt, order, denied=denied)
    pool = replace(pool, next_recovery=pool.next_recovery + 1)
    if order.settlement is Settlement.LEAVE or pool.level is Level.KILL:
        return _end_recovery(pool, recovery, Settlement.LEAVE)
    return replace(pool, recoveries=(*pool.recoveries, recovery)), ()


def _count_received(pool: Pool, place: int) -> Pool:
    """A message came whose dispatcher did not live to say so."""
    queue = pool.queues[place]
    counts = add_one(queue.counts, "received")
    after = replace(queue, counts=counts, emptiness=emptiness.note_message())
    return with_queue(pool, place, after)


def _count(pool: Pool, place: int, name: str) -> Pool:
    queue = pool.queues[place]
    return with_queue(pool, place, replace(queue, counts=add_one(queue.counts, name)))


def _repeat_poll(pool: Pool, slot: Slot, receive_id: str) -> Pool:
    """Order that the poll be repeated.

    What it brings at its very end is hidden for a first lease from then on.
    """
    hidden_until = _poll_ends_at(pool, slot) + queue_of(pool, slot).config.first_lease
    order = Recover(
        pool.next_recovery, "", "", Settlement.RELEASE, 0, hidden_until, receive_id, slot.queue
    )
    recoveries = (*pool.recoveries, Recovery(slot.number, 0, order))
    return replace(pool, next_recovery=pool.next_recovery + 1, recoveries=recoveries)


def note_recovered(pool: Pool, answer: Recovered) -> Step:
    """The scout's answer. An answer to an order that is not open any more says nothing new."""
    recovery = _open_recovery(pool, answer.number)
    if recovery is None:
        return pool, ()
    rest = tuple(each for each in pool.recoveries if each is not recovery)
    pool = replace(pool, recoveries=rest)
    place = recovery.order.queue
    if answer.settlement is not Settlement.LEAVE:
        queue = pool.queues[place]
        answered = replace(queue, polling=polling.note_answer(queue.polling))
        pool = with_queue(pool, place, answered)
    if recovery.order.receive_id:
        if not answer.message_id:  # the poll had brought nothing
            return pool, ()
        pool = _count_received(pool, place)
        order = replace(recovery.order, message_id=answer.message_id)
        recovery = replace(recovery, order=order, attempt=answer.attempt)
    return _end_recovery(pool, recovery, answer.settlement)


def _open_recovery(pool: Pool, number: int) -> Recovery | None:
    return next((each for each in pool.recoveries if each.order.number == number), None)


def _end_recovery(pool: Pool, recovery: Recovery, settlement: Settlement) -> Step:
    """The order is done, or the message is left."""
    order = recovery.order
    fields = {
        "slot": recovery.slot,
        "queue": pool.queues[order.queue].name,
        "message_id": order.message_id,
        "attempt": recovery.attempt,
        "why": "its dispatcher died while receiving it"
        if order.receive_id
        else "its dispatcher died",
        "delay": order.delay if settlement is Settlement.RELEASE else 0,
    }
    effects: tuple[Effect, ...] = (Log(f"message.{settlement.value}", fields),)
    if recovery.denied and settlement is Settlement.LEAVE:
        pool, more = denials.give_up_delete(
            pool, order.queue, recovery.slot, order.message_id, order.handle
        )
        effects = (*effects, *more)
    is_done = order.settlement is Settlement.DELETE
    return _count_end(pool, order.queue, settlement, is_done=is_done), effects


def _count_end(pool: Pool, place: int, settlement: Settlement, *, is_done: bool = False) -> Pool:
    """Count a message that ended like that. `is_done`: its job has succeeded.

    What is left because everything was killed costs exit status 7; what was done costs less: only
    its delete is unconfirmed.
    """
    if settlement is Settlement.LEAVE and is_done:
        queue = pool.queues[place]
        pool = with_queue(pool, place, replace(queue, unconfirmed=queue.unconfirmed + 1))
    elif settlement is Settlement.LEAVE and pool.level is Level.KILL:
        pool = replace(pool, end=PoolEnd(KILLED, "killed with work in hand"))
    return _count(pool, place, COUNTER_OF[settlement])


def note_recovery_denied(pool: Pool, answer: RecoveryDenied, now: float) -> Step:
    """The scout is not allowed to delete what it was ordered to."""
    recovery = _open_recovery(pool, answer.number)
    if recovery is None:
        return pool, ()
    pool = with_recovery(pool, recovery, replace(recovery, denied=True))
    return denials.note_denial(pool, recovery.order.queue, answer.why, now)


def with_recovery(pool: Pool, before: Recovery, after: Recovery) -> Pool:
    """The pool with `after` in the place of `before`."""
    recoveries = tuple(after if each is before else each for each in pool.recoveries)
    return replace(pool, recoveries=recoveries)
