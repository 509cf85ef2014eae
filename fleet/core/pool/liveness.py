"""A dispatcher that hangs while it works is killed in time to save its message. Part of `pool.py`'s
machine.

While a job runs its dispatcher extends the lease at a third of it, or fails to and says so; both
are beats in the scoreboard. So in the last third of a lease there must have been a beat not long
ago. The master looks when that third begins. Silence is a suspicion first, and it is asked for its
stack; it is a verdict a second later, because a master that was stopped itself, with its
dispatchers, must not blame them.

A lease that is over already is nobody's hang: the host was suspended, or all of us were stopped.
But whoever goes on notices that it is lost and notes it (a lease of 0, as one at SQS's limit has):
within a third of it, which is the longest that a dispatcher waits, and its wait does not count a
suspension. Who does not is hung after all.

One that has settled its last message says so in the next moment. If the word does not come, nothing
is to be saved but the slot, and the end of a pool that waits for it.
"""

from dataclasses import replace
from math import inf

from fleet.core.pool.effects import AskStack, Inspect, KillDispatcher, Log, Step, TellStack
from fleet.core.pool.events import Seen
from fleet.core.pool.slot import Slot
from fleet.core.pool.state import Pool, with_slot

AGAIN = 1.0  # seconds from suspicion to verdict
TOLD = 5.0  # seconds within which a message that was settled is told


def inspected(pool: Pool, now: float) -> Step:
    """Have the scoreboard read for those whose time has come."""
    due = [
        slot for slot in pool.slots if slot.is_busy and not slot.is_ending and slot.look_at <= now
    ]
    for slot in due:
        pool = with_slot(pool, replace(slot, look_at=now + AGAIN))  # the answer says better
    return pool, tuple(Inspect(slot.number) for slot in due)


def seen(pool: Pool, slot: Slot, what: Seen, now: float) -> Step:
    """What the scoreboard says of a dispatcher that holds a message."""
    if not slot.is_busy or slot.is_ending:
        return pool, ()
    if not what.in_hand:
        return _silent(pool, slot, what, now, patience=TOLD, again=AGAIN)
    third = what.lease / 3
    again = min(AGAIN, third / 3)  # a short lease leaves less time to be sure
    if now >= what.lease_until and not what.lease:  # nothing will be extended any more
        return with_slot(pool, replace(slot, look_at=inf, suspected=None)), ()
    if now >= what.lease_until:
        return _silent(pool, slot, what, now, patience=third, again=third + AGAIN)
    if now < what.lease_until - third:
        look_at = max(what.lease_until - third, now + again)
        return with_slot(pool, replace(slot, look_at=look_at, suspected=None)), ()
    return _silent(pool, slot, what, now, patience=third, again=again)


def _silent(
    pool: Pool, slot: Slot, what: Seen, now: float, *, patience: float, again: float
) -> Step:
    """Of one who has to give a sign of life: whether the last one is too long ago."""
    if now - what.beat <= patience:
        return with_slot(pool, replace(slot, look_at=now + again, suspected=None)), ()
    if slot.suspected != what.beat:
        return with_slot(pool, replace(slot, look_at=now + again, suspected=what.beat)), (
            AskStack(slot.number),
        )
    log = Log(
        "dispatcher.hung",
        {"slot": slot.number, "pid": slot.pid, "why": f"no beat for {now - what.beat:.0f} s"},
    )
    return with_slot(pool, replace(slot, killed=True)), (
        log,
        TellStack(slot.number),
        KillDispatcher(slot.number),
    )
