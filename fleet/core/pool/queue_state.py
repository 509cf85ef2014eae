"""What the pool knows of one of its queues, as one frozen record.

A queue is its place in `Pool.queues`, which never changes; its name is for people. `queue.config`
has the options that are about its messages, and those of the pool: a rule that works on a message
reads its queue's, one that works on the pool reads `pool.config`.
"""

from dataclasses import dataclass, field
from math import inf

from fleet.core.config import Config
from fleet.core.depth import Depth
from fleet.core.polling import Polling, is_degraded
from fleet.core.pool.emptiness import Emptiness
from fleet.core.queue_config import QueueConfig
from fleet.core.records import replace
from fleet.core.scheduling import Evidence
from fleet.core.scout_protocol import TryDelete
from fleet.core.sizing.workload import Workload


@dataclass(frozen=True)
class Counts:
    """What happened so far, in messages and jobs."""

    received: int = 0
    deleted: int = 0
    released: int = 0
    dead_lettered: int = 0
    left: int = 0
    # Of the left, and of the released, on their last attempt: the queue dead-letters them.
    left_last: int = 0
    released_last: int = 0
    succeeded: int = 0
    retried: int = 0
    rejected: int = 0
    failed: int = 0
    timed_out: int = 0
    signalled: int = 0
    stopped: int = 0
    ended_badly: int = 0
    lease_lost: int = 0
    polls: int = 0  # that came home, with or without a message
    pauses: int = 0  # of the polling, because of a failure

    @property
    def in_hand(self) -> int:
        """Messages received and not yet settled; zero at every end."""
        return self.received - self.deleted - self.released - self.dead_lettered - self.left


def add_one(counts: Counts, *names: str) -> Counts:
    """The counts with one more of each name."""
    return replace(counts, **{name: getattr(counts, name) + 1 for name in names})


@dataclass(frozen=True, slots=True)
class Refusal:
    """Trouble that no retry heals: since when, and one line for people."""

    since: float
    why: str


@dataclass(frozen=True, slots=True)
class DeleteProbe:
    """The denied delete of a message that is left.

    It is tried at growing pauses, to see whether it is allowed again.
    """

    order: TryDelete
    tries: int = 0
    at: float = 0.0
    is_waiting: bool = False  # the present scout was asked to try it


@dataclass(frozen=True)
class QueueState:
    """One queue. Moments are seconds of the master's clock.

    `limit`: how many of its jobs may run at the same time. `weight`: its share of the job time;
    None in a strict order. `evidence`: what its polls have said last, kept where there are several
    queues to choose from.
    """

    name: str
    config: Config
    limit: float = inf
    weight: float | None = None
    usable: bool = False  # the scout has found it so
    answered: bool = False  # the present scout has said whether it is usable
    paused: bool = False  # by an operator, this queue alone
    evidence: Evidence = field(default_factory=Evidence)
    polling: Polling = field(default_factory=Polling)
    dead_polls: tuple[float, ...] = ()  # when the server has ended each
    emptiness: Emptiness = field(default_factory=Emptiness)
    depth: Depth | None = None
    sampled_received: int = 0  # as `counts.received` was then
    sampled_at: float | None = None
    uncounted: int = 0  # messages beyond that sample, by full receives; see receive_size.py
    trouble: str = ""  # what its last failed poll said; empty when it answers
    refused: Refusal | None = None  # polls; until one is answered
    denial: Refusal | None = None  # deletes; see denials.py
    gone: str = ""  # as a message in hand has met it; until a poll is answered
    probe: DeleteProbe | None = None
    unconfirmed: int = 0  # messages that are done, and whose deletes nobody has confirmed
    counts: Counts = field(default_factory=Counts)
    work: Workload = field(default_factory=Workload)
    jobs_mib: tuple[float, ...] = ()  # the largest memory of each of its last jobs

    @property
    def fails(self) -> bool:
        """Whether it cannot be reached or used at the moment; `trouble` says why."""
        return is_degraded(self.polling) or (bool(self.trouble) and not self.usable)

    @property
    def may_be_polled(self) -> bool:
        """Whether anything may be received from it, whatever its last polls said."""
        return self.usable and not self.paused and self.denial is None


def new_queue(queue: QueueConfig) -> QueueState:
    """The queue before anything has happened."""
    return QueueState(queue.name, queue.config, queue.limit, queue.weight)
