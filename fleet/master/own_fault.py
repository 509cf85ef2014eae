"""How the master ends when a fault of its own has ended its loop.

No process may be left behind for that. The state machine is not asked any more: it may be what is
wrong. The master hangs up on its dispatchers, which do then as after its death (finish, settle,
leave), waits for them within the longest stop, and leaves the rest to its last sweep. An error in
one of these steps is logged and skips that step only.
"""

import select
import signal
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from math import ceil
from pathlib import Path

from fleet.core.exit_codes import FAULT
from fleet.core.plain_text import one_line
from fleet.core.pool import PoolEnd
from fleet.master import farewell
from fleet.master.children import ChildProcesses
from fleet.master.control_socket import ControlSocket
from fleet.master.service_manager import ServiceManager
from fleet.system import log, stderr
from fleet.system.clock import now
from fleet.system.signals import Wakeup

MOST_TEXT, MOST_TRACEBACK = 500, 8_000  # characters
TURN = 1.0  # seconds, at most, between two looks


@dataclass(frozen=True, slots=True)
class FaultStop:
    """A stop without the state machine, and the parts of the master that it needs."""

    wakeup: Wakeup
    control: ControlSocket
    children: ChildProcesses
    service_manager: ServiceManager

    def run(self, error: Exception, until: float) -> PoolEnd:
        """Log the error, and wait for the dispatchers' leaving until then."""
        text = f"{type(error).__name__}: {error}"[:MOST_TEXT]
        attempt(lambda: log_fault(error, text))
        attempt(self.control.close)
        attempt(lambda: self.service_manager.tell_fault_stop(until - now()))
        attempt(lambda: farewell.hang_up_on_all(self.children))
        attempt(lambda: self._await_dispatchers(until))
        attempt(lambda: farewell.kill_all(self.children))
        return PoolEnd(FAULT, f"a fault of fleet itself: {text}")

    def _await_dispatchers(self, until: float) -> None:
        """Until the last one has left. A QUIT, or a second TERM or INT, ends the wait."""
        poll = select.poll()
        poll.register(self.wakeup.fileno(), select.POLLIN)
        asked = 0
        while farewell.reap_quietly(self.children) and (left := until - now()) > 0:
            self.service_manager.tell_alive()
            poll.poll(ceil(1000 * min(left, TURN)))
            came = self.wakeup.signals()
            asked += len(came & {signal.SIGTERM, signal.SIGINT})
            if signal.SIGQUIT in came or asked > 1:
                return


def log_fault(error: Exception, text: str) -> None:
    """In the log, or if there is none, on standard error."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    where = f"{Path(frame.filename).name}:{frame.lineno} in {frame.name}"
    trace = "".join(traceback.format_exception(error))[-MOST_TRACEBACK:]
    try:
        log.emit(
            "master.failed",
            error_type=type(error).__name__,
            error=text,
            where=where,
            traceback=trace,
        )
    except Exception:  # noqa: BLE001 - the log may be what is wrong
        stderr.complain(
            f"fleet: a fault of fleet itself, the pool stops: {one_line(text)} ({where})\n{trace}"
        )


def attempt(act: Callable[[], object]) -> None:
    """Do it. What it raises is written to standard error, and nothing else is skipped for it."""
    try:
        act()
    except Exception as error:  # noqa: BLE001 - as the name says
        stderr.complain(
            f"fleet: a fault at the end, too: {type(error).__name__}: {one_line(str(error))}\n"
        )
