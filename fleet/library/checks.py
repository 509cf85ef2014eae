"""Refuses what a caller of the library got wrong, before a message is taken.

A mistake of the caller's must not cost a message one of its attempts.
"""

from collections.abc import Callable, Sequence
from math import inf
from typing import Any

from fleet.core.config import LONGEST_VISIBILITY
from fleet.job import callables

MOST_WAIT = 20  # seconds: SQS's limit on a long poll


def check_times(
    *,
    visibility_timeout: float,
    wait_time: float | None,
    drain_timeout: float,
    exit_timeout: float,
    job_timeout: float | None,
    retry_delay: Sequence[float],
) -> None:
    """Raises ValueError for a number of seconds that is out of its bounds."""
    _check_seconds("visibility_timeout", visibility_timeout, 2, LONGEST_VISIBILITY)
    if wait_time is not None:
        _check_seconds("wait_time", wait_time, 0, MOST_WAIT)
    _check_seconds("drain_timeout", drain_timeout)
    _check_seconds("exit_timeout", exit_timeout)
    if job_timeout is not None:
        _check_seconds("job_timeout", job_timeout)
    for delay in retry_delay:
        _check_seconds("retry_delay", delay, 0, LONGEST_VISIBILITY)


def _check_seconds(name: str, value: float, least: float = 0, most: float = inf) -> None:
    if not least <= value <= most:
        right = (
            f"from {least:g} to {most:g} seconds" if most < inf else f"{least:g} seconds or more"
        )
        raise ValueError(f"{name} is {value!r}; it must be {right}")


def check_has_time(name: str, hook: object, exit_timeout: float) -> None:
    """Raises ValueError for a hook that `exit_timeout` (seconds) leaves no time to run."""
    if hook is not None and exit_timeout == 0:
        raise ValueError(f"exit_timeout is 0: {name} would never have time to run")


def check_callable(name: str, value: object) -> None:
    """Raises TypeError for what cannot be called, or would run none of its code when called."""
    if not callable(value):
        raise TypeError(f"{name} is of type {type(value).__name__}; it must be callable")
    if kind := callables.describe_lazy(value):
        raise TypeError(f"{name} is {kind}: calling it would run none of its code")


def check_optional_callables(**given: object) -> None:
    """As `check_callable`, for each one that is given at all."""
    for name, value in given.items():
        if value:
            check_callable(name, value)


def check_fit(job: Callable[..., object], args: Sequence[Any], kwargs: dict[str, Any]) -> None:
    """Raises TypeError for a job that cannot be called with a body and these further arguments."""
    if why := callables.describe_misfit(job, (((None, *args), kwargs),)):
        raise TypeError(
            f"job cannot be called with the message's body and what dispatch() was given: {why}"
        )
