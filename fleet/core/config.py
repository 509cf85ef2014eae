"""What the options say, as one record that every process of a pool and every rule of core reads.

The command line makes it from the settings in one place (options/pool_config.py); the template, the
scout and the dispatchers are sent it with their Plan; the library makes one of its arguments. A
field is called as its option, so that one search shows all that an option does. What follows from
options is a property here. What is no option is not here: whether the queue is FIFO, or whether
there is an exit handler, comes beside it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import floor, inf

FIRST_LEASE = 20.0  # seconds: what a poll that dies with its client can hide a message for
# A lease counts from before the poll, so it is that much longer: what comes at its end has a third
# left.
LEASE_PER_POLL = 1.5
MOST_WORKERS = 1024  # that a pool may be asked for
LONGEST_VISIBILITY: float = 43_200  # seconds: SQS's limit on how long a message can be hidden
# Seconds: a signal within them is the same one again, from a terminal and from a supervisor.
SAME_SIGNAL = 1.0
SETTLE_ALLOWANCE = 10.0  # seconds: what the settling at the end of a stop may take


def poll_seconds(wait_time: float, visibility_timeout: float) -> float:
    """How long a poll is that is to last `wait_time`: never longer than the lease allows.

    SQS takes whole seconds.
    """
    return min(wait_time, float(floor(visibility_timeout / LEASE_PER_POLL)))


def first_lease_for(wait_time: float) -> float:
    """The longest lease that a receive call asks for.

    Short, for it bounds every accident, and longer than its poll.
    """
    return max(FIRST_LEASE, wait_time * LEASE_PER_POLL)


def extend_interval(lease: float) -> float:
    """How many seconds after its beginning a lease is extended: a third of it.

    A dispatcher that waits longer is found in the last third, and killed in time (liveness.py).
    """
    return lease / 3


@dataclass(frozen=True, slots=True)
class Config:
    """The options that the pool works by; times in seconds, infinite without limit."""

    workers: int = 1
    min_workers: int | None = None  # both None: a fixed size, that an operator may change
    max_workers: int | None = None
    target_wait: float = 60.0
    shrink_after: float = 300.0
    starve_after: float = inf  # of several queues in an order
    visibility_timeout: float = 60.0
    wait_time: float = 10.0
    exit_timeout: float = 30.0
    job_timeout: float = inf
    body: str = "text"
    sns_topic: Sequence[str] = ()
    sns_verify: bool = True
    sns_max_age: float | None = None
    transformer: str | None = None
    router: str | None = None
    exit_handler: str | None = None
    on_failure: str | None = None
    job_init: str | None = None
    job_exit: str | None = None
    retry_delay: Sequence[float] = ()  # by attempt, the last one repeats
    delete_failed: bool = False
    on_lease_lost: str = "continue"
    dead_letter: str = "native"
    drain_timeout: float = 30.0
    until_empty: bool = False
    empty_for: float = 60.0
    batch_size: int = 1
    max_seconds: float = inf  # from when the pool is ready
    max_jobs: int | None = None  # messages received
    depth_interval: float = 15.0
    preload: bool = True
    boot_timeout: float = 60.0
    start_timeout: float = 30.0
    transport: str = "auto"
    name: str = ""
    log_level: str = "info"
    log_format: str = "text"

    # The lease.

    @property
    def first_lease(self) -> float:
        """What a receive call asks for: short, so that it bounds every accident."""
        return min(self.visibility_timeout, first_lease_for(self.wait_time))

    @property
    def call_timeout(self) -> float:
        """The most that a call about a message in hand may take: several fit into a first lease."""
        return min(self.visibility_timeout, FIRST_LEASE) / 6

    @property
    def kills_on_lease_lost(self) -> bool:
        """Whether a job whose message others may get is stopped."""
        return self.on_lease_lost == "kill"

    @property
    def dead_letters_directly(self) -> bool:
        """Whether fleet itself moves a message after its last attempt, at once."""
        return self.dead_letter == "direct"

    # The size.

    @property
    def bounds(self) -> tuple[int, int] | None:
        """Between what the size may be; None for a pool of fixed size."""
        if self.min_workers is None and self.max_workers is None:
            return None
        return self.fewest_workers, self.most_workers

    @property
    def fewest_workers(self) -> int:
        """The lower one of the bounds; for a pool of fixed size that size."""
        return self.min_workers or self.workers

    @property
    def most_workers(self) -> int:
        """The upper one of the bounds; for a pool of fixed size that size."""
        return self.max_workers or self.workers

    @property
    def sample_interval(self) -> float:
        """Seconds between two samples of the queue's counts.

        --until-empty needs them more often than it waits.
        """
        return (
            min(self.depth_interval, self.empty_for / 2)
            if self.until_empty
            else self.depth_interval
        )

    # The end.

    @property
    def ends_by_itself(self) -> bool:
        """Whether somebody waits for the pool's end."""
        return self.until_empty or self.is_counted

    @property
    def is_counted(self) -> bool:
        """Whether the pool is to do so much, or for so long."""
        return self.max_jobs is not None or self.max_seconds < inf

    @property
    def longest_stop(self) -> float:
        """The longest that a requested stop can take before what is left is killed."""
        return self.longest_drain(self.drain_timeout)

    def longest_drain(self, seconds: float) -> float:
        """The same for a drain that gives running jobs so many seconds.

        Its worst case: the last poll brings a message at its very end.
        """
        return self.wait_time + self.longest_finish(seconds)

    def longest_finish(self, seconds: float) -> float:
        """The longest that a message in hand can take in a drain that gives jobs so many seconds.

        Its worst case: the message is on its last attempt, and its job runs into its time-out; its
        exit handler does so twice, and the hook that is told of it once.
        """
        job = max(seconds, self.exit_timeout)
        tries = 2 if self.on_failure is None else 3
        return job + tries * self.exit_timeout + SETTLE_ALLOWANCE

    @property
    def own_drain(self) -> float:
        """Seconds that running jobs have when the pool ends by itself.

        That is their own time, so that no good job is interrupted.
        """
        return (
            self.drain_timeout
            if self.job_timeout == inf
            else max(self.job_timeout, self.drain_timeout)
        )
