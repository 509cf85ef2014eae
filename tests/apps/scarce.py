"""An app in whose processes no fork succeeds while the file "scarce" exists, as on a host that is
full.
"""

import errno
import os
import signal
from collections.abc import Iterable

from jobs import SHARED, job

from fleet.system import processes

fork_blocked = processes.fork_blocked


def scarce_fork(held_back: Iterable[signal.Signals] = processes.HELD_BACK) -> int:
    if (SHARED / "scarce").exists():
        raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
    return fork_blocked(held_back)


processes.fork_blocked = scarce_fork

__all__ = ["job"]
