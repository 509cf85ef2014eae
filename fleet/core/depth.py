"""A sample of the queue's depth."""

from dataclasses import dataclass

SAMPLE_JITTER = 0.25  # of the interval, more or less, between two samples of the scout


@dataclass(frozen=True, slots=True)
class Depth:
    """One sample of the queue's three approximate counts."""

    visible: int
    in_flight: int
    delayed: int = 0

    @property
    def total(self) -> int:
        """All messages of the queue, whatever they wait for."""
        return self.visible + self.in_flight + self.delayed
