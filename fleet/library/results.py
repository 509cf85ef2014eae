"""How a delivery ended, for a user of the library: a record, or one of the errors. They pickle."""

from dataclasses import dataclass
from typing import Any

from fleet.core.delivery import Delivery
from fleet.core.dispatch_result import DispatchResult, dispatch_result_of
from fleet.core.outcomes import Exit, Outcome, Settlement
from fleet.core.queue import Message, QueueError, Trouble
from fleet.core.reasons import Reason
from fleet.system import processes


@dataclass(frozen=True, slots=True)
class Ending:
    """The result of a delivery.

    `outcome` and `exit` are the job's, None if none ran; `delay`: seconds for which a released
    message stays hidden.

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
    """The job failed, was killed or timed out, as `reason` says.

    Its message was settled as `settlement` says.
    """


class DispatcherError(_DeliveryError):
    """Fleet could not do its part: no process, no exit handler that works, the lease lost.

    `reason` says which.
    """


_ENDED: dict[Outcome | None, str] = {
    Outcome.FAILED: "failed",
    Outcome.TIMED_OUT: "timed out",
    Outcome.SIGNALLED: "was killed",
    Outcome.REJECTED: "rejected it",
}


def result_of(message: Message, delivery: Delivery, delay: int) -> Ending:
    """The result of a delivery that is over. `delay`: seconds, if the message was released."""
    verdict = delivery.verdict
    settlement = delivery.settlement or Settlement.LEAVE
    return Ending(
        message,
        settlement,
        delivery.outcome,
        delivery.exit,
        why=verdict.why if verdict else "",
        delay=delay if settlement is Settlement.RELEASE else 0,
        reason=verdict.reason if verdict else Reason.UNKNOWN,
    )


def return_or_raise(
    result: Ending, delivery: Delivery, *, refusal: QueueError | None, starved: bool
) -> bool:
    """What `dispatch` returns or raises, by the table in core/dispatch_result.py.

    `refusal`: why the queue did not settle the message. `starved`: no process was to be had.
    """
    message = result.message
    which = f"message {message.id}, attempt {message.attempt}"
    what = f"the message was {result.settlement.value.replace('_', '-')}: {result.why}"
    match dispatch_result_of(delivery, refused=refusal is not None, starved=starved):
        case DispatchResult.DELETED:
            return True
        case DispatchResult.NOT_DELETED:
            return False
        case DispatchResult.JOB_ERROR:
            how = processes.describe_exit(result.exit) if result.exit else "unknown"
            ended = _ENDED.get(result.outcome, "ended")
            raise JobError(f"{which}: its job {ended} ({how}); {what}", **_facts(result))
        case DispatchResult.QUEUE_ERROR if refusal:
            text = f"{which}: {what}: {refusal}"
            raise queue_error(refusal.trouble, text, result) from refusal
        case _:
            raise dispatcher_error(f"{which}: {what}", result)


def queue_error(trouble: Trouble, text: str, result: Ending) -> QueueError:
    """A QueueError about that result."""
    error = QueueError(trouble, text)
    error.message, error.exit = result.message, result.exit
    error.settlement, error.reason = result.settlement, result.reason
    return error


def dispatcher_error(text: str, result: Ending) -> DispatcherError:
    """A DispatcherError about that result."""
    return DispatcherError(text, **_facts(result))


def _facts(result: Ending) -> dict[str, Any]:
    return {
        "message": result.message,
        "exit": result.exit,
        "settlement": result.settlement,
        "reason": result.reason,
    }
