"""What the work of this host has been like.

    load         busy dispatchers, averaged exponentially over the target wait: what is shorter
                 than that the queue may absorb, what is longer needs dispatchers
    job seconds  dispatcher-seconds spent on messages per message finished, both fading out over
                 the last FADE messages. Jobs that still run count with the time they have taken so
                 far, so work that becomes longer shows before the first long job has ended. Before
                 anything is finished it is the mean age of the running jobs
    hidden       messages that we gave back to their lease or to a delay: SQS counts them as in
                 flight, nobody works on them

Times are seconds.
"""

from dataclasses import dataclass
from math import exp

from fleet.core.records import replace

# Messages after which an old one counts for little; at least two rounds of all dispatchers.
FADE = 50
MOST_HIDDEN = 1000  # what is remembered of a flood of failures


@dataclass(frozen=True)
class Workload:
    """The work up to the moment `at`.

    `hidden` holds until when each message is; totals do not fade.
    """

    at: float = 0.0
    load: float = 0.0
    worked: float = 0.0
    finished: float = 0.0
    hidden: tuple[float, ...] = ()
    worked_total: float = 0.0
    finished_total: int = 0


def pass_time(work: Workload, busy: int, now: float, window: float) -> Workload:
    """Time has passed with so many dispatchers busy; the load is averaged over `window` seconds."""
    seconds = now - work.at
    if seconds <= 0:
        return work
    kept = exp(-seconds / window) if window > 0 else 0.0
    load = busy + (work.load - busy) * kept
    spent = busy * seconds
    return replace(
        work, at=now, load=load, worked=work.worked + spent, worked_total=work.worked_total + spent
    )


def note_end(work: Workload, busy: int, hidden_for: float = 0.0) -> Workload:
    """A message is settled; `busy` still counts its dispatcher.

    `hidden_for`: for how long the message cannot be received again.
    """
    kept = 1 - 1 / max(FADE, 2 * busy)
    work = replace(
        work,
        worked=work.worked * kept,
        finished=(work.finished + 1) * kept,
        finished_total=work.finished_total + 1,
    )
    if hidden_for <= 0:
        return work
    hidden = (*(until for until in work.hidden if until > work.at), work.at + hidden_for)
    return replace(work, hidden=hidden[-MOST_HIDDEN:])


def job_seconds(work: Workload, busy: int) -> float | None:
    """How long a message keeps a dispatcher; None when there has been none."""
    if not work.worked:
        return None
    return work.worked / max(work.finished, busy, 1)


def mean_seconds(work: Workload, busy: int) -> float | None:
    """The same since the pool began, for people."""
    return work.worked_total / max(work.finished_total, busy, 1) if work.worked_total else None


def count_hidden(work: Workload, now: float) -> int:
    """How many messages of this host are in flight while no dispatcher works on them."""
    return sum(until > now for until in work.hidden)
