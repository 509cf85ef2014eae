"""The health file: written in time, and never a reason to stop."""

import os
from pathlib import Path

from fleet.core.config import Config
from fleet.core.pool.state import new
from fleet.master.health_file import HealthFile
from fleet.system.clock import now
from tests.support.queues import one_queue


def test_a_health_file_that_cannot_be_one_hurts_nobody(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "health")
    for path in (str(tmp_path / "health"), "a\0b"):
        HealthFile(path).write(new(Config(1), one_queue()))


def test_without_a_health_file_the_master_does_not_wake_for_one() -> None:
    health = HealthFile(None)
    assert health.wakes_at() == float("inf")
    health.write(new(Config(1), one_queue()))
    assert health.wakes_at() == float("inf")


def test_with_one_it_does_in_time(tmp_path: Path) -> None:
    health = HealthFile(str(tmp_path / "health"))
    before = now()
    assert health.wakes_at() <= before
    health.write(new(Config(1), one_queue()))
    assert before < health.wakes_at() <= now() + 4.5
    (tmp_path / "health").unlink()
    health.write(new(Config(1), one_queue()))
    assert not (tmp_path / "health").exists(), "it was not due"
    health.write(new(Config(1), one_queue()), last=True)
    assert (tmp_path / "health").exists()
