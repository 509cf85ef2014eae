"""Signals as something to select on. Handlers do nothing; the byte in the pipe wakes the loop."""

import _signal  # see processes.py: in a job the enums of `signal` are page faults
import contextlib
import ctypes
import os
import signal
from collections.abc import Callable, Iterable
from types import FrameType
from typing import Any

_libc = ctypes.CDLL(None, use_errno=True)
_SIGACTION = 512  # bytes: more than any struct sigaction has
GROUP = (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM)
# What means something to the master, or to nobody, and would end or stop a process that does not
# expect it.
HARMLESS = (signal.SIGUSR1, signal.SIGUSR2, signal.SIGALRM, signal.SIGTTIN, signal.SIGTTOU)

_the_apps: dict[int, Any] = {}  # handlers that the app has set at its import


def nothing(_number: int, _frame: FrameType | None) -> None:
    """A handler that only makes the kernel interrupt what waits. Unlike SIG_IGN it is not inherited
    by exec.
    """


class Wakeup:
    """The read end of a pipe into which Python's C handler writes the number of every signal that
    came.
    """

    def __init__(self, caught: Iterable[signal.Signals]) -> None:
        self._read, self._write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(self._write, warn_on_full_buffer=False)
        for number in caught:
            signal.signal(number, nothing)

    def fileno(self) -> int:
        """The descriptor to select on."""
        return self._read

    def signals(self) -> set[int]:
        """The numbers that have come since the last call; signals of one kind merge, as in the
        kernel.
        """
        try:
            return set(os.read(self._read, 4096))
        except BlockingIOError:
            return set()


class Borrowed:
    """Signals of a process that is not ours: caught for a while, then given back, and what came is
    raised again.

    Those that are ignored stay ignored, and those whose handler was not set from Python (it could
    not be set again) stay as they are. For the main thread only: Python runs handlers there.
    Whatever else the program forks meanwhile (another thread, a transformer) has the program's
    handlers at once, and does not write into our pipe.
    """

    _now: "Borrowed | None" = None
    _heeds_forks = False

    def __init__(self, wanted: Iterable[signal.Signals]) -> None:
        if not Borrowed._heeds_forks:
            Borrowed._heeds_forks = True
            os.register_at_fork(after_in_child=Borrowed._in_child)
        self._before: dict[int, Callable[..., Any] | int] = {}
        self._actions: dict[int, ctypes.Array[ctypes.c_char]] = {}
        self._came: list[int] = []
        self._read, self._write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._wakeup_before = signal.set_wakeup_fd(self._write, warn_on_full_buffer=False)
        Borrowed._now = self
        for number in wanted:
            handler = signal.getsignal(number)
            if handler not in (signal.SIG_IGN, None):
                self._before[number] = handler
                self._actions[number] = ctypes.create_string_buffer(_SIGACTION)
                _libc.sigaction(int(number), None, self._actions[number])
                signal.signal(number, nothing)

    def fileno(self) -> int:
        """The descriptor to select on."""
        return self._read

    @property
    def descriptors(self) -> tuple[int, int]:
        """What a forked child of ours must not keep."""
        return self._read, self._write

    def signals(self) -> list[int]:
        """The numbers of ours that have come since the last call, in that order; the others are
        passed on.
        """
        try:
            numbers = os.read(self._read, 4096)
        except BlockingIOError:
            return []
        others = bytes(number for number in numbers if number not in self._before)
        if others and self._wakeup_before >= 0:
            with contextlib.suppress(
                OSError
            ):  # an event loop that is behind, or gone: as if we were not there
                os.write(self._wakeup_before, others)
        came = [number for number in numbers if number in self._before]
        self._came += came
        return came

    def give_back(self, told: Callable[[], None]) -> None:
        """The handlers of before; then each signal that came is raised once, and does what it would
        have done.

        Blocked meanwhile, so that one that comes now is not lost. `told` is called before, if there
        is any; whatever a handler raises comes out of here.
        """
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, self._before)
        try:
            self.signals()
            self._restore()
            os.close(self._read)
            os.close(self._write)
            if self._came:
                told()
            for number in dict.fromkeys(self._came):
                signal.raise_signal(number)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)

    def _restore(self) -> None:
        Borrowed._now = None
        for number, handler in self._before.items():
            signal.signal(number, handler)
            _libc.sigaction(
                number, self._actions[number], None
            )  # faulthandler's is not known to Python
        signal.set_wakeup_fd(self._wakeup_before, warn_on_full_buffer=False)

    @staticmethod
    def _in_child() -> None:
        if Borrowed._now:
            Borrowed._now._restore()


def default_handlers() -> None:
    """In a fork child: no handler of the program that it was forked from."""
    for number in range(1, signal.NSIG):  # valid_signals() makes 62 enums
        if callable(signal.getsignal(number)):
            signal.signal(number, signal.SIG_DFL)


def forget_wakeup() -> None:
    """In a fork child: no longer write into the parent's pipe."""
    signal.set_wakeup_fd(-1)


def let_pass() -> None:
    """What a terminal, a supervisor or an operator sends to the whole group: helpers leave when
    they are told to.

    A handler, not SIG_IGN, so that a program which the app starts has the defaults.
    """
    for number in (*GROUP, *HARMLESS):
        signal.signal(number, nothing)


def set_aside_the_apps(*ours: object) -> None:
    """The handlers that an import has set are for jobs; here they would be user code in the wrong
    process.

    Those of the group's signals are for nobody, and SIGCHLD is its default: else waiting for a
    child may fail. SIGPIPE is ignored, as Python has it: else a log that is gone, or a connection,
    would be a dispatcher's death.
    """
    for number in GROUP:
        signal.signal(number, nothing)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    for number in HARMLESS:
        handler = _signal.getsignal(number)  # as _signal.signal takes it: it knows no enums
        if handler not in (
            nothing,
            None,
            *ours,
        ):  # None: not Python's, so it is no code of Python's
            _the_apps[number] = handler
            signal.signal(number, nothing)
    handler = _signal.getsignal(signal.SIGPIPE)
    if handler not in (_signal.SIG_IGN, None):
        _the_apps[signal.SIGPIPE] = handler
        signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    for other in range(1, signal.NSIG):
        handler = _signal.getsignal(other)
        if callable(handler) and handler not in (nothing, *ours):
            _the_apps[other] = handler
            _signal.signal(other, _signal.SIG_DFL)


def default_for_jobs() -> None:
    """In a fork child that runs user code: the defaults, or what the app has set itself."""
    for number in HARMLESS:
        if number not in _the_apps and _signal.getsignal(number) is not None:
            _signal.signal(number, _signal.SIG_DFL)
    for other, handler in _the_apps.items():
        _signal.signal(other, handler)


def heed_children() -> None:
    """Have a child's death wake us by SIGCHLD: for want of a descriptor. Once now, it may have died
    already.
    """
    signal.signal(signal.SIGCHLD, nothing)
    signal.raise_signal(signal.SIGCHLD)


def ignore_for_good() -> None:
    """At the very end: a signal that is repeated must not change the exit status of what is done."""
    for number in GROUP:
        signal.signal(number, signal.SIG_IGN)
