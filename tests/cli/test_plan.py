"""What `fleet start` tells every process of the pool."""

from typing import Any

import pytest

from fleet.cli import new_pool
from fleet.cli.chosen import load
from fleet.cli.failure import CommandFailed
from fleet.core.exit_codes import USAGE
from fleet.core.protocol import Plan

TOPIC = "arn:aws:sns:eu-central-1:123456789012:" + 42 * "t"


def plan_of(**given: Any) -> Plan:
    chosen = load({"queue": "jobs", **given}, "app:job").settings
    return new_pool._plan(chosen, "app:job", "jobs", None)


def test_the_pools_options_are_its_only_queues() -> None:
    plan = plan_of(wait_time=4.0)
    (queue,) = plan.queues
    assert (queue.queue, queue.app, queue.config.wait_time) == ("jobs", "app:job", 4.0)
    assert queue.config is plan.config


def test_options_that_no_process_could_be_told_are_refused() -> None:
    plan_of(sns_topic=[TOPIC] * 700)
    with pytest.raises(CommandFailed, match="give fewer --sns-topic") as caught:
        plan_of(sns_topic=[TOPIC] * 900)
    assert caught.value.code == USAGE
