"""The simulation itself: what it conserves, and cases that can be reckoned by hand."""

import random
from dataclasses import replace
from itertools import pairwise

import pytest

from fleet.core.config import Config
from fleet.simulate import optimum, traces
from fleet.simulate.policies import Fixed, Fleet
from fleet.simulate.queue import LONGEST_LAG, SimulatedQueue
from fleet.simulate.results import PRICE, Result
from fleet.simulate.rivals import POLICIES
from fleet.simulate.scenario import Load, Scenario
from fleet.simulate.service import Service
from fleet.simulate.traces import SHAPES, Trace
from fleet.simulate.world import LATENCY, World

SAME = Service(2.0, variation=0.0)


def scenario(
    *arrivals: int, most: int = 4, service: Service = SAME, failing: float = 0.0
) -> Scenario:
    return Scenario(
        Trace("test", arrivals, failing), service, Config(min_workers=1, max_workers=most)
    )


def fixed(world: Scenario) -> Result:
    """The world with as many workers as it allows."""
    return World(world, Load.of(world), Fixed(world)).run()


def shape(name: str, seed: int = 1) -> tuple[Scenario, Load]:
    """A tenth of the messages, each ten times as long."""
    world = Scenario(traces.built_in(name, seed, scale=0.1), Service(20.0), seed=seed)
    return world, Load.of(world)


# By hand.


def test_workers_that_are_always_there_cost_their_number_times_the_time() -> None:
    assert fixed(scenario(*[0] * 100)).worker_seconds == pytest.approx(4 * 100)


def test_a_message_on_an_idle_pool_does_not_wait() -> None:
    result = fixed(scenario(1, *[0] * 9))
    assert list(result.waits) == [0.0]
    assert result.deletes == 1


def test_five_messages_at_once_on_one_worker_wait_for_each_other() -> None:
    world = scenario(5, *[0] * 19, most=1)
    begun = [
        came + wait for came, wait in zip(Load.of(world).arrivals, fixed(world).waits, strict=True)
    ]
    assert [after - before for before, after in pairwise(begun)] == pytest.approx(
        [2.0 + LATENCY] * 4
    )


def test_what_is_not_served_by_the_end_is_said() -> None:
    result = fixed(scenario(20, *[0] * 9, most=1))
    assert (len(result.waits), result.unserved) == (5, 15)


def test_an_idle_pool_polls_once_per_wait_time_however_many_its_workers() -> None:
    one, many = (fixed(scenario(*[0] * 1000, most=most)).receives for most in (1, 64))
    assert one == many == 100


def test_a_message_that_always_fails_is_received_as_often_as_allowed() -> None:
    result = fixed(scenario(1, *[0] * 199, failing=1.0))
    assert (len(result.waits), result.deletes, result.unserved) == (3, 0, 0)


def test_a_long_job_pays_for_its_extensions() -> None:
    assert fixed(scenario(1, *[0] * 199, service=Service(100.0, 0.0))).extends == 1 + int(
        (100 - 20 / 3) / 20
    )


def test_requests_have_a_price() -> None:
    result = fixed(scenario(1, *[0] * 99))
    assert result.requests == result.receives + result.deletes + result.extends + result.samples
    assert result.price == pytest.approx(result.requests * PRICE)


# Whatever the policy.


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("name", ["spike", "on-off", "poison"])
def test_no_message_is_lost_and_none_doubled(name: str, policy: str) -> None:
    world, load = shape(name)
    result = World(world, load, POLICIES[policy](world)).run()
    deliveries = len(load.arrivals) + (world.receives - 1) * len(load.failing)
    late = sum(load.arrivals[message] > world.trace.seconds - 300 for message in load.failing)
    # Those are still to be seen again.
    assert 0 <= deliveries - len(result.waits) - result.unserved <= 2 * late
    assert min(result.waits) >= 0
    assert sum(load.seconds) * 0.95 <= result.worker_seconds <= 64 * world.trace.seconds


def test_the_same_seed_is_the_same_run() -> None:
    world, load = shape("on-off")
    one, other = (World(world, load, Fleet(world)).run() for _ in range(2))
    assert one == other
    assert World(replace(world, seed=2), load, Fleet(world)).run() != one


def test_job_times_have_the_mean_and_the_spread_that_was_asked_for() -> None:
    _, load = shape("steady")
    mean = sum(load.seconds) / len(load.seconds)
    assert mean == pytest.approx(20.0, rel=0.05)
    spread = (sum((seconds - mean) ** 2 for seconds in load.seconds) / len(load.seconds)) ** 0.5
    assert spread == pytest.approx(20.0, rel=0.15)


# The counts.


def test_counts_lag_and_err_around_the_truth() -> None:
    queue, rng = SimulatedQueue(), random.Random(1)
    assert queue.counts(rng) == (0, 0)
    for _ in range(LONGEST_LAG + 1):
        queue.remember_second()
    queue.waiting.extend((0.0, message) for message in range(1000))
    queue.remember_second()
    told = [queue.counts(rng)[0] for _ in range(300)]
    assert 0 < sum(count > 0 for count in told) < 100  # a second after the change few know of it
    for _ in range(LONGEST_LAG):
        queue.remember_second()
    told = [queue.counts(rng)[0] for _ in range(300)]
    assert min(told) > 800
    assert sum(told) / len(told) == pytest.approx(1000, rel=0.02)
    assert len(set(told)) > 50


# The limit.


def test_the_optimum_is_the_work_itself_when_there_is_always_some() -> None:
    world = scenario(*[10] * 600, most=64)
    limit = optimum.of(world, Load.of(world))
    work = 10 * (2.0 + LATENCY)
    # The last minute's is still to come.
    assert limit.worker_seconds == pytest.approx(work * 600, rel=0.11)
    assert limit.most == pytest.approx(work, abs=2)


def test_the_optimum_is_the_fewest_workers_when_there_is_nothing_to_do() -> None:
    world = scenario(*[0] * 600)
    assert optimum.of(world, Load.of(world)).worker_seconds == 600


@pytest.mark.parametrize("name", [name for name in SHAPES if name != "diurnal"])
def test_nobody_who_keeps_the_target_does_with_less(name: str) -> None:
    world, load = shape(name)
    result = World(world, load, Fleet(world)).run()
    assert result.worker_seconds >= optimum.of(world, load).worker_seconds * 0.99
