"""fleet: a pre-forking batch server for Amazon SQS."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fleet.core.failure import Failure
    from fleet.core.outcomes import Exit, Outcome, Settlement
    from fleet.core.queue import Message, QueueError, Trouble
    from fleet.core.reasons import Reason
    from fleet.core.sns import Notification
    from fleet.job.api import Reject, Retry, message, notification
    from fleet.library.dispatcher import Dispatcher
    from fleet.library.queue import Queue
    from fleet.library.results import DispatcherError, Ending, JobError
    from fleet.version import VERSION as __version__  # noqa: N811 - what every package calls it

__all__ = [
    "Dispatcher",
    "DispatcherError",
    "Ending",
    "Exit",
    "Failure",
    "JobError",
    "Message",
    "Notification",
    "Outcome",
    "Queue",
    "QueueError",
    "Reason",
    "Reject",
    "Retry",
    "Settlement",
    "Trouble",
    "__version__",
    "message",
    "notification",
]

_HOME = {
    "Dispatcher": "fleet.library.dispatcher",
    "DispatcherError": "fleet.library.results",
    "Ending": "fleet.library.results",
    "Exit": "fleet.core.outcomes",
    "Failure": "fleet.core.failure",
    "JobError": "fleet.library.results",
    "Message": "fleet.core.queue",
    "Notification": "fleet.core.sns",
    "Outcome": "fleet.core.outcomes",
    "Queue": "fleet.library.queue",
    "QueueError": "fleet.core.queue",
    "Reason": "fleet.core.reasons",
    "Reject": "fleet.job.api",
    "Retry": "fleet.job.api",
    "Settlement": "fleet.core.outcomes",
    "Trouble": "fleet.core.queue",
    "message": "fleet.job.api",
    "notification": "fleet.job.api",
}


if not TYPE_CHECKING:  # a type checker would take any name for good

    def __getattr__(name: str) -> Any:
        """Import an exported name when it is first used: the processes of a pool do not carry the
        library, and a probe carries nothing.
        """
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        import importlib

        if name == "__version__":
            value = importlib.import_module("fleet.version").VERSION
        else:
            value = getattr(importlib.import_module(_HOME[name]), name)
        globals()[name] = value
        return value
