"""What the polls of one queue have said last. The package has the theory of operation."""

from dataclasses import dataclass
from enum import Enum, auto
from math import inf

from fleet.core.records import replace

# Seconds: a queue that has messages has answered by then. An answer that comes later lets a lower
# queue's grant pass; a longer time keeps more polls open on a queue that gets a message now and
# then.
SETTLE = 0.25


class Answer(Enum):
    """What a queue's newest poll came home with."""

    NONE = auto()  # there was no poll yet, or it failed, or what it said is outdated
    MESSAGE = auto()
    EMPTY = auto()


@dataclass(frozen=True)
class Evidence:
    """The newest answer, when it came home, and when the newest grant was given.

    Moments are seconds. Before the first grant `granted_at` is when the queue was first to be
    polled: from then on it may starve.
    """

    newest: Answer = Answer.NONE
    home_at: float = -inf
    granted_at: float = 0.0


def note_grant(evidence: Evidence, now: float) -> Evidence:
    """A grant was given."""
    return replace(evidence, granted_at=now)


def note_answer(evidence: Evidence, now: float, count: int) -> Evidence:
    """A poll has come home with `count` messages."""
    return replace(evidence, newest=Answer.MESSAGE if count else Answer.EMPTY, home_at=now)


def note_failure(evidence: Evidence, now: float) -> Evidence:
    """A poll has failed: nothing is known of the queue any more."""
    return replace(evidence, newest=Answer.NONE, home_at=now)


def note_sample(evidence: Evidence, visible: int, open_polls: int) -> Evidence:
    """The depth sample counted `visible` messages.

    Where no poll is open that would have brought one, the answer before it is outdated. The counts
    lag: that costs one look at the most.
    """
    if evidence.newest is not Answer.EMPTY or not visible or open_polls:
        return evidence
    return replace(evidence, newest=Answer.NONE)
