"""Starts shims: a shim is a process between the user's program and a job.

    the user's program ──fork──▶ shim ──fork──▶ job ──▶ whatever that starts
                                  ▲  adopts what the job's children leave behind

The dispatchers of a pool adopt these children themselves, and kill every child that they do not
know. In the user's program that would hit its own children, also those that another thread has just
started. So the shim is the subreaper there: all its children belong to the job. The shim also
outlives the program's SIGKILL by the moment that it takes to kill them all. It runs no user code.

This file is the program's side; shim_process.py is what happens in the shim.

docs/decisions/0027 has the reasons.
"""

import contextlib
import errno
import os
import select
import signal
import sys
from collections.abc import Callable, Iterable
from math import ceil, inf

from fleet.core.outcomes import Exit
from fleet.dispatcher.context import Act
from fleet.ipc.shared_page import SharedPage
from fleet.library import shim_process
from fleet.system import processes, procfs, signals
from fleet.system.clock import now

# Seconds for what was killed to be gone, when the delivery itself cannot wait for it.
PATIENCE = 5.0
_BLOCKED_AT_FORK = (*signals.BLOCKED_AT_FORK, signal.SIGABRT, signal.SIGCONT)


class Shims:
    """Starts shims, and knows those that are not gone yet. `poll` wakes up when one is."""

    def __init__(self, descriptors: Callable[[], Iterable[int]], poll: select.poll) -> None:
        """`descriptors`: the program's side of fleet, which no forked process must keep."""
        self._descriptors, self._poll = descriptors, poll
        self._running: list[ShimmedProcess] = []

    def start(self, act: Act) -> "ShimmedProcess":
        """Fork a shim, and by it a process that is what `act` makes of it.

        Raises OSError when there is no process to be had.
        """
        _flush_standard_streams()
        # A handler of the program that raises must not lose us the shim.
        with signals.block(_BLOCKED_AT_FORK):
            return self._start(act)

    def _start(self, act: Act) -> "ShimmedProcess":
        page, program, started = SharedPage(), os.getpid(), now()
        self._running = [each for each in self._running if not each.is_over]
        descriptors = [*self._descriptors(), *(each.pidfd for each in self._running)]
        read, write = os.pipe2(os.O_CLOEXEC)
        with os.fdopen(read, "rb") as answer:
            try:
                shim = os.fork()
                if shim == 0:
                    shim_process.run(act, program, write, (*descriptors, read), page)
            finally:
                os.close(write)
            process = _watch(shim, started, page, self._poll)
            self._running.append(process)
            process.pid = int(answer.read() or -errno.EAGAIN)
        if process.pid < 0:
            process.await_end(PATIENCE)
            process.forget()
            raise OSError(-process.pid, os.strerror(-process.pid))
        return process

    def end(self) -> None:
        """Something unforeseen ends the delivery: kill all there is; wait for it within a bound."""
        deadline = now() + PATIENCE
        for process in self._running:
            process.kill()
            _await_end(process, deadline)
            process.forget()
        self._running = []


def _flush_standard_streams() -> None:
    """Write out their buffers before a fork: else the child writes the same once more."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError, AttributeError):
            stream.flush()


def _watch(shim: int, started: float, page: SharedPage, poll: select.poll) -> "ShimmedProcess":
    try:
        return ShimmedProcess(shim, started, page, poll)
    except OSError:  # no descriptor to be had: then its end would not be seen
        page.ask_to_stop()
        processes.kill(shim, signal.SIGTERM)
        with contextlib.suppress(ChildProcessError):
            processes.await_child(shim)
        raise


def _await_end(process: "ShimmedProcess", deadline: float) -> None:
    while not process.is_over and process.poll_exit() is None:
        left = deadline - now()
        if left <= 0:
            return
        process.await_end(left)


class ShimmedProcess:
    """A process of user code as the program sees it, through its shim.

    A shim has one process of user code, so what the `others` are does not matter here.
    """

    def __init__(self, shim: int, started: float, page: SharedPage, poll: select.poll) -> None:
        self.pid, self.started = 0, started
        self.seconds = 0.0
        self.usage = processes.Usage(0, 0)
        self.due = inf
        self._shim, self._page, self._poll = shim, page, poll
        self.is_over = False
        self.pidfd = processes.open_pidfd(shim)
        poll.register(self.pidfd, select.POLLIN)

    @property
    def has_ended(self) -> bool:
        """Whether the process itself has ended; what it left may still be there."""
        return procfs.is_dead(self.pid) or "ended" in self._page.read()

    @property
    def lingering_pid(self) -> int:
        """The pid of something that the process left and that cannot be killed yet; else 0."""
        return 0 if self.is_over else int(self._page.read().get("lingers", 0))

    def terminate(self) -> None:
        """SIGTERM to its group; a stopped process gets it too."""
        if not self.has_ended:
            processes.kill_group(self.pid, signal.SIGTERM)
            processes.kill_group(self.pid, signal.SIGCONT)

    def freeze(self, _others: Iterable[int] = ()) -> None:
        """SIGSTOP to everything below its shim, until there is nothing new."""
        if not self.has_ended:
            processes.kill_group(self.pid, signal.SIGSTOP)
        stopped: set[int] = set()
        while new := {*procfs.descendants(self._shim)} - stopped:
            for pid in new:
                processes.kill(pid, signal.SIGSTOP)
            stopped |= new

    def kill(self, _others: Iterable[int] = ()) -> None:
        """Have the shim kill everything."""
        if not self.is_over:
            self._page.ask_to_stop()
            for number in (signal.SIGTERM, signal.SIGCONT):  # somebody may have stopped the shim
                with contextlib.suppress(ProcessLookupError):
                    signal.pidfd_send_signal(self.pidfd, number)

    def poll_exit(
        self, _others: Iterable[int] = (), seen: Callable[[Exit], None] = lambda _: None
    ) -> Exit | None:
        """The exit, returned once, when nothing of the process exists any more; None before.

        Never waits.

        It is read from the page: the shim's own status may be taken by a program that reaps
        whatever child it has.
        """
        if self.is_over or not self.await_end(0):
            return None
        written = self._page.read()
        if "usage" not in written:  # the shim was killed, and the job with it
            processes.kill_group(self.pid, signal.SIGKILL)
        exit_ = Exit(*written["ended"]) if "ended" in written else Exit(signal=signal.SIGKILL)
        self.seconds = now() - self.started
        self.usage = processes.Usage(*written.get("usage", (0, 0)))
        seen(exit_)
        self.forget()
        return exit_

    def await_end(self, seconds: float) -> bool:
        """Wait until its shim has ended, at most so long. Whether it has."""
        poll = select.poll()
        poll.register(self.pidfd, select.POLLIN)
        return bool(poll.poll(ceil(seconds * 1000)))

    def forget(self) -> None:
        """Give back what was held for it."""
        if self.is_over:
            return
        self.is_over = True
        processes.reap_if_dead(self.pidfd)
        self._poll.unregister(self.pidfd)
        os.close(self.pidfd)
