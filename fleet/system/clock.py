"""The clocks: CLOCK_BOOTTIME, which counts while the host is suspended, and the time of day.

So a host that wakes up knows which leases it has lost.
"""

import time
from functools import partial

_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


now = partial(time.clock_gettime, _CLOCK)
"""Seconds since the host booted. The same for all processes of the host."""


def timestamp(digits: int) -> str:
    """The time of day in UTC, in ISO 8601, with so many digits of a second, at most 9.

    `datetime` says the same: a module that every forked process would carry.
    """
    seconds, rest = divmod(time.time_ns(), 1_000_000_000)
    day_and_time = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
    return f"{day_and_time}.{f'{rest:09}'[:digits]}+00:00"
