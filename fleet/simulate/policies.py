"""How a pool is sized.

By fleet's own rule (core/sizing/rule.py), by the rule that it began as, or always at the most.
rivals.py has the rules of other systems.
"""

from dataclasses import dataclass
from math import ceil
from typing import Protocol

from fleet.core import polling
from fleet.core.depth import Depth
from fleet.core.records import replace
from fleet.core.sizing import rule, workload
from fleet.core.sizing.rule import GROWTH
from fleet.simulate.hosts import Host
from fleet.simulate.scenario import Scenario

JITTER = 0.25


@dataclass(frozen=True, slots=True)
class Observation:
    """What a policy decides on. `jitter`: a random number in [0, 1)."""

    host: Host
    depth: Depth
    now: float
    jitter: float


class SizingPolicy(Protocol):
    """Decides every `every` seconds, more or less by the share `jitter` of them.

    With `lone_polls` each worker polls for itself. `start`: the size to begin with.
    """

    name: str
    every: float
    jitter: float
    lone_polls: bool
    start: int

    def choose_size(self, observed: Observation) -> int:
        """The size that follows from a sample."""


class Fleet:
    """core/sizing/rule.py, as the pool asks it."""

    name = "fleet"
    jitter = JITTER
    lone_polls = False

    def __init__(self, scenario: Scenario) -> None:
        self.every, self.start = scenario.config.sample_interval, scenario.config.workers

    def choose_size(self, observed: Observation) -> int:
        """One sample, as core/pool/machine.py takes it."""
        host = observed.host
        host.polling = polling.note_sample(host.polling, observed.depth.visible, host.size)
        host.pass_time(observed.now)
        host.depth = observed.depth
        scene = host.scene(observed.now)
        host.sizing, size = rule.decide(
            host.sizing,
            [rule.only_part(host.work, observed.depth, scene, host.config)],
            scene,
            host.config,
            observed.now,
            observed.jitter,
        )
        return size


class Fixed:
    """Always as many as are allowed: what the maximum can reach at all."""

    name = "fixed at max"
    every = 1e9
    jitter = 0.0
    lone_polls = False

    def __init__(self, scenario: Scenario) -> None:
        self.start = scenario.config.most_workers

    def choose_size(self, observed: Observation) -> int:
        """The size that the pool has."""
        return observed.host.desired


class BusyPlusBacklog:
    """The rule that fleet's began as: workers for the busy ones, and for the backlog.

    need = busy + min(⌈v⌉, ⌈v × job seconds / target wait⌉), with the same steps, window and
    evidence as fleet's.
    """

    name = "busy + backlog"
    jitter = JITTER
    lone_polls = False

    def __init__(self, scenario: Scenario) -> None:
        self.every, self.start = scenario.config.sample_interval, scenario.config.workers
        self._needs: dict[Host, list[tuple[float, int]]] = {}

    def choose_size(self, observed: Observation) -> int:
        """One sample."""
        host, now = observed.host, observed.now
        host.polling = polling.note_sample(host.polling, observed.depth.visible, host.size)
        host.pass_time(now)
        host.depth = observed.depth
        scene, config = host.scene(now), host.config
        tight = not scene.spare and host.sizing.quick is not False
        need = scene.busy + (self._backlog(host, observed.depth) if tight else 0)
        kept = self._needs.get(host, [(now, scene.desired)])
        self._needs[host] = [(at, was) for at, was in kept if at > now - config.shrink_after] + [
            (now, need)
        ]
        host.sizing = replace(host.sizing, sampled_at=now, tight=tight, quick=None)
        lasting, step = max(was for _, was in self._needs[host]), max(GROWTH, scene.desired)
        if need > scene.desired and tight:
            return min(need, scene.desired + step, config.most_workers)
        if lasting < scene.desired and scene.size <= scene.desired:
            return max(
                lasting, scene.desired - max(GROWTH, scene.desired // 2), config.fewest_workers
            )
        return scene.desired

    @staticmethod
    def _backlog(host: Host, depth: Depth) -> int:
        seconds = workload.job_seconds(host.work, host.busy) or 0.0
        part = depth.visible * host.size / (host.size + max(0, depth.in_flight - host.busy))
        return min(ceil(part), ceil(part * seconds / host.config.target_wait))
