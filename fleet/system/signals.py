"""Signals as something to select on: handlers do nothing, a byte in a pipe wakes the loop.

Also which handlers and which mask fleet's own processes, forked children and jobs have.
"""

import _signal  # see processes.py: in a job the enums of `signal` are page faults
import contextlib
import ctypes
import os
import signal
import sys
from collections.abc import Iterable, Iterator
from types import FrameType
from typing import Any

GROUP = (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM)
# What means something to the master, or to nobody, and would end or stop a process that does not
# expect it.
HARMLESS = (signal.SIGUSR1, signal.SIGUSR2, signal.SIGALRM, signal.SIGTTIN, signal.SIGTTOU)
# What anybody may send us. Not every signal there is: Python builds a set of enums out of a mask,
# and all 62 of them cost a job 0.6 ms of CPU.
BLOCKED_AT_FORK = (*GROUP, *HARMLESS, signal.SIGCHLD)
ALL = tuple(_signal.valid_signals())  # numbers

_SS_DISABLE = 2
_libc = ctypes.CDLL(None, use_errno=True)
_handlers_of_the_app: dict[int, Any] = {}  # set at its import


def do_nothing(_number: int, _frame: FrameType | None) -> None:
    """Handle a signal by nothing: the kernel interrupts what waits.

    Unlike SIG_IGN such a handler is not inherited by exec.
    """


class Wakeup:
    """The read end of a pipe into which Python's C handler writes the numbers of signals."""

    def __init__(self, caught: Iterable[signal.Signals]) -> None:
        self._read, self._write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(self._write, warn_on_full_buffer=False)
        for number in caught:
            signal.signal(number, do_nothing)

    def fileno(self) -> int:
        """The descriptor to select on."""
        return self._read

    def signals(self) -> set[int]:
        """The numbers that have come since the last call.

        Signals of one kind merge, as in the kernel.
        """
        try:
            return set(os.read(self._read, 4096))
        except BlockingIOError:
            return set()


def forget_wakeup() -> None:
    """In a fork child: no longer write into the parent's pipe."""
    signal.set_wakeup_fd(-1)


# The mask


@contextlib.contextmanager
def block(numbers: Iterable[signal.Signals]) -> Iterator[None]:
    """Block signals until the end, also in children that are forked meanwhile."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, numbers)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def unblock_all() -> None:
    """Set the empty mask; what was kept for us arrives now."""
    _signal.pthread_sigmask(signal.SIG_SETMASK, ())


# Handlers


def reset_all() -> None:
    """In a fork child: have no handler of the program that it was forked from."""
    for number in range(1, signal.NSIG):  # valid_signals() makes 62 enums
        if callable(signal.getsignal(number)):
            signal.signal(number, signal.SIG_DFL)


def reset_group_signals() -> None:
    """In a fork child that has left the group: forget a TERM that was meant for the group.

    Then the group's signals and CHLD have their defaults. TERM is blocked, so it may be pending;
    the others were ignored until now, so they are not.
    """
    _signal.signal(signal.SIGTERM, _signal.SIG_IGN)
    for number in (*GROUP, signal.SIGCHLD):
        _signal.signal(number, _signal.SIG_DFL)


def let_pass() -> None:
    """In a helper: let nothing happen at what is sent to the whole group.

    A terminal, a supervisor or an operator sends it; helpers leave when they are told to. It is a
    handler, not SIG_IGN, so that a program which the app starts has the defaults.
    """
    for number in (*GROUP, *HARMLESS):
        signal.signal(number, do_nothing)


def set_aside_handlers_of_the_app(*ours: object) -> None:
    """Keep the handlers that an import has set for jobs; here they would run in the wrong process.

    Those of the group's signals are for nobody, and SIGCHLD has its default: else waiting for a
    child may fail. SIGPIPE is ignored, as Python has it: else a log that is gone, or a connection,
    would be a dispatcher's death.
    """
    for number in GROUP:
        signal.signal(number, do_nothing)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    for number in HARMLESS:
        handler = _signal.getsignal(number)  # as _signal.signal takes it: it knows no enums
        # None: it was not set from Python, so it is no code of Python's.
        if handler not in (do_nothing, None, *ours):
            _handlers_of_the_app[number] = handler
            signal.signal(number, do_nothing)
    handler = _signal.getsignal(signal.SIGPIPE)
    if handler not in (_signal.SIG_IGN, None):
        _handlers_of_the_app[signal.SIGPIPE] = handler
        signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    for other in range(1, signal.NSIG):
        handler = _signal.getsignal(other)
        if callable(handler) and handler not in (do_nothing, *ours):
            _handlers_of_the_app[other] = handler
            _signal.signal(other, _signal.SIG_DFL)


def set_handlers_for_jobs() -> None:
    """In a fork child that runs user code: have the defaults, or what the app has set itself."""
    for number in HARMLESS:
        if number not in _handlers_of_the_app and _signal.getsignal(number) is not None:
            _signal.signal(number, _signal.SIG_DFL)
    for other, handler in _handlers_of_the_app.items():
        _signal.signal(other, handler)


def wake_at_childs_death() -> None:
    """Have a child's death wake us by SIGCHLD: for want of a descriptor.

    It is raised once now, because the child may have died already.
    """
    signal.signal(signal.SIGCHLD, do_nothing)
    signal.raise_signal(signal.SIGCHLD)


def ignore_for_good() -> None:
    """At the very end: a repeated signal must not change the exit status of what is done."""
    for number in GROUP:
        signal.signal(number, signal.SIG_IGN)


class _SignalStack(ctypes.Structure):
    _fields_ = (("base", ctypes.c_void_p), ("flags", ctypes.c_int), ("size", ctypes.c_size_t))


def drop_signal_stack() -> None:
    """Have handlers run on the ordinary stack again.

    faulthandler gives them one of 16 KiB, and where a frame holds the registers of AVX-512 half a
    dozen signals that come at once overflow it: SIGSEGV.
    """
    if sys.platform.startswith("linux"):
        _libc.sigaltstack(ctypes.byref(_SignalStack(None, _SS_DISABLE, 0)), None)


def signal_name(number: int) -> str:
    """`SIGKILL` for 9; a real-time signal by its number."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
