"""What is the same for every policy.

The trace, the jobs, the options, and the messages drawn from them.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field

from fleet.core.config import Config
from fleet.simulate.queue import Message
from fleet.simulate.service import Service
from fleet.simulate.traces import Trace


@dataclass(frozen=True, slots=True)
class Scenario:
    """All but the policy. `receives`: how often a message that always fails is delivered."""

    trace: Trace
    service: Service = field(default_factory=Service)
    config: Config = field(default_factory=lambda: Config(min_workers=1, max_workers=64))
    hosts: int = 1
    receives: int = 3
    seed: int = 1


@dataclass(frozen=True, slots=True)
class Load:
    """The scenario's messages: when each arrives, how long its job takes, which fail."""

    arrivals: Sequence[float]
    seconds: Sequence[float]
    failing: frozenset[Message]

    @classmethod
    def of(cls, scenario: Scenario) -> "Load":
        """Drawn from the scenario's seed: the same for all policies."""
        trace, rng = scenario.trace, random.Random(f"{scenario.seed} {scenario.trace.name} load")
        arrivals = [
            second + part
            for second, count in enumerate(trace.arrivals)
            for part in sorted(rng.random() for _ in range(count))
        ]
        seconds = scenario.service.draw(len(arrivals), rng)
        bad = (
            (message for message in range(len(arrivals)) if rng.random() < trace.failing)
            if trace.failing
            else ()
        )
        return cls(arrivals, seconds, frozenset(bad))
