"""What `fleet start` tells every process of the pool."""

from math import inf
from pathlib import Path
from typing import Any

import pytest

from fleet.cli import new_pool
from fleet.cli.chosen import load
from fleet.cli.failure import CommandFailed
from fleet.core.exit_codes import USAGE
from fleet.core.protocol import Plan

TOPIC = "arn:aws:sns:eu-central-1:123456789012:" + 42 * "t"


def plan_of(**given: Any) -> Plan:
    loaded = load({"queue": "jobs", **given}, "app:job")
    return new_pool._plan(loaded.settings, loaded.make_queues("app:job"), None)


def test_the_pools_options_are_its_only_queues() -> None:
    plan = plan_of(wait_time=4.0)
    (queue,) = plan.queues
    assert (queue.queue, queue.app, queue.config.wait_time) == ("jobs", "app:job", 4.0)
    assert queue.config is plan.config


def test_a_queue_without_options_of_its_own_has_the_pools_own_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("fleet.toml").write_text("[[queue]]\nname = 'low'\nlimit = 2\nwait_time = 3")
    high, low, last = plan_of(queue=["high", "low", "last"], wait_time=4.0).queues
    assert (low.limit, low.config.wait_time) == (2, 3.0)
    assert high.config is last.config
    assert (high.limit, high.config.wait_time) == (inf, 4.0)


def test_options_that_no_process_could_be_told_are_refused() -> None:
    plan_of(body="sns", sns_topic=[TOPIC] * 700)
    with pytest.raises(CommandFailed, match="give fewer --sns-topic") as caught:
        plan_of(body="sns", sns_topic=[TOPIC] * 900)
    assert caught.value.code == USAGE
