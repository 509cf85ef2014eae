"""What a simulation measures.

Waiting times, worker-seconds, resizes, requests and their price, and curves to plot.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

PRICE = 0.40 / 1_000_000  # dollars a request (SQS standard queue, first tier after the free one)
POINTS = 720  # of a curve


@dataclass(slots=True)
class Curve:
    """What there was at moments `every` seconds apart."""

    every: float
    size: list[int] = field(default_factory=list)
    busy: list[int] = field(default_factory=list)
    backlog: list[int] = field(default_factory=list)


@dataclass(slots=True)
class Result:
    """One policy on one trace."""

    policy: str
    trace: str
    curve: Curve
    waits: list[float] = field(default_factory=list)
    worker_seconds: float = 0.0
    most: int = 0  # workers at one time
    resizes: int = 0
    receives: int = 0
    deletes: int = 0
    extends: int = 0
    samples: int = 0
    unserved: int = 0  # messages that still waited at the end
    hosts: int = 1

    def wait(self, share: float) -> float:
        """The waiting time that so large a share of the messages did not exceed."""
        return self.waits_at([share])[0]

    def waits_at(self, shares: Sequence[float]) -> list[float]:
        """The same for several shares."""
        return quantiles(self.waits, shares)

    @property
    def requests(self) -> int:
        """All that SQS counts, but the sending."""
        return self.receives + self.deletes + self.extends + self.samples

    @property
    def price(self) -> float:
        """Dollars for the requests."""
        return self.requests * PRICE


def quantiles(values: Sequence[float], shares: Sequence[float]) -> list[float]:
    """For each share the value that so large a part of them does not exceed; 0 without any."""
    ordered = sorted(values) or [0.0]
    return [ordered[min(len(ordered) - 1, int(share * len(ordered)))] for share in shares]
