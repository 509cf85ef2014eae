"""The pool's record of the options is the settings under the same names."""

from dataclasses import replace
from math import inf
from typing import Any

import pytest

from fleet.core.config import Config
from fleet.options.pool_config import config_of
from fleet.options.sources import load


def made_of(**given: Any) -> Config:
    return config_of(load(given, {}, None, "app:job").settings)


def test_the_defaults_are_the_options_own() -> None:
    """So that what constructs a Config of its own, the library and the tests, need not repeat them."""
    assert made_of(queue="jobs", workers="3") == Config(workers=3, name="app:job@jobs")


def test_what_is_given_arrives() -> None:
    config = made_of(
        queue="jobs.fifo", job_timeout="5", max_seconds="60", retry_delay="1,2", until_empty="yes"
    )
    assert (config.job_timeout, config.max_seconds) == (5.0, 60.0)
    assert (config.retry_delay, config.until_empty) == ((1.0, 2.0), True)
    assert config.kills_on_lease_lost


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
