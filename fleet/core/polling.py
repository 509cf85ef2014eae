"""How many polls this host may have open: one when the queue is quiet, all of them when it is not.

`allowed` is raised by evidence and lowered by evidence:

    a hit within a second of asking   × 4, up to the size of the pool: there is probably more
    a slower hit                      stays: it came while we waited, there was no backlog
    an empty poll                     halved, at least one
    a depth sample above zero         at least that many, up to the size
    a failed poll                     one, and nobody asks again before a backoff with full jitter

A host that has no process to give (`starved`) takes one message at a time, with a growing pause, until a job could
be started again: each try costs a message one of its attempts.

An empty answer that came early (`--wait-time 0`, or a server that does not do long polls) pauses the pool
for the rest of a second, so that an empty queue never costs more than about one request a second.
"""

from dataclasses import dataclass, replace

GROWTH = 4
QUICK = 1.0  # seconds: a hit faster than this says there is a backlog
SHORTEST_EMPTY = 1.0  # seconds between the polls of an empty queue, at least
BACKOFF_FIRST, BACKOFF_MOST = 0.5, 30.0  # seconds
STARVED_FIRST = 2.0  # seconds


@dataclass(frozen=True, slots=True)
class Polling:
    """The polls allowed, and what failed: polls in a row, messages in a row for which no job could be forked."""

    allowed: int = 1
    failures: int = 0
    starved: int = 0
    not_before: float = 0.0


def hit(polling: Polling, took: float, size: int) -> Polling:
    """A poll brought a message after `took` seconds."""
    more = polling.allowed * GROWTH if took < QUICK and not polling.starved else polling.allowed
    return Polling(allowed=max(1, min(more, size)), starved=polling.starved, not_before=_pause(polling))


def empty(polling: Polling, now: float, took: float) -> Polling:
    """A poll came home with nothing."""
    pause = max(0.0, SHORTEST_EMPTY - took)
    until = max(_pause(polling), now + pause) if pause else _pause(polling)
    return Polling(allowed=max(1, polling.allowed // 2), starved=polling.starved, not_before=until)


def _pause(polling: Polling) -> float:
    """What is left of a backoff once the queue has answered: a starved host still has no process to give."""
    return polling.not_before if polling.starved else 0.0


def failed(polling: Polling, now: float, luck: float) -> Polling:
    """The receive call failed: the whole pool backs off, not one dispatcher.

    Polls that fail while it does are of the same trouble and say nothing new.
    """
    if polling.failures and now < polling.not_before:
        return polling
    failures = polling.failures + 1
    most = min(BACKOFF_MOST, BACKOFF_FIRST * 2 ** min(failures - 1, 16))
    until = max(polling.not_before, now + luck * most)
    return Polling(failures=failures, starved=polling.starved, not_before=until)


def starved(polling: Polling, now: float, luck: float) -> Polling:
    """A message came, and the host had no process to give to its job."""
    count = polling.starved + 1
    pause = min(BACKOFF_MOST, STARVED_FIRST * 2 ** min(count - 1, 16)) * (0.5 + luck / 2)
    return Polling(failures=polling.failures, starved=count, not_before=max(polling.not_before, now + pause))


def fed(polling: Polling) -> Polling:
    """A job ran: the host has processes to give."""
    return replace(polling, starved=0) if polling.starved else polling


def sampled(polling: Polling, visible: int, size: int) -> Polling:
    """The depth sample saw `visible` messages waiting. A failing queue stays backed off."""
    if polling.failures or polling.starved or visible <= polling.allowed:
        return polling
    return replace(polling, allowed=max(1, min(visible, size)))


def grants(polling: Polling, now: float, idle: int, open_polls: int) -> int:
    """How many of the `idle` dispatchers get a grant now."""
    if now < polling.not_before:
        return 0
    return max(0, min(idle, polling.allowed - open_polls))


def degraded(polling: Polling) -> bool:
    """Whether the queue cannot be reached at the moment."""
    return polling.failures > 0
