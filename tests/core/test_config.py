"""What follows from options."""

from dataclasses import replace
from math import inf

import pytest

from fleet.core.config import Config


def test_a_pool_that_ends_when_its_queue_is_empty_samples_twice_in_that_time() -> None:
    config = Config(until_empty=True, empty_for=4.0, depth_interval=15.0)
    assert config.sample_interval == 2.0
    assert replace(config, depth_interval=1.0).sample_interval == 1.0
    assert replace(config, until_empty=False).sample_interval == 15.0


@pytest.mark.parametrize(
    ("config", "bounds"),
    [
        (Config(4), None),
        (Config(4, max_workers=8), (4, 8)),
        (Config(4, min_workers=2), (2, 4)),
        (Config(4, min_workers=2, max_workers=8), (2, 8)),
    ],
)
def test_a_bound_that_is_not_given_is_the_size(
    config: Config, bounds: tuple[int, int] | None
) -> None:
    assert config.bounds == bounds


def test_a_pool_that_ends_by_itself_gives_jobs_their_own_time() -> None:
    assert Config(drain_timeout=30.0, job_timeout=inf).own_drain == 30.0
    assert Config(drain_timeout=30.0, job_timeout=5.0).own_drain == 30.0
    assert Config(drain_timeout=30.0, job_timeout=600.0).own_drain == 600.0
