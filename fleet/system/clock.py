"""The clock: CLOCK_BOOTTIME, which counts while the host is suspended.

So a host that wakes up knows which leases it has lost.
"""

import time

_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def now() -> float:
    """Seconds since the host booted. The same for all processes of the host."""
    return time.clock_gettime(_CLOCK)
