"""What a process does at this moment: on a signal it writes its stack into memory of its own.

The memory is a memfd, which the master reads through /proc: so no two stacks mix, and none breaks
the lines of a JSON log. Two signals ask for it. SHOW is answered by the interpreter when it gets to
it, and can hurt no process. INSIST is answered in C, by a process that hangs too; it walks frames
that may be half made when it comes, so it is only for a process that is about to be killed.

docs/decisions/0024 has the reasons.
"""

import contextlib
import faulthandler
import fcntl
import os
import signal
from types import FrameType

from fleet.system import pseudo_files, signals

SHOW, INSIST = signal.SIGUSR2, signal.SIGRTMIN + 5

_NAME = "fleet-stack"
_LINK = f"/memfd:{_NAME} (deleted)"  # what /proc/PID/fd shows of the memory
_fd = -1


def enable() -> None:
    """Be ready to write our stack, from now on and in place of a parent's."""
    global _fd
    disable()
    with contextlib.suppress(OSError):  # no descriptor to be had: then there is no stack to be seen
        _fd = os.memfd_create(_NAME, os.MFD_CLOEXEC)
        fcntl.fcntl(_fd, fcntl.F_SETFL, os.O_APPEND)
        faulthandler.register(INSIST, file=_fd)
        if not faulthandler.is_enabled():
            signals.drop_signal_stack()
    signal.signal(SHOW, write_stack)


def disable() -> None:
    """Write no stack any more; in a fork child the memory is its parent's."""
    global _fd
    faulthandler.unregister(INSIST)
    if _fd >= 0:
        os.close(_fd)
        _fd = -1


def write_stack(_number: int, _frame: FrameType | None) -> None:
    """The handler of SHOW: write down what the signal has interrupted."""
    if _fd >= 0:
        with contextlib.suppress(OSError, RuntimeError, ValueError):
            faulthandler.dump_traceback(_fd)


def is_enabled(pid: int) -> bool:
    """Whether the process writes its stack when it is asked to."""
    try:
        return bool(_path(pid))
    except OSError:
        return False


def clear(pid: int) -> None:
    """Drop what a process has written so far: it is old."""
    with contextlib.suppress(OSError):
        os.truncate(_path(pid), 0)


def read(pid: int) -> str:
    """What a process has written since; empty if it did not get to it."""
    try:
        return pseudo_files.read_text(_path(pid)).strip()
    except OSError:
        return ""


def _path(pid: int) -> str:
    """Where the memory of a process can be opened. Raises FileNotFoundError."""
    directory = f"/proc/{pid}/fd"
    for fd in pseudo_files.list_numbers(directory):
        with contextlib.suppress(OSError):
            if os.readlink(f"{directory}/{fd}") == _LINK:  # noqa: PTH115 - it leads nowhere
                return f"{directory}/{fd}"
    raise FileNotFoundError(pid)
