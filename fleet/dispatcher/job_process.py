"""A process of user code as its dispatcher sees it, with everything that the process left.

It is the job's, the exit handler's or the --on-failure hook's.
"""

import os
import select
import signal
from collections.abc import Callable, Iterable
from math import inf
from typing import NoReturn

from fleet.core.outcomes import Exit
from fleet.system import processes, procfs, signals, trackers
from fleet.system.clock import now


def start(
    act: Callable[[int], NoReturn],
    dispatcher: int,
    poll: select.poll,
    kept: tuple[int, ...] = (),
) -> "Running":
    """Fork a process that does `act` and dies with the dispatcher.

    `kept` are other children of the dispatcher, which no sweep must touch. Raises OSError when the
    host has no process for it.
    """
    started = now()
    pid = processes.fork_with_signals_blocked((signal.SIGTERM,))
    if pid == 0:
        act(dispatcher)
    return Running(pid, started, poll, kept)


class Running:
    """One process that leads its own session; `others` and `kept` are not of it.

    `others` are processes of user code for the same message. `kept` are the dispatcher's own.
    """

    def __init__(
        self, pid: int, started: float, poll: select.poll, kept: tuple[int, ...] = ()
    ) -> None:
        self.pid, self.started, self._kept = pid, started, kept
        self.seconds = 0.0
        self.usage = processes.Usage(0, 0)
        self._exit: Exit | None = None
        self._over = False
        self._left = 0
        self._spares_until = -inf
        self.due = inf
        self._poll = poll
        self._watched = self._watch(pid)

    def _watch(self, pid: int) -> int | None:
        """A descriptor that wakes the dispatcher when `pid` ends; None: a signal does that."""
        try:
            pidfd = processes.open_pidfd(pid)
        except OSError:
            signals.wake_at_childs_death()
            return None
        self._poll.register(pidfd, select.POLLIN)
        return pidfd

    def _unwatch(self) -> None:
        if self._watched is not None:
            self._poll.unregister(self._watched)
            os.close(self._watched)
            self._watched = None

    @property
    def has_ended(self) -> bool:
        """Whether the process itself has ended; what it left may still be there."""
        return self._exit is not None

    @property
    def lingering_pid(self) -> int:
        """Of an ended process: the pid of something left that cannot be killed yet; else 0."""
        return self._left

    def terminate(self) -> None:
        """SIGTERM to the group; a stopped process gets it too.

        A process that has no group of its own yet is told by SharedPage.ask_to_stop.
        """
        processes.kill_group(self.pid, signal.SIGTERM)
        processes.kill_group(self.pid, signal.SIGCONT)

    def freeze(self, others: Iterable[int] = ()) -> None:
        """SIGSTOP to the process, its group and what we adopted of it."""
        self._signal_all(signal.SIGSTOP, others)

    def kill(self, others: Iterable[int] = ()) -> None:
        """SIGKILL to the process, its group and what we adopted of it."""
        self._signal_all(signal.SIGKILL, others)

    def _signal_all(self, number: int, others: Iterable[int]) -> None:
        """The group at once, then all below it, in sessions of their own too, until none is new.

        A resource tracker that is to be killed gets time for that when the process has ended.
        """
        trackers_of = (
            trackers.find({self.pid, *self._find_adopted(others)})
            if number == signal.SIGKILL
            else set()
        )
        if not self.has_ended:  # it may not lead its group yet
            processes.kill(self.pid, number)
        if not trackers_of:
            processes.kill_group(self.pid, number)
        met: set[int] = {self.pid, *others, *self._kept, *trackers_of}
        while new := {*procfs.descendants(self.pid), *self._find_adopted(others)} - met:
            for pid in new:
                processes.kill(pid, number)
            met |= new

    def _find_adopted(self, others: Iterable[int]) -> set[int]:
        roots = set(procfs.children()) - {self.pid, *others, *self._kept}
        return roots.union(*(procfs.descendants(root) for root in roots))

    def poll_exit(
        self, others: Iterable[int] = (), seen: Callable[[Exit], None] = lambda _: None
    ) -> Exit | None:
        """The exit, told once, when nothing of it exists any more; None before. Never waits.

        `seen` is called before the process is reaped: a dispatcher that dies in between must not
        give finished work back.
        """
        if self._over:
            return None
        if self._exit is None:
            death = processes.dead_child(self.pid)
            if death is None:
                return None
            self.seconds = now() - self.started
            self._exit = death.exit
            has_left = self._kill_what_is_left(others)
            seen(death.exit)
            self.usage = processes.reap(self.pid)
            if not has_left:
                self._unwatch()
                self._over = True
                return self._exit
        # The descriptor of a process that is gone is ready for ever: no wait would last any more.
        self._unwatch()
        left = self._sweep({*others, *self._kept})
        # Not dead yet, in uninterruptible sleep, or another user's by now: woken up again when it
        # is gone.
        if left:
            lingering = [pid for pid in left if not self._is_spared(pid)]
            self._left = lingering[0] if lingering else 0
            self._watched = self._watch(self._left or left[0])
            self.due = self._spares_until if len(lingering) < len(left) else inf
            return None
        self._over, self._left, self.due = True, 0, inf
        return self._exit

    def _kill_what_is_left(self, others: Iterable[int]) -> bool:
        """The group of the process, which has ended. False if nothing of it can be left.

        The kernel has given us the children that it had, and their children follow them: where none
        is on the list of ours, nobody is there who could be the parent of anything else.
        """
        rest = procfs.strangers({self.pid, *others, *self._kept})
        if not rest and procfs.has_list():
            return False
        if rest:
            self._spares_until = now() + trackers.GRACE
        trackers.kill_group(self.pid, rest)
        return True

    def _sweep(self, keep: set[int]) -> list[int]:
        """What is left of the process. Where it was the only child, the kernel says so at once."""
        if not self._kept and not processes.has_children():
            return []
        return processes.sweep(keep, is_spared=self._is_spared)

    def _is_spared(self, pid: int) -> bool:
        return now() < self._spares_until and trackers.is_tracker(pid)
