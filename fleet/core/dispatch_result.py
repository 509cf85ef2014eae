"""What `Dispatcher.dispatch` makes of a delivery's end.

| the job                             | its message                            | dispatch        |
|-------------------------------------|----------------------------------------|-----------------|
| succeeded                           | deleted                                | True            |
| failed, timed out, died by a signal | whatever became of it                  | JobError        |
| rejected it                         | dead-lettered                          | False           |
| rejected it, no dead-letter queue   | as failed                              | JobError        |
| asked for a retry, was interrupted  | released; direct, on its last attempt  | False           |
| was never started: it came too late | released                               | False           |
| its exit handler failed             | left, or dead-lettered by hand         | DispatcherError |
| any other                           | left: its lease was lost; no process   | DispatcherError |
| any other                           | the queue did not take what was decided| QueueError      |
"""

from enum import Enum, auto

from fleet.core.delivery import Delivery, HandlerResult
from fleet.core.outcomes import Settlement, has_failed


class DispatchResult(Enum):
    """What the caller of `dispatch` is told."""

    DELETED = auto()
    NOT_DELETED = auto()
    JOB_ERROR = auto()
    DISPATCHER_ERROR = auto()
    QUEUE_ERROR = auto()


def dispatch_result_of(ended: Delivery, *, refused: bool, starved: bool) -> DispatchResult:
    """By the table above.

    `refused`: the queue did not take the settlement. `starved`: the host had no process for a job.
    """
    if has_failed(ended.outcome, ended.facts):
        return DispatchResult.JOB_ERROR
    if refused:
        return DispatchResult.QUEUE_ERROR
    handler_failed = ended.handler_result not in (None, HandlerResult.DONE)
    if starved or handler_failed or ended.settlement in (None, Settlement.LEAVE):
        return DispatchResult.DISPATCHER_ERROR
    return (
        DispatchResult.DELETED
        if ended.settlement is Settlement.DELETE
        else DispatchResult.NOT_DELETED
    )
