"""An app in whose processes no fork succeeds while the file "scarce" exists, as on a host that is
full.
"""

import errno
import os
from collections.abc import Iterable

from jobs import SHARED, job

from fleet.system import processes, signals

real_fork = processes.fork_with_signals_blocked


def scarce_fork(blocked: Iterable[int] = signals.BLOCKED_AT_FORK) -> int:
    if (SHARED / "scarce").exists():
        raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
    return real_fork(blocked)


processes.fork_with_signals_blocked = scarce_fork

__all__ = ["job"]
