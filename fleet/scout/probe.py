"""The scout tries a denied delete for the master: are deletes allowed again?

`core/pool/denials.py` has the reason.
"""

from fleet.core.queue import Message, QueueError, Trouble
from fleet.core.scout_protocol import DeleteTried, TryDelete
from fleet.sqs.queue import SqsQueue
from fleet.system import log

# Answers after which the delete may still be denied: the last two do not tell.
STILL_DENIED = (Trouble.DENIED, Trouble.PASSING, Trouble.SESSION)


def try_delete(probe: TryDelete, queue: SqsQueue) -> DeleteTried:
    """Try the delete once."""
    try:
        queue.delete(Message(probe.message_id, probe.handle, ""))
    except QueueError as error:
        if error.trouble is Trouble.SESSION:
            queue.renew()
        return DeleteTried(error.trouble in STILL_DENIED, queue=probe.queue)
    log.emit("message.deleted_late", message_id=probe.message_id, queue=queue.name)
    return DeleteTried(denied=False, deleted=True, queue=probe.queue)
