"""The program's signals: the library has them while it works on a message, and gives them back."""

import contextlib
import ctypes
import os
import signal
from collections.abc import Callable, Iterable
from typing import Any

from fleet.system.signals import do_nothing

_libc = ctypes.CDLL(None, use_errno=True)
_SIGACTION = 512  # bytes: more than any struct sigaction has


class BorrowedSignals:
    """Catches signals of a process that is not fleet's; at the end it raises again what came.

    Signals that are ignored stay ignored, and signals whose handler was not set from Python (it
    could not be set again) stay as they are. For the main thread only: Python runs handlers there.
    Whatever else the program forks meanwhile (from another thread, or in a transformer) has the
    program's handlers at once, and does not write into the pipe of this object.
    """

    _current: "BorrowedSignals | None" = None
    _has_fork_hook = False

    def __init__(self, wanted: Iterable[signal.Signals]) -> None:
        if not BorrowedSignals._has_fork_hook:
            BorrowedSignals._has_fork_hook = True
            os.register_at_fork(after_in_child=BorrowedSignals._restore_in_child)
        self._handlers: dict[int, Callable[..., Any] | int] = {}
        self._actions: dict[int, ctypes.Array[ctypes.c_char]] = {}
        self._came: list[int] = []
        self._read, self._write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._wakeup_before = signal.set_wakeup_fd(self._write, warn_on_full_buffer=False)
        BorrowedSignals._current = self
        for number in wanted:
            handler = signal.getsignal(number)
            if handler not in (signal.SIG_IGN, None):
                self._handlers[number] = handler
                self._actions[number] = ctypes.create_string_buffer(_SIGACTION)
                _libc.sigaction(int(number), None, self._actions[number])
                signal.signal(number, do_nothing)

    def fileno(self) -> int:
        """The descriptor to select on."""
        return self._read

    @property
    def descriptors(self) -> tuple[int, int]:
        """The descriptors that a forked child of ours must not keep."""
        return self._read, self._write

    def take(self) -> list[int]:
        """The numbers of borrowed signals that have come since the last call, in that order.

        Other signals are passed on to the program's own wakeup descriptor.
        """
        try:
            numbers = os.read(self._read, 4096)
        except BlockingIOError:
            return []
        others = bytes(number for number in numbers if number not in self._handlers)
        if others and self._wakeup_before >= 0:
            # An event loop that is behind, or gone: as if we were not there.
            with contextlib.suppress(OSError):
                os.write(self._wakeup_before, others)
        came = [number for number in numbers if number in self._handlers]
        self._came += came
        return came

    def give_back(self, notify: Callable[[], None]) -> None:
        """Restore the handlers of before; then raise once each signal that came.

        So the signal does what it would have done.

        The signals are blocked meanwhile, so that one that comes now is not lost. `notify` is
        called before they are raised, if any has come. What a handler raises leaves this method.
        """
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, self._handlers)
        try:
            self.take()
            self._restore()
            os.close(self._read)
            os.close(self._write)
            if self._came:
                notify()
            for number in dict.fromkeys(self._came):
                signal.raise_signal(number)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)

    def _restore(self) -> None:
        BorrowedSignals._current = None
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
            # Faulthandler's handler is not known to Python.
            _libc.sigaction(number, self._actions[number], None)
        signal.set_wakeup_fd(self._wakeup_before, warn_on_full_buffer=False)

    @staticmethod
    def _restore_in_child() -> None:
        if BorrowedSignals._current:
            BorrowedSignals._current._restore()
