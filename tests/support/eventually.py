"""Waiting in tests: the one place that polls, so that no test ever sleeps for a while and hopes."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

PATIENCE = 30.0
"""Seconds after which a thing is taken as not happening; generous, since only failures wait for it.
"""

PROBE_INTERVAL = 0.02


def eventually(
    probe: Callable[[], T], timeout: float = PATIENCE, what: str | Callable[[], str] = ""
) -> T:
    """Call `probe` until its answer is true and return that answer.

    Raises AssertionError with the last answer after `timeout` seconds.
    """
    deadline = time.monotonic() + timeout
    while True:
        answer = probe()
        if answer:
            return answer
        if time.monotonic() >= deadline:
            told = what() if callable(what) else what or repr(probe)
            raise AssertionError(
                f"not within {timeout:g} s: {told}; the last answer was {answer!r}"
            )
        time.sleep(PROBE_INTERVAL)


def let_pass(seconds: float) -> None:
    """Return `seconds` later.

    It is only for rules that are about time, such as a second Ctrl-C within a second.
    """
    until = time.monotonic() + seconds
    eventually(lambda: time.monotonic() >= until, timeout=seconds + PATIENCE)
