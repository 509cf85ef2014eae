"""Signals as something to select on. Handlers do nothing; the byte in the pipe wakes the loop."""

import os
import signal
from collections.abc import Iterable
from types import FrameType

GROUP = (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM)


def nothing(_number: int, _frame: FrameType | None) -> None:
    """A handler that only makes the kernel interrupt what waits. Unlike SIG_IGN it is not inherited by exec."""


class Wakeup:
    """The read end of a pipe into which Python's C handler writes the number of every signal that came."""

    def __init__(self, caught: Iterable[signal.Signals]) -> None:
        self._read, self._write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(self._write, warn_on_full_buffer=False)
        for number in caught:
            signal.signal(number, nothing)

    def fileno(self) -> int:
        """The descriptor to select on."""
        return self._read

    def signals(self) -> set[int]:
        """The numbers that have come since the last call; signals of one kind merge, as in the kernel."""
        try:
            return set(os.read(self._read, 4096))
        except BlockingIOError:
            return set()


def forget_wakeup() -> None:
    """In a fork child: no longer write into the parent's pipe."""
    signal.set_wakeup_fd(-1)


def ignore_group_signals() -> None:
    """Let pass what a terminal or a supervisor sends to the whole group: helpers leave when they are told to.

    A handler, not SIG_IGN, so that a program which the app starts has the defaults.
    """
    for number in GROUP:
        signal.signal(number, nothing)


def ignore_for_good() -> None:
    """At the very end: a signal that is repeated must not change the exit status of what is done."""
    for number in GROUP:
        signal.signal(number, signal.SIG_IGN)
