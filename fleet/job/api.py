"""What a job may import from fleet: how to end on purpose, and the message it runs for."""

from fleet.core.queue import Message
from fleet.core.sns import Notification

_current: Message | None = None
_notified: Notification | None = None


class Retry(Exception):
    """Raised by a job: not now.

    The message is released, visible again after `after` seconds (default 0).
    """

    def __init__(self, after: float = 0.0) -> None:
        super().__init__(f"retry after {after:g} s")
        self.after = after


class Reject(Exception):
    """Raised by a job: never. The message goes to the dead-letter queue now.

    Without a dead-letter queue this is a failure.
    """


def message() -> Message:
    """The message that this job's process runs for: id, body, attributes, attempt.

    Raises LookupError outside a job.
    """
    if _current is None:
        raise LookupError("there is no message here: fleet.message() works inside a job")
    return _current


def set_message(current: Message) -> None:
    """In a job's process, before user code: this is its message."""
    global _current, _notified
    _current, _notified = current, None


def forget_message() -> None:
    """There is no message any more."""
    global _current
    _current = None


def notification() -> Notification:
    """With `--body sns`: what SNS delivered (message, subject, topic, id, timestamp).

    Raises LookupError without `--body sns`, and outside a job.
    """
    if _notified is None:
        raise LookupError(
            "there is no SNS notification here: "
            "fleet.notification() works in a job, with --body sns"
        )
    return _notified


def set_notification(current: Notification) -> None:
    """In a job's process, before user code: this is what SNS delivered."""
    global _notified
    _notified = current
