"""Signs of life: a dispatcher or a scout that hangs is found, and killed in time.

Part of the machine in `machine.py`.

Silence is a suspicion first, and a verdict only when no sign follows either: a master that was
stopped itself, with its children, must not blame them.

**A dispatcher that has a message.** While a job runs its dispatcher extends the lease at a third of
it, or fails to and says so; both are heartbeats on the scoreboard. So in the last third of a lease
there must have been a heartbeat not long ago. The master looks when that third begins. A suspect is
asked for its stack, and killed AGAIN seconds later, in time to save its message.

A lease that is over already is no sign of a hang: the host was suspended, or all of us were
stopped. But a dispatcher that goes on notices that the lease is lost and notes it (a lease of 0, as
one at SQS's limit has): within a third of it, which is the longest that a dispatcher waits, and its
wait does not count a suspension. A dispatcher that does not note it is hung after all.

A dispatcher that has settled its last message says so in the next moment. If the word does not
come, nothing is to be saved but the slot, and the end of a pool that waits for it.

**The scout** samples the queue at its interval and tells the counts, or why it has none; while it
tries an order or a late queue again and again it says at each try that it lives. A scout that is
silent for longer is stopped or hangs: what it was ordered would stay open, and the pool would wait
for that for ever. A suspect is asked for a sample, because after a suspension of the host it may
sleep for as long as before, and is killed ANSWER seconds later; its successor is given the orders.
"""

from math import inf

from fleet.core.config import extend_interval
from fleet.core.depth import SAMPLE_JITTER
from fleet.core.pool.effects import (
    AskStack,
    Inspect,
    KillDispatcher,
    KillHelper,
    LogHung,
    OrderScout,
    Step,
    TellStack,
)
from fleet.core.pool.events import RecordRead
from fleet.core.pool.slot import Slot
from fleet.core.pool.state import Pool, Role, with_slot
from fleet.core.records import replace
from fleet.core.scout_protocol import SampleDepth

AGAIN = 1.0  # seconds from suspicion to verdict of a dispatcher
TOLD = 5.0  # seconds within which a message that was settled is told
QUIET = 20.0  # seconds: the scout's pause before a try, and a call with all its time-outs
# Seconds until the scout has told a sample that it was asked for; names and credentials may take
# their time.
ANSWER = 40.0


def inspect_dispatchers(pool: Pool, now: float) -> Step:
    """Have the scoreboard read for the dispatchers whose time has come."""
    due = [
        slot for slot in pool.slots if slot.is_busy and not slot.is_ending and slot.look_at <= now
    ]
    for slot in due:
        pool = with_slot(pool, replace(slot, look_at=now + AGAIN))  # the answer says better
    return pool, tuple(Inspect(slot.number) for slot in due)


def note_record(pool: Pool, slot: Slot, seen: RecordRead, now: float) -> Step:
    """What the scoreboard says of a dispatcher that holds a message."""
    if not slot.is_busy or slot.is_ending:
        return pool, ()
    if not seen.in_hand:
        return _judge_silence(pool, slot, seen, now, patience=TOLD, again=AGAIN)
    third = extend_interval(seen.lease)
    again = min(AGAIN, third / 3)  # a short lease leaves less time to be sure
    if now >= seen.lease_until and not seen.lease:  # nothing will be extended any more
        return with_slot(pool, replace(slot, look_at=inf, suspected=None)), ()
    if now >= seen.lease_until:
        return _judge_silence(pool, slot, seen, now, patience=third, again=third + AGAIN)
    if now < seen.lease_until - third:
        look_at = max(seen.lease_until - third, now + again)
        return with_slot(pool, replace(slot, look_at=look_at, suspected=None)), ()
    return _judge_silence(pool, slot, seen, now, patience=third, again=again)


def _judge_silence(
    pool: Pool, slot: Slot, seen: RecordRead, now: float, *, patience: float, again: float
) -> Step:
    """Whether the last heartbeat of a dispatcher that has to give one is too long ago."""
    if now - seen.heartbeat <= patience:
        return with_slot(pool, replace(slot, look_at=now + again, suspected=None)), ()
    if slot.suspected != seen.heartbeat:
        suspect = replace(slot, look_at=now + again, suspected=seen.heartbeat)
        return with_slot(pool, suspect), (AskStack(slot.number),)
    why = f"no heartbeat for {now - seen.heartbeat:.0f} s"
    return with_slot(pool, replace(slot, killed=True)), (
        LogHung(slot.number, why),
        TellStack(slot.number),
        KillDispatcher(slot.number),
    )


def note_scout(pool: Pool, now: float) -> Pool:
    """The scout has said something."""
    if not pool.scout.alive:
        return pool
    return replace(pool, scout=replace(pool.scout, heard=now, silent_since=inf, full=False))


def scout_patience(pool: Pool) -> float:
    """Until when the scout may be silent."""
    scout = pool.scout
    if not scout.alive or scout.killed:
        return inf
    if scout.silent_since < inf:
        return scout.silent_since + ANSWER
    has_orders = any(recovery.is_waiting for recovery in pool.recoveries)
    samples_only = scout.ready and not scout.full and not has_orders
    interval = pool.config.sample_interval * (1 + SAMPLE_JITTER) if samples_only else 0.0
    return scout.heard + QUIET + interval


def judge_scout(pool: Pool, now: float) -> Step:
    """Ask the silent scout for a sample, or kill it."""
    scout = pool.scout
    if now < scout_patience(pool):
        return pool, ()
    if scout.silent_since < inf:
        return replace(pool, scout=replace(scout, killed=True)), (KillHelper(Role.SCOUT),)
    suspect = replace(scout, silent_since=now)
    pool = replace(pool, scout=suspect, sizing=replace(pool.sizing, asked=True))
    return pool, (OrderScout(SampleDepth()),)
