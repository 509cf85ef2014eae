"""How many polls this host may have open: one when the queue is quiet, all of them when it is not.

`allowed` is raised by evidence and lowered by evidence:

    a hit within a second of asking   × 4, up to the size of the pool: there is probably more
    a slower hit                      stays: the message came while the poll waited, there was no
                                      backlog
    an empty poll                     halved, at least one
    a depth sample above zero         at least that many, up to the size
    a failed poll                     one, and the next poll waits for a backoff with full jitter

The backoff grows to half a minute when an answer asked for it: a throttle, a fault of the service,
a refusal. Where no answer came it stays within five seconds, because such a try costs no more than
itself, and a link that is back should not wait. With several queues it costs the others a
dispatcher for as long as it takes: there the backoff is as long, too, within the five seconds. Any
other call that SQS answers ends the backoff: a silence of everything is over then at once, an
answer about polls may still hold for some seconds, and so may what the other queues are owed.
Polls that are cut at the same age are the matter of `poll_cuts.py`.

A host that has no process to give (`starved`) takes one message at a time, with a growing pause,
until a job could be started again: each try costs a message one of its attempts.

An empty answer that came early (`--wait-time 0`, or a server that does not do long polls) pauses
the pool for the rest of a second, so that an empty queue never costs more than about one request a
second.
"""

from dataclasses import dataclass, field
from math import inf

from fleet.core import poll_cuts
from fleet.core.backoff import pause_before_next
from fleet.core.poll_cuts import Cuts
from fleet.core.records import replace

GROWTH = 4
QUICK = 1.0  # seconds: a hit that is faster says that there is a backlog
SHORTEST_EMPTY = 1.0  # seconds between the polls of an empty queue, at least
BACKOFF_FIRST, BACKOFF_MOST = 0.5, 30.0  # seconds
UNANSWERED_MOST = 5.0  # seconds
AFTER_SILENCE, AFTER_ANSWER = 1.0, 5.0  # seconds from a failure on, if another call is answered
STARVED_FIRST = 2.0  # seconds


@dataclass(frozen=True)
class Polling:
    """How many polls are allowed, and what has failed.

    `failures`: polls in a row. `starved`: messages in a row for which no job could be forked.
    `not_before`: when the next poll may be made. `free_at`: from when on an answer to another call
    ends the backoff.
    """

    allowed: int = 1
    failures: int = 0
    starved: int = 0
    not_before: float = 0.0
    free_at: float = 0.0
    cuts: Cuts = field(default_factory=Cuts)


def note_hit(polling: Polling, took: float, size: int) -> Polling:
    """A poll brought a message after `took` seconds."""
    more = polling.allowed * GROWTH if took < QUICK and not polling.starved else polling.allowed
    return Polling(
        allowed=max(1, min(more, size)),
        starved=polling.starved,
        not_before=_pause_left(polling),
        cuts=poll_cuts.note_answer(polling.cuts, took),
    )


def note_empty(polling: Polling, now: float, took: float) -> Polling:
    """A poll brought nothing, after `took` seconds."""
    pause = max(0.0, SHORTEST_EMPTY - took)
    until = max(_pause_left(polling), now + pause) if pause else _pause_left(polling)
    return Polling(
        allowed=max(1, polling.allowed // 2),
        starved=polling.starved,
        not_before=until,
        cuts=poll_cuts.note_answer(polling.cuts, took),
    )


def _pause_left(polling: Polling) -> float:
    """Until when polls still wait once the queue has answered: a starved host waits on."""
    return polling.not_before if polling.starved else 0.0


def note_failure(
    polling: Polling, now: float, jitter: float, *, answered: bool = True, held: float = 0.0
) -> Polling:
    """The receive call failed: the whole pool backs off, not one dispatcher.

    `answered`: it was refused by an answer. `held`: for how long it has kept a dispatcher from
    other queues, without an answer (seconds). Polls that fail during the backoff have met the same
    trouble and say nothing new.
    """
    if polling.failures and now < polling.not_before:
        return polling
    failures = polling.failures + 1
    longest = BACKOFF_MOST if answered else UNANSWERED_MOST
    pause = pause_before_next(failures, BACKOFF_FIRST, longest, jitter, least=0.0)
    others = min(held, UNANSWERED_MOST)
    return Polling(
        failures=failures,
        starved=polling.starved,
        not_before=max(polling.not_before, now + max(pause, others)),
        free_at=now + max(AFTER_ANSWER if answered else AFTER_SILENCE, others),
        cuts=polling.cuts,
    )


def note_cut(polling: Polling, now: float, took: float, wait: float) -> Polling:
    """A poll was cut off after `took` seconds: whatever the backoff says, its age is news."""
    return replace(polling, cuts=poll_cuts.note_cut(polling.cuts, now, took, wait))


def note_answer(polling: Polling) -> Polling:
    """A call that is no poll was answered: the backoff ends as early as it may."""
    if not polling.failures or polling.starved:
        return polling
    return replace(polling, not_before=min(polling.not_before, polling.free_at))


def note_starvation(polling: Polling, now: float, jitter: float) -> Polling:
    """A message came, and the host had no process to give to its job."""
    count = polling.starved + 1
    pause = pause_before_next(count, STARVED_FIRST, BACKOFF_MOST, jitter)
    return replace(
        polling, allowed=1, starved=count, not_before=max(polling.not_before, now + pause)
    )


def end_starvation(polling: Polling) -> Polling:
    """A job ran: the host has processes to give."""
    return replace(polling, starved=0) if polling.starved else polling


def note_sample(polling: Polling, visible: int, size: int) -> Polling:
    """The depth sample counted `visible` messages. A failing queue stays backed off."""
    if polling.failures or polling.starved or visible <= polling.allowed:
        return polling
    return replace(polling, allowed=max(1, min(visible, size)))


def count_grants(polling: Polling, now: float, idle: int, open_polls: int) -> int:
    """How many of the `idle` dispatchers get a grant now."""
    if now < polling.not_before:
        return 0
    return max(0, min(idle, polling.allowed - open_polls))


def longest_poll(polling: Polling, now: float) -> float:
    """How many seconds the next poll may last; infinity where nothing cuts it."""
    return poll_cuts.longest_poll(polling.cuts, now, inf)


def note_grant(polling: Polling, now: float) -> Polling:
    """A grant was given."""
    return (
        replace(polling, cuts=poll_cuts.note_poll(polling.cuts, now))
        if now >= polling.cuts.again_at
        else polling
    )


def is_degraded(polling: Polling) -> bool:
    """Whether the queue cannot be reached at the moment."""
    return polling.failures > 0
