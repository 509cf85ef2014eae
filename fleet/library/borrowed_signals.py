"""The signals of a program that is not ours: caught for a while, given back, and raised again."""

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
    """Catches the signals that it is given, until `give_back`.

    Those that are ignored stay ignored, and those whose handler was not set from Python (it could
    not be set again) stay as they are. For the main thread only: Python runs handlers there.
    Whatever else the program forks meanwhile (another thread, a transformer) has the program's
    handlers at once, and does not write into our pipe.
    """

    _current: "BorrowedSignals | None" = None
    _heeds_forks = False

    def __init__(self, wanted: Iterable[signal.Signals]) -> None:
        if not BorrowedSignals._heeds_forks:
            BorrowedSignals._heeds_forks = True
            os.register_at_fork(after_in_child=BorrowedSignals._restore_in_child)
        self._before: dict[int, Callable[..., Any] | int] = {}
        self._actions: dict[int, ctypes.Array[ctypes.c_char]] = {}
        self._came: list[int] = []
        self._read, self._write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._wakeup_before = signal.set_wakeup_fd(self._write, warn_on_full_buffer=False)
        BorrowedSignals._current = self
        for number in wanted:
            handler = signal.getsignal(number)
            if handler not in (signal.SIG_IGN, None):
                self._before[number] = handler
                self._actions[number] = ctypes.create_string_buffer(_SIGACTION)
                _libc.sigaction(int(number), None, self._actions[number])
                signal.signal(number, do_nothing)

    def fileno(self) -> int:
        """The descriptor to select on."""
        return self._read

    @property
    def descriptors(self) -> tuple[int, int]:
        """What a forked child of ours must not keep."""
        return self._read, self._write

    def signals(self) -> list[int]:
        """The numbers of ours that have come since the last call, in that order.

        The others are passed on to the program.
        """
        try:
            numbers = os.read(self._read, 4096)
        except BlockingIOError:
            return []
        others = bytes(number for number in numbers if number not in self._before)
        if others and self._wakeup_before >= 0:
            # An event loop that is behind, or gone: then as if we were not there.
            with contextlib.suppress(OSError):
                os.write(self._wakeup_before, others)
        came = [number for number in numbers if number in self._before]
        self._came += came
        return came

    def give_back(self, heard: Callable[[], None]) -> None:
        """Set the handlers of before; then raise each signal that came once: it does what it would
        have done.

        They are blocked meanwhile, so that one that comes now is not lost. `heard` is called before
        they are raised, if any has come; whatever a handler raises comes out of here.
        """
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, self._before)
        try:
            self.signals()
            self._restore()
            os.close(self._read)
            os.close(self._write)
            if self._came:
                heard()
            for number in dict.fromkeys(self._came):
                signal.raise_signal(number)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)

    def _restore(self) -> None:
        BorrowedSignals._current = None
        for number, handler in self._before.items():
            signal.signal(number, handler)
            # faulthandler's is not known to Python.
            _libc.sigaction(number, self._actions[number], None)
        signal.set_wakeup_fd(self._wakeup_before, warn_on_full_buffer=False)

    @staticmethod
    def _restore_in_child() -> None:
        if BorrowedSignals._current:
            BorrowedSignals._current._restore()
