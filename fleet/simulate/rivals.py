"""How other systems size a pool, from their documentation, in our own words.

They get what their users would configure after measuring: the mean job time and the target wait
make the number of messages that one worker may have before it. None of them pays here for starting
a worker, or for a job that is cut short when a worker goes; in truth they would.
"""

from collections.abc import Callable
from math import ceil

from fleet.simulate.policies import BusyPlusBacklog, Fixed, Fleet, Observation, SizingPolicy
from fleet.simulate.scenario import Scenario


def _messages_a_worker(scenario: Scenario) -> float:
    return max(1.0, scenario.config.target_wait / scenario.service.mean)


class Keda:
    """KEDA's SQS scaler with the Kubernetes horizontal pod autoscaler.

    The scaler counts visible and in flight messages. Every 15 s the autoscaler wants count /
    queueLength pods, unless that is within a tenth of what there is; it adds at most 4 or as many
    as there are, whichever is more, and goes down to the largest number that it wanted in 300 s.
    """

    name = "KEDA + HPA"
    every = 15.0
    jitter = 0.0
    lone_polls = True

    def __init__(self, scenario: Scenario) -> None:
        self.start = scenario.config.workers
        self._length = _messages_a_worker(scenario)
        self._wanted: list[tuple[float, int]] = [(0.0, scenario.config.workers)]

    def choose_size(self, observed: Observation) -> int:
        """The autoscaler's next number of pods."""
        before, config = observed.host.desired, observed.host.config
        pods = (observed.depth.visible + observed.depth.in_flight) / self._length
        wanted = before if abs(pods / before - 1) <= 0.1 else ceil(pods)
        wanted = max(config.fewest_workers, min(config.most_workers, wanted))
        self._wanted = [(at, size) for at, size in self._wanted if at > observed.now - 300.0] + [
            (observed.now, wanted)
        ]
        if wanted >= before:
            return min(wanted, before + max(4, before))
        return min(before, max(size for _, size in self._wanted))


class TargetTracking:
    """AWS target tracking on the backlog per instance, a metric that comes every minute.

    Out: when three minutes in a row were above the target, in proportion. In: when fifteen minutes
    in a row were a tenth below it, in proportion, but carefully: by a quarter at most.
    """

    name = "target tracking"
    every = 60.0
    jitter = 0.0
    lone_polls = True

    def __init__(self, scenario: Scenario) -> None:
        self.start = scenario.config.workers
        self._target = _messages_a_worker(scenario)
        self._above = self._below = 0

    def choose_size(self, observed: Observation) -> int:
        """The size that the alarms lead to."""
        before, config = observed.host.desired, observed.host.config
        ratio = observed.depth.visible / before / self._target
        self._above = self._above + 1 if ratio > 1 else 0
        self._below = self._below + 1 if ratio < 0.9 else 0
        size = before
        if self._above >= 3:
            size = ceil(before * ratio)
        elif self._below >= 15:
            size, self._below = max(ceil(before * ratio), before - max(1, before // 4)), 0
        return max(config.fewest_workers, min(config.most_workers, size))


class Horizon:
    """Laravel Horizon's balancing by time, on its only queue.

    A queue's part of the processes is its part of all queues' time to clear: with one queue all of
    them while anything waits, and the fewest when nothing does. One process more or fewer every
    three seconds.
    """

    name = "Horizon, time"
    every = 3.0
    jitter = 0.0
    lone_polls = True

    def __init__(self, scenario: Scenario) -> None:
        self.start = scenario.config.workers

    def choose_size(self, observed: Observation) -> int:
        """One step towards all or the fewest."""
        before, config = observed.host.desired, observed.host.config
        aim = config.most_workers if observed.depth.visible else config.fewest_workers
        return before + (aim > before) - (aim < before)


POLICIES: dict[str, Callable[[Scenario], SizingPolicy]] = {
    "fleet": Fleet,
    "sum": BusyPlusBacklog,
    "keda": Keda,
    "aws": TargetTracking,
    "horizon": Horizon,
    "max": Fixed,
}
