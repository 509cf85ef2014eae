"""Settings → the record that the pool works by. The only place where one is made of the other."""

from dataclasses import fields
from math import inf

from fleet.core.config import Config
from fleet.options.settings import Settings

ENDLESS = ("starve_after", "job_timeout", "max_seconds")  # without a value there is no limit


def config_of(chosen: Settings) -> Config:
    """What the options say, under the same names."""
    values = {each.name: getattr(chosen, each.name) for each in fields(Config)}
    for name in ENDLESS:
        if values[name] is None:
            values[name] = inf
    return Config(**values)
