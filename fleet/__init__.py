"""fleet: a pre-forking batch server for Amazon SQS."""

from fleet import version
from fleet.api import Reject, Retry, message
from fleet.core.queue import Message

__all__ = ["Message", "Reject", "Retry", "__version__", "message"]
__version__ = version.VERSION
