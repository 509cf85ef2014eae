"""fleet: a pre-forking batch server for Amazon SQS."""

from fleet import version
from fleet.api import Reject, Retry, message, notification
from fleet.core.queue import Message
from fleet.core.sns import Notification

__all__ = ["Message", "Notification", "Reject", "Retry", "__version__", "message", "notification"]
__version__ = version.VERSION
