"""A world for every test, whose clock, chance and log stand in for the real ones."""

import pytest

from fleet.core.delivery import Delivery, Rules
from fleet.core.queue import Message
from fleet.dispatcher import batch, delivery_log, process, requests, runner, user_processes
from fleet.dispatcher.runner import DeliveryRunner
from tests.support.dispatcher_world import MESSAGE, World


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    """The world, installed."""
    world = World()
    world.install(monkeypatch, batch, runner, process, delivery_log, requests, user_processes)
    return world


def deliver(world: World, rules: Rules | None = None, message: Message = MESSAGE) -> DeliveryRunner:
    """Not begun."""
    world.time = 1.0
    return DeliveryRunner(world.context(rules), message, 0.0)


def run(world: World, rules: Rules | None = None, message: Message = MESSAGE) -> Delivery:
    """To its end."""
    return deliver(world, rules, message).run()
