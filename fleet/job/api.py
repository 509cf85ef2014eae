"""What a job may import from fleet: how to end on purpose, and the message it runs for."""

from fleet.core.queue import Message
from fleet.core.sns import Notification

_current: list[Message] = []
_notified: list[Notification] = []


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
    if not _current:
        raise LookupError("there is no message here: fleet.message() works inside a job")
    return _current[0]


def set_message(current: Message) -> None:
    """In a job's process, before user code: this is its message."""
    _current[:] = [current]
    _notified.clear()


def forget_message() -> None:
    """There is no message any more."""
    _current.clear()


def notification() -> Notification:
    """With `--body sns`: what SNS delivered (message, subject, topic, id, timestamp).

    Raises LookupError without `--body sns`, and outside a job.
    """
    if not _notified:
        raise LookupError(
            "there is no SNS notification here: "
            "fleet.notification() works in a job, with --body sns"
        )
    return _notified[0]


def set_notification(current: Notification) -> None:
    """In a job's process, before user code: this is what SNS delivered."""
    _notified[:] = [current]
