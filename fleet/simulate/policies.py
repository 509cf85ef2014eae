"""Who decides the size: fleet's own rule out of core/scaling.py, or always the most. rivals.py has the others."""

from dataclasses import dataclass
from typing import Protocol

from fleet.core import polling, scaling
from fleet.core.depth import Depth
from fleet.simulate.hosts import Host
from fleet.simulate.scenario import Scenario

JITTER = 0.25


@dataclass(frozen=True, slots=True)
class Glance:
    """What a policy decides on; `luck` in [0, 1)."""

    host: Host
    depth: Depth
    now: float
    luck: float


class Policy(Protocol):
    """Decides every `every` seconds, jittered. With `lone_polls` each worker polls for itself."""

    name: str
    every: float
    jitter: float
    lone_polls: bool
    start: int

    def size(self, seen: Glance) -> int:
        """The size that follows from a sample."""


class Fleet:
    """core/scaling.py, as the pool asks it."""

    name = "fleet"
    jitter = JITTER
    lone_polls = False

    def __init__(self, scenario: Scenario) -> None:
        self.every, self.start = scenario.bounds.interval, scenario.start

    def size(self, seen: Glance) -> int:
        """One sample, as core/pool.py takes it."""
        host = seen.host
        host.polling = polling.sampled(host.polling, seen.depth.visible, host.size)
        host.passed(seen.now)
        host.depth = seen.depth
        host.sizing, size = scaling.decide(
            host.sizing, seen.depth, host.scene(seen.now), host.bounds, seen.now, seen.luck
        )
        return size


class Fixed:
    """Always as many as are allowed: what the maximum can reach at all."""

    name = "fixed at max"
    every = 1e9
    jitter = 0.0
    lone_polls = False

    def __init__(self, scenario: Scenario) -> None:
        self.start = scenario.bounds.most

    def size(self, seen: Glance) -> int:
        """What there is."""
        return seen.host.desired
