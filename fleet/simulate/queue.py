"""A queue on paper: messages wait, are hidden, come back; what its counts say lags and errs.

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


class Queue:
    """What waits is (since when, message), oldest first."""

    def __init__(self) -> None:
        self.waiting: deque[tuple[float, Message]] = deque()
        self.in_flight = 0
        self._past: deque[tuple[int, int]] = deque(maxlen=LONGEST_LAG + 1)  # newest first

    def second(self) -> None:
        """A second has passed: remember what there was."""
        self._past.appendleft((len(self.waiting), self.in_flight))

    def counts(self, chance: random.Random) -> tuple[int, int]:
        """(visible, in flight), as somebody who asks is told."""
        return self._told(0, chance), self._told(1, chance)

    def _told(self, which: int, chance: random.Random) -> int:
        if not self._past:
            return 0
        lag = int(min(LONGEST_LAG, chance.expovariate(1 / MEAN_LAG)))
        then = self._past[min(lag, len(self._past) - 1)][which]
        return max(0, round(then * chance.gauss(1.0, ERROR))) if then else 0
