"""What becomes of a message whose dispatcher died with it in hand.

The scoreboard's record says how far it had come. By then nothing of its job exists any more.

| the record says                      | settled by the scout                                                     |
|--------------------------------------|--------------------------------------------------------------------------|
| its job had ended with 0             | delete: the work is done                                                 |
| delete was intended                  | delete: repeating it is safe                                             |
| release or dead-letter was intended  | nothing: it may have been done, and doing it again could hit a new owner |
| its job had ended with another status | nothing: a failure, which is tried again when its lease ends             |
| a job was running, or was to be      | release, one attempt, and only with MARGIN of the lease left             |

A record of an open poll on a FIFO queue says with which id it was asked: whoever repeats that id is
given the same message. The scout does so, and releases what comes; nobody else knows which message
it is.
"""

from dataclasses import dataclass

from fleet.core.outcomes import Exit, Settlement

MARGIN = 5.0  # seconds of lease, by our clock, that a release by somebody else needs


@dataclass(frozen=True, slots=True)
class Estate:
    """The message that a dead dispatcher left. `intent` is the settlement it was about to ask for.

    With a `receive_id` it is a message that may be: what a poll brought that nobody has heard of.
    `lease_until` is then the latest moment until which it can be hidden.
    """

    message_id: str
    attempt: int
    handle: str
    lease_until: float
    delay: int = 0  # seconds: what a release was to wait
    intent: Settlement | None = None
    exit: Exit | None = None
    receive_id: str = ""

    @property
    def last_moment(self) -> float:
        """From then on a release by somebody else comes too late, or is not needed."""
        return self.lease_until - (0.0 if self.receive_id else MARGIN)


def settlement(estate: Estate, now: float) -> Settlement:
    """What the scout is to do; LEAVE is nothing."""
    if estate.intent is Settlement.DELETE or (estate.exit is not None and estate.exit.code == 0):
        return Settlement.DELETE
    if (
        estate.exit is not None and estate.exit.code is not None
    ):  # it had failed by itself: as without a retry delay
        return Settlement.LEAVE
    if estate.intent is not None or now >= estate.last_moment:
        return Settlement.LEAVE
    return Settlement.RELEASE
