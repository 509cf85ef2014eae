"""Keeps the files by which a running pool is found, which a clean-up may remove.

They are its lock's file and its control socket.
"""

import contextlib
import os
from collections.abc import Iterable
from pathlib import Path

from fleet.ipc import pool_socket
from fleet.ipc.pool_socket import Claim
from fleet.master.control_socket import ControlSocket
from fleet.system import log
from fleet.system.clock import now

LOOK_EVERY = 5.0  # seconds, when the master is awake anyway
WAKE_EVERY = 60.0  # seconds
TOUCH_EVERY = 3600.0  # seconds: no clean-up takes what is younger than a day


class Presence:
    """Looks after the files of one pool, and touches `others` that must last as long."""

    def __init__(self, ours: Claim, control: ControlSocket, others: Iterable[Path] = ()) -> None:
        self._ours, self._control, self._others = ours, control, tuple(others)
        self._checked_at = self._touched_at = now()
        self._trouble = ""
        control.on_knock = self.check

    def wakes_at(self) -> float:
        """The next moment at which the files are checked although nothing has happened."""
        return self._checked_at + WAKE_EVERY

    def check_if_due(self) -> None:
        """Check the files, if it is time."""
        if now() >= self._checked_at + LOOK_EVERY:
            self.check()

    def check(self) -> None:
        """Make the files again that are gone. A failure is logged once, and tried again."""
        self._checked_at = now()
        try:
            if self._restore():
                self._trouble = ""
                log.emit("control.restored", path=str(self._ours.control))
            elif now() >= self._touched_at + TOUCH_EVERY:
                self._touched_at = now()
                self._touch()
        except (OSError, pool_socket.NameTaken, pool_socket.NotOurs) as error:
            why = getattr(error, "strerror", None) or f"{type(error).__name__}: {error}"
            if why != self._trouble:
                self._trouble = why
                log.emit("control.lost", path=str(self._ours.control), error=why)

    def _restore(self) -> bool:
        """Whether a file was gone; it is there again."""
        is_locked, is_bound = pool_socket.is_locked(self._ours), pool_socket.is_bound(self._ours)
        if not is_locked:
            self._ours = pool_socket.lock_again(self._ours)
        if not is_bound:
            self._ours, listener = pool_socket.listen(self._ours)
            self._control.replace_listener(listener)
        return not (is_locked and is_bound)

    def _touch(self) -> None:
        for path in (self._ours.lock, self._ours.control, *self._others):
            with contextlib.suppress(OSError):
                os.utime(path)
