"""The others' rules, one decision after the other."""

from fleet.core.config import Config
from fleet.core.depth import Depth
from fleet.core.sizing.workload import Workload
from fleet.simulate.hosts import Host
from fleet.simulate.policies import BusyPlusBacklog, Fixed, Observation, SizingPolicy
from fleet.simulate.rivals import Horizon, Keda, TargetTracking
from fleet.simulate.scenario import Scenario
from fleet.simulate.service import Service
from fleet.simulate.traces import Trace

# Thirty messages a worker.
WORLD = Scenario(Trace("none", [0]), Service(2.0), Config(min_workers=1, max_workers=64))


def sizes(policy: SizingPolicy, *samples: tuple[int, int], start: int = 1) -> list[int]:
    """The size after each sample of (visible, in flight)."""
    host = Host(start, WORLD.config, lone_polls=True)
    found = []
    for index, sample in enumerate(samples):
        host.resize(
            policy.choose_size(Observation(host, Depth(*sample), index * policy.every, 0.0))
        )
        host.retire()
        found.append(host.desired)
    return found


def test_keda_grows_by_doubling_to_its_part_of_all_messages() -> None:
    assert sizes(Keda(WORLD), *[(590, 10)] * 5) == [5, 10, 20, 20, 20]


def test_the_autoscaler_lets_a_tenth_pass() -> None:
    assert sizes(Keda(WORLD), (320, 0), start=10) == [10]
    assert sizes(Keda(WORLD), (340, 0), start=10) == [12]


def test_the_autoscaler_goes_down_to_the_most_it_wanted_in_five_minutes() -> None:
    shrinking = sizes(Keda(WORLD), (300, 0), *[(0, 0)] * 21, start=10)
    assert shrinking == [10] * 20 + [1, 1]


def test_target_tracking_waits_for_three_minutes_and_then_grows_in_proportion() -> None:
    assert sizes(TargetTracking(WORLD), *[(300, 0)] * 4) == [1, 1, 10, 10]


def test_target_tracking_waits_for_fifteen_minutes_and_then_shrinks_by_a_quarter() -> None:
    assert sizes(TargetTracking(WORLD), *[(0, 0)] * 16, start=8) == [8] * 14 + [6, 6]


def test_horizon_moves_one_step_towards_all_or_the_fewest() -> None:
    assert sizes(Horizon(WORLD), (1, 0), (1, 0), (0, 5), (0, 0), (0, 0)) == [2, 3, 2, 1, 1]


def test_fixed_stays() -> None:
    assert Fixed(WORLD).start == 64
    assert sizes(Fixed(WORLD), (1000, 0), (0, 0), start=64) == [64, 64]


def test_the_first_rule_adds_the_backlog_to_what_is_busy() -> None:
    host = Host(4, WORLD.config, lone_polls=False)
    host.idle, host.busy = 0, 4
    host.work = Workload(worked=200.0, finished=100)

    def size(visible: int, in_flight: int) -> int:
        depth = Depth(visible, in_flight)
        return BusyPlusBacklog(WORLD).choose_size(Observation(host, depth, 0.0, 0.0))

    assert size(90, 4) == 4 + 3
    assert size(2, 4) == 4 + 1
    assert size(90, 8) == 4 + 2, "another host has four of the messages in flight"
