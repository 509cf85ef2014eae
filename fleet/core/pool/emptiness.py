"""--until-empty: when is a queue empty enough to end?

The three counts are approximate and may lag by a minute, so one zero proves nothing. The queue
counts as empty when every sample for `empty_for` seconds was zero, a full-length poll that began in
that time came home without a message, and no job runs here. Full length is what the poll was
granted: where there are fewer dispatchers than queues that is a second, which is as good a proof,
because SQS asks all of its servers from a wait of one second on.

Several queues are empty when each is. One that nothing is received from (paused, gone, denied) is
not: nobody has looked.
"""

from dataclasses import dataclass

from fleet.core.records import replace


@dataclass(frozen=True, slots=True)
class Emptiness:
    """The present streak of zero samples: since when, the newest, and whether a poll agreed."""

    zero_since: float | None = None
    zero_until: float | None = None
    poll_agreed: bool = False


def note_sample(emptiness: Emptiness, now: float, total: int) -> Emptiness:
    """A sample whose three counts add up to `total`."""
    if total > 0:
        return Emptiness()
    if emptiness.zero_since is None:
        return Emptiness(zero_since=now, zero_until=now)
    return replace(emptiness, zero_until=now)


def note_empty_poll(emptiness: Emptiness, began: float, full_length: bool) -> Emptiness:
    """A poll that began at `began` brought nothing. `full_length`: it was as long as polls are."""
    if emptiness.zero_since is None or began < emptiness.zero_since or not full_length:
        return emptiness
    return replace(emptiness, poll_agreed=True)


def note_message() -> Emptiness:
    """A message came: the streak is over, whatever the counts say."""
    return Emptiness()


def is_reached(emptiness: Emptiness, empty_for: float) -> bool:
    """Whether the queue has been empty for `empty_for` seconds.

    That no job runs is not judged here.
    """
    if emptiness.zero_since is None or emptiness.zero_until is None:
        return False
    return emptiness.poll_agreed and emptiness.zero_until - emptiness.zero_since >= empty_for
