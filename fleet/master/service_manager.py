"""What the master tells the service manager or the person that started it.

The service manager is told by sd_notify(3); a person at a terminal, how long a drain still takes.
Without either of them nothing is told, and the master does not wake for it.
"""

import contextlib
import os
from math import inf

from fleet.core.plain_text import one_line
from fleet.core.pool import Pool, PoolPhase
from fleet.core.view import progress
from fleet.system import log
from fleet.system.clock import now
from fleet.system.notify import MICROSECONDS, Notifier
from fleet.system.stderr import StderrWriter

EVERY = 1.0  # seconds between two lines on the terminal, and between two status lines
MARGIN = 5.0  # seconds on top of the longest that a start or a stop may take


class ServiceManager:
    """Is told once a turn of the master's loop what has changed."""

    def __init__(self, longest_start: float) -> None:
        """`longest_start`: seconds that the pool may need until it is ready."""
        self._notifier = Notifier()
        self._on_terminal, self._writer = os.isatty(2), StderrWriter(2)
        self._phase, self._kill_at = PoolPhase.BOOTING, inf
        self._status, self._status_at = "", -inf
        self._alive_at = self._shown_at = 0.0
        self._shown = ""
        self._notifier.send(EXTEND_TIMEOUT_USEC=_microseconds(longest_start + MARGIN))

    def wakes_at(self, pool: Pool) -> float:
        """The next moment at which something is to be told although nothing has happened."""
        watchdog = self._alive_at + self._notifier.watchdog / 2 if self._notifier.watchdog else inf
        waits = self._on_terminal and pool.phase is PoolPhase.DRAINING
        return min(watchdog, self._shown_at + EVERY if waits else inf)

    def tell(self, pool: Pool) -> None:
        """Tell all that is due."""
        moment = now()
        if self._notifier.has_listener:
            self._tell_manager(pool, moment)
        if (
            self._on_terminal
            and pool.phase is not PoolPhase.BOOTING
            and moment >= self._shown_at + EVERY
        ):
            self._shown_at = moment
            self._show(progress.drain_line(pool, moment))

    def tell_fault_stop(self, seconds: float) -> None:
        """The pool stops for a fault of its own, which takes so many seconds at most."""
        self._notifier.send(STOPPING=1, EXTEND_TIMEOUT_USEC=_microseconds(seconds + MARGIN))

    def tell_alive(self) -> None:
        """The master runs: the watchdog's sign of life."""
        if self._notifier.watchdog:
            self._notifier.send(WATCHDOG=1)

    def _tell_manager(self, pool: Pool, moment: float) -> None:
        if self._notifier.watchdog and moment >= self._alive_at + self._notifier.watchdog / 2:
            self._alive_at = moment
            self.tell_alive()
        if (pool.phase, pool.kill_at) != (self._phase, self._kill_at):
            self._phase, self._kill_at = pool.phase, pool.kill_at
            if pool.phase is PoolPhase.RUNNING:
                self._notifier.send(READY=1)
            elif pool.phase is PoolPhase.DRAINING:
                self._notifier.send(
                    STOPPING=1, EXTEND_TIMEOUT_USEC=_microseconds(pool.kill_at - moment + MARGIN)
                )
        text = progress.drain_line(pool, moment) or progress.status_line(pool)
        if text != self._status and moment >= self._status_at + EVERY:
            self._status, self._status_at = text, moment
            self._notifier.send(STATUS=one_line(text))

    def _show(self, text: str) -> None:
        """One line on the terminal, that the next one, or the next line of the log, overwrites."""
        if text or self._shown:
            with contextlib.suppress(OSError):
                self._writer.write((log.FRESH_LINE + one_line(text)).encode(), patience=0)
        self._shown = text


def _microseconds(seconds: float) -> int:
    return max(0, int(seconds * MICROSECONDS))
