"""Which idle dispatchers may poll the queue now, and for how many messages.

A rule of `reconcile.py`.
"""

from math import inf

from fleet.core import polling
from fleet.core.pool import receive_size, sizing
from fleet.core.pool.completion import messages_left
from fleet.core.pool.effects import Effect, Send, Step
from fleet.core.pool.slot import Slot, begin_poll
from fleet.core.pool.state import Pool, PoolPhase, with_queue, with_slots
from fleet.core.protocol import Grant
from fleet.core.records import replace
from fleet.core.slot_state import State


def grant_polls(pool: Pool, now: float) -> Step:
    """Grant as many polls as the evidence, the memory and --max-jobs allow.

    A poll that is silent for too long counts no longer as an open one.
    """
    place = 0
    queue = pool.queues[place]
    if pool.phase is not PoolPhase.RUNNING or pool.paused or not queue.may_be_polled:
        return pool, ()
    idle = [slot for slot in pool.slots if slot.is_available]
    if not idle:
        return pool, ()
    polling_now = [slot for slot in pool.slots if slot.state is State.POLLING]
    open_polls = len([slot for slot in polling_now if slot.silent_since == inf])
    allowed = polling.count_grants(queue.polling, now, len(idle), open_polls)
    if queue.limit < inf:  # every open poll may bring a job
        allowed = min(allowed, max(0, int(queue.limit) - pool.busy - len(polling_now)))
    if not allowed:
        return pool, ()
    candidates = idle[:allowed][: sizing.jobs_that_fit(pool)]
    left, share = messages_left(pool), receive_size.receive_size(pool, place)
    after = queue.polling
    polls: list[Slot] = []
    grants: list[Effect] = []
    for slot in candidates:
        if left <= 0:
            break
        most = int(min(share, left))
        polls.append(begin_poll(slot, place, most, now))
        grants.append(Send(slot.number, Grant(most, polling.longest_poll(after, now), place)))
        after = polling.note_grant(after, now)
        left -= share
    if after is not queue.polling:
        pool = with_queue(pool, place, replace(queue, polling=after))
    return with_slots(pool, polls), tuple(grants)
