"""How the master ends when a fault of its own has ended its loop: nobody may be left behind for
that.

The state machine is not asked any more: it may be what is wrong. The master hangs up on its
dispatchers, which do then as after its death (finish, settle, leave), waits for them within the
longest stop, and leaves the rest to its last sweep. What each step raises is said and skips that
step only.
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
from fleet.master.control_socket import Control
from fleet.master.service_manager import Supervised
from fleet.system import log, stderr
from fleet.system.clock import now
from fleet.system.signals import Wakeup

MOST_TEXT, MOST_TRACEBACK = 500, 8_000  # characters
TURN = 1.0  # seconds, at most, between two looks


@dataclass(frozen=True, slots=True)
class Failing:
    """What is left to do it with."""

    wakeup: Wakeup
    control: Control
    children: ChildProcesses
    supervised: Supervised

    def end(self, error: Exception, until: float) -> PoolEnd:
        """Say it, and see everybody off until then."""
        text = f"{type(error).__name__}: {error}"[:MOST_TEXT]
        attempted(lambda: told(error, text))
        attempted(self.control.close)
        attempted(lambda: self.supervised.failing(until - now()))
        attempted(lambda: farewell.hang_up_on_all(self.children))
        attempted(lambda: self._see_off(until))
        attempted(lambda: farewell.kill_all(self.children))
        return PoolEnd(FAULT, f"a fault of fleet itself: {text}")

    def _see_off(self, until: float) -> None:
        """Until the last dispatcher has left. QUIT, or TERM and INT for the second time, ends the
        patience.
        """
        poll = select.poll()
        poll.register(self.wakeup.fileno(), select.POLLIN)
        asked = 0
        while farewell.reap_quietly(self.children) and (left := until - now()) > 0:
            self.supervised.lives()
            poll.poll(ceil(1000 * min(left, TURN)))
            came = self.wakeup.signals()
            asked += len(came & {signal.SIGTERM, signal.SIGINT})
            if signal.SIGQUIT in came or asked > 1:
                return


def told(error: Exception, text: str) -> None:
    """In the log, or where there is none, as it can be."""
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


def attempted(act: Callable[[], object]) -> None:
    """Do it; what it raises is said, and nothing else is skipped for it."""
    try:
        act()
    except Exception as error:  # noqa: BLE001 - as the name says
        stderr.complain(
            f"fleet: a fault at the end, too: {type(error).__name__}: {one_line(str(error))}\n"
        )
