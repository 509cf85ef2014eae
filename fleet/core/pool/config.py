"""What the options say about the pool, and what follows from them alone."""

from dataclasses import dataclass
from math import inf

SETTLE_ALLOWANCE = 10.0  # seconds: what the settling at the end of a stop may take


@dataclass(frozen=True, slots=True)
class Config:
    """What the options say about the pool; times in seconds."""

    workers: int
    wait_time: float = 10.0
    drain_timeout: float = 30.0
    exit_timeout: float = 30.0
    job_timeout: float = inf
    on_failure: bool = False  # a hook that may take --exit-timeout once more
    boot_timeout: float = 60.0
    first_lease: float = 20.0
    empty_for: float | None = None  # --until-empty: how long; None: never end by itself
    max_seconds: float = inf  # from when it is ready
    max_jobs: int | None = None  # messages received
    batch_size: int = 1
    min_workers: int | None = None  # both None: a fixed size, that an operator may change
    max_workers: int | None = None
    target_wait: float = 60.0
    shrink_after: float = 300.0
    depth_interval: float = 15.0

    @property
    def ends_by_itself(self) -> bool:
        """Whether somebody waits for its end."""
        return self.empty_for is not None or self.is_counted

    @property
    def is_counted(self) -> bool:
        """Whether it is to do so much, or for so long."""
        return self.max_jobs is not None or self.max_seconds < inf

    @property
    def bounds(self) -> tuple[int, int] | None:
        """Between what the size may be; None for a pool of fixed size."""
        if self.min_workers is None and self.max_workers is None:
            return None
        return self.min_workers or self.workers, self.max_workers or self.workers

    @property
    def longest_stop(self) -> float:
        """The longest that a stop which somebody asks for can take before what is left is killed."""
        return self.longest_drain(self.drain_timeout)

    def longest_drain(self, seconds: float) -> float:
        """The same for a drain that gives running jobs so many seconds.

        Its worst case: the last poll brings a message on its last attempt, whose job runs into its
        time-out, and whose exit handler does so twice, and the hook that is told of it once.
        """
        job = max(seconds, self.exit_timeout)
        tries = 3 if self.on_failure else 2
        return self.wait_time + job + tries * self.exit_timeout + SETTLE_ALLOWANCE

    @property
    def own_drain(self) -> float:
        """What running jobs have when the pool ends by itself: their own time, so that no good one
        is interrupted.
        """
        return (
            self.drain_timeout
            if self.job_timeout == inf
            else max(self.job_timeout, self.drain_timeout)
        )
