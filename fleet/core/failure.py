"""What an --on-failure hook is called with."""

from dataclasses import dataclass

from fleet.core.outcomes import Exit, Outcome
from fleet.core.queue import Message


@dataclass(frozen=True, slots=True)
class Failure:
    """A job has failed, timed out or died by a signal, or rejected its message where there is no
    dead-letter queue.

    The exception that ended it, if one did: `error_type` (its class), `error` (its text), `where`
    (file, line and function), `traceback`; all bounded, empty where there was none. `last_attempt`:
    whether the queue delivers the message no more; None if that is not known. `duration` in
    seconds, `max_rss_mib` its largest resident memory.
    """

    message: Message
    outcome: Outcome
    exit: Exit
    attempt: int
    last_attempt: bool | None
    duration: float
    max_rss_mib: float
    error_type: str = ""
    error: str = ""
    where: str = ""
    traceback: str = ""
