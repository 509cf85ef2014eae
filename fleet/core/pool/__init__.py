"""`step(pool, event, now, jitter)` returns the next state of the pool, and what to do.

Theory of operation
-------------------
The pool has a phase, and slots (slot.py). Two helpers feed it: the template, which imported the
app and forks dispatchers, and the scout, which talks to the queue.

    BOOTING ─template ready, queue usable─▶ RUNNING ─stop─▶ DRAINING ─no dispatcher left─▶ STOPPED
       └────────────── stop, or one of the two cannot be had ──▲

Every event first changes what it is about (machine.py); then `reconcile` compares what is with what
should be and asks for the difference: dispatchers to spawn or to terminate, polls to grant,
messages to free, deadlines that passed. So no event's code needs to know what else the event makes
possible, and an opportunity that was missed is found again at the next event. `deadlines.wakes_at`
names the next moment at which time alone changes something; nothing wakes the master in between.
Silence is judged at a Tick only, which comes after all that has been said is heard: a master that
was stopped for a minute must not blame its dispatchers for it.

A stop has three levels, each the answer to one more signal (signals within a second are one: a
terminal's Ctrl-C reaches the whole group, and supervisors repeat themselves):

    DRAIN  no more grants; dispatchers are told to leave; running jobs have `drain_timeout`
    NOW    running jobs are stopped at once; polls still come home
    KILL   everything is killed; what was in hand is left to its lease

Open polls are part of the state: those of POLLING slots, and those of dispatchers that died while
polling, or whose connection was cut (`dead_polls`: until when), because the server does not know
that its client is gone and gives it the next message. During a drain no message is released to a
queue while any poll of it is open; outside a drain only dead ones delay. Polls of other queues
delay nothing: each slot has the queue of its last grant, each dead poll is kept with its queue.

The ledger: every message that was received ends with exactly one Settled, or, if its dispatcher
dies, with one recovery (recovery.py). So received = deleted + released + dead_lettered + left
whenever nothing is in hand and no recovery is open.

An event that the state does not allow (a report from a slot that has no dispatcher, say) raises
`IllegalEvent` and changes nothing.

The processes behind the slots are known to a second record, `Children` (children.py, with births.py
and reaping.py), because it must be true even when the pool's state is wrong.

What a caller needs is imported here, by name or as a module; no other file of this package is
imported from outside. The files behind it:

    what there is      state, queue_state, slot, orphan     what can happen   events
    an event applied   machine, reports, helper_reports,    what is asked     effects
                       lifecycle, recovery, resizing,
                       shutdown, denials, liveness
    what should be     reconcile, deadlines, grants, queue_scenes, releases, recovery_orders,
                       completion, emptiness, sizing, job_memory, receive_size, restarts, scarcity
"""

from fleet.core.pool import births, children, effects, events, reaping
from fleet.core.pool.children import Children, ChildUpdate, PendingDeath, Source
from fleet.core.pool.deadlines import wakes_at
from fleet.core.pool.effects import Effect
from fleet.core.pool.events import Event
from fleet.core.pool.machine import step
from fleet.core.pool.orphan import Orphan
from fleet.core.pool.queue_state import Counts, QueueState
from fleet.core.pool.resizing import size_refusal
from fleet.core.pool.sizing import job_seconds, pass_time
from fleet.core.pool.slot import Slot
from fleet.core.pool.state import IllegalEvent, Level, Pool, PoolEnd, PoolPhase, Role, new

__all__ = [
    "ChildUpdate",
    "Children",
    "Counts",
    "Effect",
    "Event",
    "IllegalEvent",
    "Level",
    "Orphan",
    "PendingDeath",
    "Pool",
    "PoolEnd",
    "PoolPhase",
    "QueueState",
    "Role",
    "Slot",
    "Source",
    "births",
    "children",
    "effects",
    "events",
    "job_seconds",
    "new",
    "pass_time",
    "reaping",
    "size_refusal",
    "step",
    "wakes_at",
]
