"""How long jobs take: a lognormal distribution with a mean and a coefficient of variation, seeded.

Lognormal, because job times are positive, skewed, and now and then very long; with variation 0 all
are the same.
"""

import math
import random
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Service:
    """Seconds a job takes on average, and its standard deviation in parts of that."""

    mean: float = 2.0
    variation: float = 1.0

    def draw(self, count: int, rng: random.Random) -> list[float]:
        """So many job times, in seconds."""
        if self.variation == 0:
            return [self.mean] * count
        variance = math.log(1 + self.variation**2)
        middle, width = math.log(self.mean) - variance / 2, math.sqrt(variance)
        return [math.exp(rng.gauss(middle, width)) for _ in range(count)]
