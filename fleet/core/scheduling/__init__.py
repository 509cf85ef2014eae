"""Several queues in one pool: which of them the next grant is for, and how long its poll may be.

Theory of operation
-------------------
A grant is leave to make one receive call. A poll occupies its dispatcher until it comes home and is
never aborted (docs/decisions/0008), so a poll is not only a question to one queue: while it is
open, its dispatcher cannot be given to another one. What follows:

    long poll   while a free dispatcher is left for all that other queues may ask for; at most one
                is open on a queue. An idle pool keeps one open a queue.
    look        a poll of LOOK seconds, in every other case. Not of 0: a short poll asks a few of
                SQS's servers only, and comes home empty from a queue that has messages.

What is known of a queue (evidence.py) are its newest poll's answer and its open polls. A queue is
*quiet* if its newest poll came home empty, or if a poll has been open on it for SETTLE seconds: a
queue that has messages answers sooner. All else is not quiet: it answered with a message, or was
never asked. A queue that is not quiet claims grants, as many as polling.py allows it; a quiet one
claims none. One that has no poll open is looked at again

    in turn     when no queue claims a grant, the one whose newest poll came home longest ago
    when due    `pause_between_looks` seconds after that, though others claim grants

How claims are served is the policy:

    strict      The first queue in order that claims or is due. Nothing goes past a queue that
                claims, and has not enough polls open yet to know: a lower queue gets a grant only
                while the newest polls of all higher ones came home empty, or wait. So when a higher
                queue gets a message, it has the dispatchers as they become free; nothing is killed
                for it. --starve-after lets a lower queue through once, after so many seconds
                without a grant and between two grants of those above it.
    weights     The queue that has had the least job time for its weight (shares.py).

A queue that may not be polled (paused, denied, backing off, or at its limit: running jobs and open
polls together) takes no part, and holds back nobody. One that claims and whose job does not fit
into the memory holds back those behind it, because small jobs would keep the memory for ever.

A queue whose newest poll got no answer has one poll open at the most, and claims that one again
after it has backed off for as long as the poll took, within some seconds (polling.py).

A pool of one queue has nobody to make room for: polling.py alone decides, and its polls are long.

The bound
---------
Let a message become visible in the first queue of a strict pool, with none before it there, while
the queue may be polled and its jobs fit. Then it is received within

    pause_between_looks + B + one receive call                         (+ B with --starve-after)

where B is how long it takes at that time until the next dispatcher is free: at most the longest of
the lower queues' jobs, or a poll: a look at a queue that does not answer ends after LOOK and the
client's margin of ten seconds. Proof. If a poll is open on the queue, it brings the message.
Else the newest one has come home: with a message, or by a failure, and the queue claims; or empty,
and it is due `pause_between_looks` later. From that moment on no dispatcher that becomes free goes
past it, for it is the first in order; the next one comes within B, and its poll finds the message,
because it asks all servers. With --starve-after the next free dispatcher may be a starved queue's;
the one after it is not, because one is let through between two grants of those above.

While a flood is worked on, `pause_between_looks` keeps the looks at quiet queues that are due
within a quarter of the dispatchers (LOOKING). It is 0 for a pool of four times as many dispatchers
as there are quiet queues, and most for a pool of one. A dispatcher that has nothing else to do
looks, too.

The other side: a queue that gets n messages a second, by a poll each, must have about n × SETTLE
polls open before one of them waits for SETTLE, and is quiet only then.

The files: evidence.py (what polls have said), choice.py (the decision), shares.py (weights). The
caller counts a dispatcher's messages for --batch-size and --max-jobs after the choice, because they
do not change which queue it is.
"""

from fleet.core.scheduling.choice import (
    LOOK,
    LOOKING,
    Choice,
    PoolScene,
    QueueScene,
    after_choice,
    choose,
    claims,
    is_quiet,
    pause_between_looks,
    wakes_at,
)
from fleet.core.scheduling.evidence import (
    SETTLE,
    Answer,
    Evidence,
    note_answer,
    note_failure,
    note_grant,
    note_sample,
)
from fleet.core.scheduling.shares import Shares, advance, job_time_for_weight
from fleet.core.scheduling.shares import new as new_shares

__all__ = [
    "LOOK",
    "LOOKING",
    "SETTLE",
    "Answer",
    "Choice",
    "Evidence",
    "PoolScene",
    "QueueScene",
    "Shares",
    "advance",
    "after_choice",
    "choose",
    "claims",
    "is_quiet",
    "job_time_for_weight",
    "new_shares",
    "note_answer",
    "note_failure",
    "note_grant",
    "note_sample",
    "pause_between_looks",
    "wakes_at",
]
