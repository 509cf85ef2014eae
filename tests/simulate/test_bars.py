"""What the rule must reach, with the options' defaults and one set of parameters for all shapes."""

import pytest

from fleet.core.config import Config
from fleet.simulate import optimum, traces
from fleet.simulate.policies import Fixed, Fleet
from fleet.simulate.results import Result
from fleet.simulate.scenario import Load, Scenario
from fleet.simulate.service import Service
from fleet.simulate.traces import SHAPES, Trace
from fleet.simulate.world import World

TARGET = 60.0
CHEAP = ("steady", "burst", "diurnal")


def run(world: Scenario) -> tuple[Result, float]:
    """The run, and its worker-seconds as a multiple of the optimum's."""
    load = Load.of(world)
    result = World(world, load, Fleet(world)).run()
    return result, result.worker_seconds / optimum.of(world, load).worker_seconds


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in SHAPES if name != "diurnal"])
def test_the_wait_is_within_the_target_and_the_price_near_the_optimum(name: str) -> None:
    result, price = run(Scenario(traces.built_in(name, 1)))
    assert result.wait(0.95) <= TARGET
    if name in CHEAP:
        assert price <= 1.25


def test_a_day() -> None:
    """With a tenth of the messages, each ten times as long: the same load in less time."""
    result, price = run(Scenario(traces.built_in("diurnal", 1, scale=0.1), Service(20.0)))
    assert result.wait(0.95) <= TARGET
    assert price <= 1.25


def test_where_the_maximum_does_not_allow_it_the_pool_is_at_its_maximum() -> None:
    world = Scenario(traces.built_in("steady", 1), config=Config(min_workers=1, max_workers=16))
    load = Load.of(world)
    ours, most = (World(world, load, policy(world)).run() for policy in (Fleet, Fixed))
    assert most.wait(0.95) > TARGET
    assert ours.wait(0.95) <= most.wait(0.95) * 1.02
    assert ours.most == 16


@pytest.mark.parametrize("seconds", [20.0, 300.0])
def test_jobs_may_be_short_or_long(seconds: float) -> None:
    result, _ = run(Scenario(traces.built_in("burst", 1, scale=2.0 / seconds), Service(seconds)))
    assert result.wait(0.95) <= TARGET


def test_many_hosts_share_a_queue_without_overshooting() -> None:
    """Fifty of the thousand hosts of the documentation's table, for two hours around the climb."""
    hosts, seconds = 50, 60.0
    peak = 0.7 * 8 * hosts / seconds
    arrivals = traces.built_in("diurnal", 1, scale=peak / 15.0).arrivals[6 * 3600 : 8 * 3600]
    world = Scenario(
        Trace("climb", arrivals),
        Service(seconds),
        Config(min_workers=1, max_workers=8),
        hosts=hosts,
    )
    load = Load.of(world)
    limit, result = optimum.of(world, load), World(world, load, Fleet(world)).run()
    assert result.wait(0.95) <= TARGET
    assert result.most <= 1.2 * limit.most
    assert result.worker_seconds <= 1.2 * limit.worker_seconds
