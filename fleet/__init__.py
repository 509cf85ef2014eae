"""fleet: a pre-forking batch server for Amazon SQS."""

from typing import TYPE_CHECKING, Any

from fleet import version
from fleet.api import Reject, Retry, message, notification
from fleet.core.exits import Exit, Outcome, Settlement
from fleet.core.queue import Message, QueueError, Trouble
from fleet.core.sns import Notification

if TYPE_CHECKING:
    from fleet.endings import DispatcherError, Ending, JobError
    from fleet.library import Dispatcher, Queue

__all__ = [
    "Dispatcher",
    "DispatcherError",
    "Ending",
    "Exit",
    "JobError",
    "Message",
    "Notification",
    "Outcome",
    "Queue",
    "QueueError",
    "Reject",
    "Retry",
    "Settlement",
    "Trouble",
    "__version__",
    "message",
    "notification",
]
__version__ = version.VERSION

_LIBRARY = {
    "Dispatcher": "fleet.library",
    "DispatcherError": "fleet.endings",
    "Ending": "fleet.endings",
    "JobError": "fleet.endings",
    "Queue": "fleet.library",
}


if not TYPE_CHECKING:  # a type checker would take any name for good

    def __getattr__(name: str) -> Any:
        """The library is imported when it is used: the processes of a pool do not carry it."""
        if name not in _LIBRARY:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        import importlib

        return getattr(importlib.import_module(_LIBRARY[name]), name)
