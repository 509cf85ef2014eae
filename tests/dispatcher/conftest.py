"""A world for every test, whose clock, luck and log stand in for the real ones."""

import pytest

from fleet.core.delivery.machine import Delivery, Rules
from fleet.core.protocol import Plan
from fleet.core.queue import Message
from fleet.dispatcher import batch, delivery_log, process, runner
from fleet.dispatcher.runner import Delivering
from tests.support.workbench import MESSAGE, PLAN, World


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    """The world, installed."""
    world = World()
    world.install(monkeypatch, batch, runner, process, delivery_log)
    return world


def deliver(
    world: World, rules: Rules | None = None, message: Message = MESSAGE, plan: Plan = PLAN
) -> Delivering:
    """Not begun."""
    world.time = 1.0
    return Delivering(world.bench(plan, rules), message, 0.0)


def run(
    world: World, rules: Rules | None = None, message: Message = MESSAGE, plan: Plan = PLAN
) -> Delivery:
    """To its end."""
    return deliver(world, rules, message, plan).run()
