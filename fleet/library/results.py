"""How a delivery ended, as a user of the library is told: a record, or one of the errors. They
pickle.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fleet.core.delivery.machine import Delivery
from fleet.core.dispatch_result import Told, told
from fleet.core.outcomes import Exit, Outcome, Settlement
from fleet.core.queue import Message, QueueError
from fleet.core.reasons import Reason
from fleet.system import processes


@dataclass(frozen=True, slots=True)
class Ending:
    """How a delivery ended. `outcome` and `exit` are the job's, None if none ran; `delay`: a
    release's, in seconds.

    `reason` is for programs what `why` is for people.
    """

    message: Message
    settlement: Settlement
    outcome: Outcome | None = None
    exit: Exit | None = None
    why: str = ""
    delay: int = 0
    reason: Reason = Reason.UNKNOWN


class _DeliveryError(Exception):
    def __init__(
        self,
        text: str = "",
        *,
        message: Message | None = None,
        exit: Exit | None = None,  # noqa: A002 - the contract's name
        settlement: Settlement | None = None,
        reason: Reason | None = None,
    ) -> None:
        super().__init__(text)
        self.message, self.exit, self.settlement, self.reason = message, exit, settlement, reason


class JobError(_DeliveryError):
    """The job failed, was killed or timed out, as `reason` says. Its message was settled as
    `settlement` says.
    """


class DispatcherError(_DeliveryError):
    """Fleet could not do its part: no process, no exit handler that works, the lease lost. `reason`
    says which.
    """


_ENDED: dict[Outcome | None, str] = {
    Outcome.FAILED: "failed",
    Outcome.TIMED_OUT: "timed out",
    Outcome.SIGNALLED: "was killed",
    Outcome.REJECTED: "rejected it",
}


def ending(message: Message, ended: Delivery, delay: int) -> Ending:
    """The record."""
    settlement = ended.settlement or Settlement.LEAVE
    why, reason = (
        (ended.verdict.why, ended.verdict.reason) if ended.verdict else ("", Reason.UNKNOWN)
    )
    released = settlement is Settlement.RELEASE
    return Ending(
        message, settlement, ended.outcome, ended.exit, why, delay if released else 0, reason
    )


def tell(last: Ending, ended: Delivery, *, refusal: QueueError | None, starved: bool) -> bool:
    """True or False, or the error, by the table in core/dispatch_result.py.

    `refusal`: why the queue did not settle it.
    """
    about: Mapping[str, Any] = {
        "message": last.message,
        "exit": last.exit,
        "settlement": last.settlement,
        "reason": last.reason,
    }
    which = f"message {last.message.id}, attempt {last.message.attempt}"
    what = f"the message was {last.settlement.value.replace('_', '-')}: {last.why}"
    match told(ended, refused=refusal is not None, starved=starved):
        case Told.DELETED:
            return True
        case Told.NOT_DELETED:
            return False
        case Told.JOB_ERROR:
            how = processes.describe_exit(last.exit) if last.exit else "unknown"
            raise JobError(
                f"{which}: its job {_ENDED.get(last.outcome, 'ended')} ({how}); {what}", **about
            )
        case Told.QUEUE_ERROR if refusal:
            error = QueueError(refusal.trouble, f"{which}: {what}: {refusal}")
            error.message, error.exit, error.settlement, error.reason = (*about.values(),)
            raise error from refusal
        case _:
            raise DispatcherError(f"{which}: {what}", **about)
