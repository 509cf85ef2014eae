"""--batch-size: how many messages one receive asks for.

The messages of one receive run one after another in one dispatcher, so a message that waits there
while another dispatcher is idle would have been better left in the queue. No dispatcher asks for
more than its share of what the queue is thought to have: what the last depth sample counted, less
what has been taken or asked for since. Once that is used up, receives say whether there is more:

    a full one     brought as many as it was asked for, at once: there is probably more
    a short one    brought fewer: there is little more
    a late one     waited for its message, so the queue was empty; so it was for an empty one
    a failed one   says nothing, and what was known grows old until the next one

`uncounted` is the length of the present run: the messages beyond those of the sample that full
receives have brought without a break. A run of N messages is taken to go on for N more. So the
first receive of a burst asks for one message, and the size doubles each time that the pool has
taken twice as many, up to --batch-size. No dispatcher asks for more than each has taken in the run
on average: where the queue is at its end after all, the last ones to receive are busy for about as
long as the run has lasted, and no longer than the depth interval, since each sample begins anew.

    a sample, a late, an empty or a failed receive    0
    a full receive, beyond the sample                 + what it brought
    a short receive                                   at most what it brought for each dispatcher
"""

from math import ceil

from fleet.core.polling import QUICK
from fleet.core.pool.queue_state import QueueState
from fleet.core.pool.state import Pool, size_for
from fleet.core.protocol import Received
from fleet.core.slot_state import State


def receive_size(pool: Pool, place: int) -> int:
    """How many messages of the queue a grant asks for now, from 1 to --batch-size."""
    queue = pool.queues[place]
    most = queue.config.batch_size
    # A starved host tries one message at a time.
    if most == 1 or queue.polling.starved:
        return 1
    there_is = max(_left_of_sample(queue) - messages_asked(pool, place), queue.uncounted)
    return max(1, min(most, ceil(there_is / max(1, size_for(pool, queue)))))


def note_received(queue: QueueState, size: int, asked: int, report: Received) -> int:
    """The length of the run after a receive that was to bring `asked`, and is in the counts.

    `size`: dispatchers that the queue may have.
    """
    if report.took >= QUICK:
        return 0
    if report.count < asked:
        return min(queue.uncounted, report.count * size)
    beyond = max(0, -_left_of_sample(queue))
    return min(queue.uncounted + report.count, beyond)


def _left_of_sample(queue: QueueState) -> int:
    """What the last sample counted, less what was received since; negative beyond that."""
    visible = queue.depth.visible if queue.depth else 0
    return visible - (queue.counts.received - queue.sampled_received)


def messages_asked(pool: Pool, place: int | None = None) -> int:
    """How many messages open polls may bring: those on one queue, or all (None).

    A poll that has fallen silent still may.
    """
    return sum(
        slot.asked
        for slot in pool.slots
        if slot.state is State.POLLING and (place is None or slot.queue == place)
    )
