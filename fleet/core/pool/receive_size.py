"""--batch-size: how many messages one receive asks for.

The messages of one receive run one after another in one dispatcher, so a message that waits there
while another dispatcher is idle would have been better left in the queue. No dispatcher asks for
more than its share of what the queue had at its last sample, less what has been taken or asked for
since: a deep queue fills batches, a shallow one is spread over all dispatchers.
"""

from math import ceil

from fleet.core.pool.state import Pool
from fleet.core.slot_state import State


def receive_size(pool: Pool) -> int:
    """How many messages a grant asks for now, from 1 to --batch-size."""
    most = pool.config.batch_size
    # A starved host tries one message at a time.
    if most == 1 or pool.depth is None or pool.polling.starved:
        return 1
    taken = pool.counts.received - pool.sampled_received + messages_asked(pool)
    return max(1, min(most, ceil((pool.depth.visible - taken) / max(1, pool.size))))


def messages_asked(pool: Pool) -> int:
    """How many messages open polls may bring. A poll that has fallen silent still may."""
    return sum(slot.asked for slot in pool.slots if slot.state is State.POLLING)
