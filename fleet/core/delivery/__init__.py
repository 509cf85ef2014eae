"""One message, from the answer that brought it to its settlement, as a pure state machine.

                                              ┌─ died by a signal of its own ─▶ HANDLING ─┐
    WAITING ─turn─▶ RUNNING ─exit─ (DOUBTFUL) ┴───────────────────────────────────────────┴▶ JUDGING
       │               │ stop                                                         ▲     │
       │               ├─ no exit handler ─▶ STOPPING ─exit───────────────────────────┤     │verdict
       │               └─ exit handler ─▶ FROZEN ─▶ HANDLING ─▶ KILLING ─exit─────────┘ (REPORTING)
       └─sent back─▶ HELD ◀───────────────────────── release ───────────────────────────────┤
                      └─allowed─▶ SETTLING ◀──────── delete, dead-letter ───────────────────┤
                                     └─confirmed, or too late─▶ DONE ◀───── leave ──────────┘

WAITING   it was received; nobody works on it yet. A message of a batch waits here for its turn.
RUNNING   the job's process exists, or is being forked.
DOUBTFUL  the job has ended as one does that a supervisor stops, and not by our doing. A stop of the
          whole control group reaches jobs too, often first: until `doubt_until` it is waited
          whether that is what happens. Then the job was stopped; else its end was its own.
STOPPING  the job was told to stop (SIGTERM to its group) and is killed when `kill_at` comes.
FROZEN    everything of the job was stopped (SIGSTOP), so that the exit handler sees it as it was.
          A job that had already finished is settled as finished.
HANDLING  the exit handler's process runs until `handler_until`. Too late: job and handler are
          killed, and when both are gone the handler runs once more.
KILLING   the handler has ended; the job is being killed.
JUDGING   nothing of the job exists any more; what the queue's settings say about the message is
          asked for, again and again while the lease lasts.
REPORTING the job has failed, and the --on-failure hook's process is told so; it runs until
          `hook_until` and is killed then. The verdict waits for its end.
HELD      the message is to be released as soon as the master says that no poll of this host can
          swallow it.
SETTLING  the request is on its way, and repeated with backoff; retries.py has the table. A
          dead-letter is two requests: send, and only when that is confirmed delete (`sent`). A
          letter that cannot be sent makes a failure of the message, which is held. A release that
          was not answered may have been done: it is repeated only as long as its delay would still
          hide the message. While a delete is repeated the lease is kept.
DONE      `verdict` tells what became of the message.

So no message becomes visible while a process that worked on it exists.

The lease runs beside that: until `lease_until` SQS hides the message, counted on our own clock from
*before* the call that set it, moved by a confirmed answer only, asked for again at a third of it.
Once that time has passed the lease is lost: no extend and no release any more, because both could
hit a newer owner. The job then runs on (its success still deletes), or is stopped
(`--on-lease-lost kill`). SQS hides a message for 12 hours from its receive at the most; near that
the lease is no longer extended, which is told, and then it is lost.

`begin` makes the record of a delivery; only `step` changes it. `step(delivery, event, rules)`
returns the next state and what to do, in order; the answer to an action is the next event. An event
that the state does not allow raises `IllegalDeliveryEvent` and changes nothing. `wakes_at` is when
something is due though nothing happens.

What a caller needs is imported here. For several messages of one receive batch.py, with its events,
is a state machine and a face of its own.
"""

from fleet.core.delivery import actions, events
from fleet.core.delivery.arrival import LATE, NO_PROCESS, begin
from fleet.core.delivery.deadlines import wakes_at
from fleet.core.delivery.machine import step
from fleet.core.delivery.retries import delete_until
from fleet.core.delivery.settling import pause_before
from fleet.core.delivery.state import (
    LEASE_KEPT,
    Delivery,
    DeliveryPhase,
    HandlerResult,
    IllegalDeliveryEvent,
    Rules,
    Step,
)

__all__ = [
    "LATE",
    "LEASE_KEPT",
    "NO_PROCESS",
    "Delivery",
    "DeliveryPhase",
    "HandlerResult",
    "IllegalDeliveryEvent",
    "Rules",
    "Step",
    "actions",
    "begin",
    "delete_until",
    "events",
    "pause_before",
    "step",
    "wakes_at",
]
