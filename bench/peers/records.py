"""What a run of the peers is written down as, and how much it does."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Effort:
    """How much of everything: a quick run shows that all works, a full one is for the page."""

    rounds: int
    jobs: int  # no-op ones, of one measurement
    slow_jobs: int  # of 50 ms
    letters: int  # messages one by one
    idle: float  # seconds
    sizes: tuple[int, ...]  # numbers of workers
    down: float  # seconds without the endpoint


FULL = Effort(3, 1600, 640, 80, 40.0, (1, 4, 16, 64), 30.0)
QUICK = Effort(1, 80, 48, 5, 2.0, (1, 8), 2.0)


@dataclass(frozen=True)
class Record:
    """One measure of one subject; a value a round. None says that it did not happen."""

    measure: str
    subject: str
    unit: str
    values: list[float | None] = field(default_factory=list)
    workers: int = 8

    @property
    def key(self) -> tuple[str, str, int]:
        return self.measure, self.subject, self.workers

    @property
    def numbers(self) -> list[float]:
        """The values without what did not happen."""
        return [value for value in self.values if value is not None]
