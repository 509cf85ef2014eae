"""A world for every test, whose clock, luck and log stand in for the real ones."""

import pytest

from fleet import batch, delivering, dispatcher, telling
from fleet.core.delivery import Delivery, Rules
from fleet.core.messages import Plan
from fleet.core.queue import Message
from fleet.delivering import Delivering
from tests.support.workbench import MESSAGE, PLAN, World


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    """The world, installed."""
    world = World()
    world.install(monkeypatch, batch, delivering, dispatcher, telling)
    return world


def deliver(world: World, rules: Rules | None = None, message: Message = MESSAGE, plan: Plan = PLAN) -> Delivering:
    """Not begun."""
    world.time = 1.0
    return Delivering(world.bench(plan, rules), message, 0.0)


def run(world: World, rules: Rules | None = None, message: Message = MESSAGE, plan: Plan = PLAN) -> Delivery:
    """To its end."""
    return deliver(world, rules, message, plan).run()
