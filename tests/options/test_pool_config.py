"""The pool's record of the options is the settings under the same names."""

from typing import Any

from fleet.core.config import Config
from fleet.options.pool_config import config_of
from fleet.options.sources import load


def made_of(**given: Any) -> Config:
    return config_of(load(given, {}, None, "app:job").settings)


def test_the_defaults_are_the_options_own() -> None:
    """The library and the tests construct a Config of their own, and need not repeat them."""
    assert made_of(queue="jobs", workers="3") == Config(workers=3, name="app:job@jobs")


def test_what_is_given_arrives() -> None:
    config = made_of(
        queue="jobs.fifo",
        starve_after="7",
        job_timeout="5",
        max_seconds="60",
        retry_delay="1,2",
        until_empty="yes",
    )
    assert config.starve_after == 7.0
    assert (config.job_timeout, config.max_seconds) == (5.0, 60.0)
    assert (config.retry_delay, config.until_empty) == ((1.0, 2.0), True)
    assert config.kills_on_lease_lost
