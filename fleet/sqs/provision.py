"""Makes queues on the embedded server, where nobody else has."""

import json
from contextlib import closing
from dataclasses import replace

from fleet.core.queue_names import is_fifo
from fleet.sqs.address import Address
from fleet.sqs.pool_access import open_local
from fleet.sqs.queue import SqsQueue


def make_with_dead_letter_queue(address: Address) -> None:
    """Make the queue and its dead-letter queue `NAME-dlq` (maxReceiveCount 3) if they are missing.

    Raises QueueError.
    """
    fifo = is_fifo(address.name)
    base = address.name.removesuffix(".fifo")
    kind = {"FifoQueue": "true", "ContentBasedDeduplication": "true"} if fifo else {}
    its_dead_letter_queue = replace(address, queue=f"{base}-dlq{'.fifo' if fifo else ''}")
    with (
        closing(SqsQueue(open_local(its_dead_letter_queue))) as dead_letter_queue,
        closing(SqsQueue(open_local(address))) as queue,
    ):
        dead_letter_queue.create(kind)
        arn = dead_letter_queue.arn()
        policy = json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": "3"})
        queue.create(kind | {"RedrivePolicy": policy})
