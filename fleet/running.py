"""The job's process as its dispatcher sees it, and whatever is left of it when it has ended."""

import os
import select
import signal

from fleet.core.delivery_events import Exited
from fleet.core.exits import Exit
from fleet.system import processes
from fleet.system.clock import now


class Running:
    """The job's process, and whatever of it is left when it has ended."""

    def __init__(self, pid: int, started: float, poll: select.poll) -> None:
        self.pid, self.started = pid, started
        self.seconds = 0.0
        self.usage = processes.Usage(0, 0)
        self._exit: Exit | None = None
        self._over = False
        self._poll = poll
        self._watched = self._watch(pid)

    def _watch(self, pid: int) -> int:
        pidfd = processes.open_pidfd(pid)
        self._poll.register(pidfd, select.POLLIN)
        return pidfd

    def _unwatch(self) -> None:
        self._poll.unregister(self._watched)
        os.close(self._watched)

    def signal(self, number: int) -> None:
        """To the job's group; a stopped job gets it too."""
        processes.kill_group(self.pid, number)
        processes.kill_group(self.pid, signal.SIGCONT)

    def kill(self) -> None:
        """SIGKILL to the job, its group and what we adopted of it."""
        processes.kill_group(self.pid, signal.SIGKILL)
        for child in processes.children():
            processes.kill(child, signal.SIGKILL)

    def gone(self) -> Exited | None:
        """The job's exit, told once, when nothing of it exists any more; None before. Never waits."""
        if self._over:
            return None
        if self._exit is None:
            death = processes.dead_child(self.pid)
            if death is None:
                return None
            self.seconds = now() - self.started
            self._exit = death.exit
            processes.kill_group(self.pid, signal.SIGKILL)
            self.usage = processes.bury(self.pid)
            self._unwatch()
        left = processes.sweep() if processes.has_children() else []
        if left:  # a process in uninterruptible sleep: woken up again when it is gone
            self._watched = self._watch(left[0])
            return None
        self._over = True
        return Exited(now(), self._exit)
