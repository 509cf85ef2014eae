"""An app in whose processes no fork succeeds while the file "scarce" exists, as on a host that is full."""

import errno
import os

from jobs import SHARED, job

fork = os.fork


def scarce_fork() -> int:
    if (SHARED / "scarce").exists():
        raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
    return fork()


os.fork = scarce_fork

__all__ = ["job"]
