"""What becomes of an orphan: a message whose dispatcher died with it in hand.

The scoreboard's record says how far the dispatcher had come. By then nothing of its job exists any
more.

| the record says                       | settled by the scout                                 |
|---------------------------------------|------------------------------------------------------|
| its job had ended with 0              | delete: the work is done                             |
| delete was intended                   | delete: repeating it is safe                         |
| release or dead-letter was intended   | nothing: it may have been done, and doing it again   |
|                                       | could hit a new owner                                |
| its job had ended with another status | nothing: a failure, tried again when its lease ends  |
| a job was running, or was to be       | release, one attempt, and only with RELEASE_MARGIN   |
|                                       | of the lease left                                    |

A record of an open poll on a FIFO queue says with which id the dispatcher asked: another process
that repeats that id is given the same message. The scout does so, and releases what comes; nobody
else knows which message it is.
"""

from dataclasses import dataclass

from fleet.core.exit_codes import DONE
from fleet.core.outcomes import Exit, Settlement
from fleet.core.protocol import RELEASE_MARGIN


@dataclass(frozen=True, slots=True)
class Orphan:
    """A dead dispatcher's message, as its record on the scoreboard tells.

    `intent` is the settlement that the dispatcher was about to ask for, `delay` the seconds that a
    release was to wait, `exit` how the job has ended, if it has. `place`: which of the messages
    that one poll brought. `queue`: where it came from.
    """

    message_id: str
    attempt: int
    handle: str
    lease_until: float
    delay: int = 0
    intent: Settlement | None = None
    exit: Exit | None = None
    place: int = 0
    queue: int = 0


def settlement_of(orphan: Orphan, now: float) -> Settlement:
    """What the scout is to do with the message; LEAVE is nothing."""
    code = None if orphan.exit is None else orphan.exit.code
    if orphan.intent is Settlement.DELETE or code == DONE:
        return Settlement.DELETE
    if code is not None:  # the job had failed by itself: as without a retry delay
        return Settlement.LEAVE
    if orphan.intent is not None or now >= orphan.lease_until - RELEASE_MARGIN:
        return Settlement.LEAVE
    return Settlement.RELEASE
