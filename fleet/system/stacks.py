"""What a process does at this moment, told even by one that hangs: SIGUSR2 has it write its stack into memory.

The handler is C (faulthandler), so it needs no turn of the interpreter. It writes into a memfd of the process's own,
which the master reads through /proc: so no two stacks mix, and none breaks the lines of a JSON log.
"""

import contextlib
import faulthandler
import fcntl
import os
import signal
from pathlib import Path

_NAME = "fleet-stack"
_OPEN = f"/memfd:{_NAME} (deleted)"
_fd = -1


def keep(*, chain: bool = False) -> None:
    """Be ready to write our stack, now and in place of a parent's. `chain`: then wake our loop as well."""
    global _fd
    drop()
    with contextlib.suppress(OSError):  # no descriptor to be had: then there is no stack to be seen
        _fd = os.memfd_create(_NAME, os.MFD_CLOEXEC)
        fcntl.fcntl(_fd, fcntl.F_SETFL, os.O_APPEND)
        faulthandler.register(signal.SIGUSR2, file=_fd, chain=chain)


def drop() -> None:
    """SIGUSR2 as it was before; in a fork child the memory is its parent's."""
    global _fd
    faulthandler.unregister(signal.SIGUSR2)
    if _fd >= 0:
        os.close(_fd)
        _fd = -1


def forget(pid: int) -> None:
    """What a process has written so far is old."""
    with contextlib.suppress(OSError):
        os.truncate(_path(pid), 0)


def read(pid: int) -> str:
    """What it has written since; empty for one that did not get to it."""
    try:
        return _path(pid).read_text(errors="replace").strip()
    except OSError:
        return ""


def _path(pid: int) -> Path:
    """Raises FileNotFoundError."""
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(OSError):
            if os.readlink(entry) == _OPEN:  # noqa: PTH115 - no path that leads anywhere
                return entry
    raise FileNotFoundError(pid)
