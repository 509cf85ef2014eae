"""The scout's try of a denied delete, for the master: are deletes allowed again?
(core/pool/denials.py)
"""

from fleet.core.protocol import DeleteTried, TryDelete
from fleet.core.queue import Message, QueueError, Trouble
from fleet.sqs.queue import SqsQueue
from fleet.system import log

ASKED_AGAIN = (Trouble.DENIED, Trouble.PASSING, Trouble.SESSION)  # the last two say nothing of it


def probed(probe: TryDelete, queue: SqsQueue) -> DeleteTried:
    """One try."""
    try:
        queue.delete(Message(probe.message_id, probe.handle, ""))
    except QueueError as error:
        if error.trouble is Trouble.SESSION:
            queue.renew()
        return DeleteTried(error.trouble in ASKED_AGAIN)
    log.emit("message.deleted_late", message_id=probe.message_id)
    return DeleteTried(denied=False, deleted=True)
