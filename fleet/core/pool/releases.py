"""When messages may be released: one rule for the whole host.

The server does not know that a poll's client is gone, and gives it the next message: the one that
was just released would be hidden for a lease again. So nothing is released while a dead poll may
still be open; and during a drain while any poll is open, because what it brings is released too.
"""

from fleet.core.pool.effects import Send, Step
from fleet.core.pool.state import Pool, PoolPhase, with_slots
from fleet.core.protocol import Free
from fleet.core.records import replace
from fleet.core.slot_state import State


def may_release(pool: Pool) -> bool:
    """Whether no open poll of this host can swallow what is released now."""
    if pool.dead_polls:
        return False
    return pool.phase is not PoolPhase.DRAINING or pool.count(State.POLLING) == 0


def allow_releases(pool: Pool, now: float) -> Step:
    """Tell the dispatchers that hold a message that they may release it."""
    holding = [slot for slot in pool.slots if slot.state is State.HOLDING]
    if not holding or not may_release(pool):
        return pool, ()
    # Not by `change_state`: its lease is watched as before.
    free = [replace(slot, state=State.WORKING, since=now) for slot in holding]
    return with_slots(pool, free), tuple(Send(slot.number, Free()) for slot in free)
