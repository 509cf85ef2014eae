"""When messages may be released: one rule for the polls of the whole host on a queue.

The server does not know that a poll's client is gone, and gives it the next message: the one that
was just released would be hidden for a lease again. So nothing is released while a dead poll may
still be open; and during a drain while any poll of the queue is open, because what it brings is
released too.
"""

from fleet.core.pool.effects import Send, Step
from fleet.core.pool.state import Pool, PoolPhase, with_slots
from fleet.core.protocol import Free
from fleet.core.records import replace
from fleet.core.slot_state import State


def may_release(pool: Pool, place: int) -> bool:
    """Whether no open poll of this host can swallow what is released to the queue now."""
    if pool.queues[place].dead_polls:
        return False
    return pool.phase is not PoolPhase.DRAINING or not any(
        slot.state is State.POLLING and slot.queue == place for slot in pool.slots
    )


def allow_releases(pool: Pool, now: float) -> Step:
    """Tell the dispatchers that hold a message that they may release it."""
    holding = [slot for slot in pool.slots if slot.state is State.HOLDING]
    if not holding:
        return pool, ()
    safe = {place for place in {slot.queue for slot in holding} if may_release(pool, place)}
    # Not by `change_state`: its lease is watched as before.
    free = [replace(slot, state=State.WORKING, since=now) for slot in holding if slot.queue in safe]
    return with_slots(pool, free), tuple(Send(slot.number, Free()) for slot in free)
