"""A simulated queue: messages wait, are hidden, come back; its counts lag and err.

SQS documents its three counts as approximate: they are sums over many machines that agree only
about a minute after the last change. So a count is that of a moment ago, by up to a minute and
mostly by seconds, and a few per cent off; each count of a sample for itself.
"""

import random
from collections import deque

LONGEST_LAG = 60
MEAN_LAG = 10.0  # seconds
ERROR = 0.05  # standard deviation of a count, as a part of it

Message = int


class SimulatedQueue:
    """`waiting` holds (since when, message), oldest first."""

    def __init__(self) -> None:
        self.waiting: deque[tuple[float, Message]] = deque()
        self.in_flight = 0
        self._past: deque[tuple[int, int]] = deque(maxlen=LONGEST_LAG + 1)  # newest first

    def remember_second(self) -> None:
        """Note at the end of a second what there is: counts are of the past."""
        self._past.appendleft((len(self.waiting), self.in_flight))

    def counts(self, rng: random.Random) -> tuple[int, int]:
        """(visible, in flight), as SQS would tell them."""
        return self._approximate(0, rng), self._approximate(1, rng)

    def _approximate(self, which: int, rng: random.Random) -> int:
        if not self._past:
            return 0
        lag = int(min(LONGEST_LAG, rng.expovariate(1 / MEAN_LAG)))
        then = self._past[min(lag, len(self._past) - 1)][which]
        return max(0, round(then * rng.gauss(1.0, ERROR))) if then else 0
