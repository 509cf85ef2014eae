"""Keeps a process of user code together with all that it starts, beside a program that is not
fleet's.

    somebody's program ──fork──▶ keeper ──fork──▶ job ──▶ whatever that starts
                                    ▲  adopts what the job's children leave behind

The dispatchers of a pool do that themselves, and kill every child that they do not know. In
somebody's program that would hit its own children, those that another thread has just started too;
so there a process in between is the subreaper, whose children are the job's and nobody else's. It
also outlives the program's SIGKILL by the moment that it takes to kill them all. It runs no user
code.
"""

import contextlib
import errno
import os
import select
import signal
import sys
from collections.abc import Callable, Iterable
from math import ceil, inf
from typing import NoReturn

import setproctitle

from fleet.core.outcomes import Exit
from fleet.dispatcher.context import Act
from fleet.ipc.shared_page import SharedPage
from fleet.system import processes, procfs, signals, trackers
from fleet.system.clock import now

PATIENCE = (
    5.0  # seconds for what was killed to be gone, when the delivery itself cannot wait for it
)
_BLOCKED_AT_FORK = (*signals.BLOCKED_AT_FORK, signal.SIGABRT, signal.SIGCONT)
_HEARD = (signal.SIGCHLD, signal.SIGTERM, signal.SIGCONT)


class Keepers:
    """Starts them, and knows those that are not gone yet. `poll` wakes up when one is."""

    def __init__(self, ours: Callable[[], Iterable[int]], poll: select.poll) -> None:
        self._ours, self._poll = ours, poll
        self._kept: list[Kept] = []

    def start(self, act: Act) -> "Kept":
        """Fork a keeper, and by it a process that is what `act` makes of it, without the
        descriptors of `ours`.

        Raises OSError when there is no process to be had.
        """
        for stream in (
            sys.stdout,
            sys.stderr,
        ):  # else what is still in their buffers is written twice
            with contextlib.suppress(OSError, ValueError, AttributeError):
                stream.flush()
        with signals.block(
            _BLOCKED_AT_FORK
        ):  # a handler of the program that raises must not lose us the keeper
            return self._start(act)

    def _start(self, act: Act) -> "Kept":
        note, us, started = SharedPage(), os.getpid(), now()
        ours = [*self._ours(), *(kept.pidfd for kept in self._kept if not kept.over)]
        read, write = os.pipe2(os.O_CLOEXEC)
        with os.fdopen(read, "rb") as answer:
            try:
                keeper = os.fork()
                if keeper == 0:
                    _keep(act, us, write, (*ours, read), note)
            finally:
                os.close(write)
            kept = _watched(keeper, started, note, self._poll)
            self._kept = [each for each in self._kept if not each.over] + [kept]
            kept.pid = int(answer.read() or -errno.EAGAIN)
        if kept.pid < 0:
            kept.await_end(PATIENCE)
            kept.forget()
            raise OSError(-kept.pid, os.strerror(-kept.pid))
        return kept

    def end(self) -> None:
        """Something unforeseen ends the delivery: kill what there is, and wait for it within a
        bound.
        """
        deadline = now() + PATIENCE
        for kept in self._kept:
            kept.kill()
            while not kept.over and kept.gone() is None and (left := deadline - now()) > 0:
                kept.await_end(left)
            kept.forget()
        self._kept = []


def _watched(keeper: int, started: float, note: SharedPage, poll: select.poll) -> "Kept":
    try:
        return Kept(keeper, started, note, poll)
    except OSError:  # no descriptor to be had: then nobody would see it end
        note.ask_to_stop()
        processes.kill(keeper, signal.SIGTERM)
        with contextlib.suppress(ChildProcessError):
            processes.await_child(keeper)
        raise


class Kept:
    """A process of user code as the program sees it, through its keeper. `others` need not be known
    here.
    """

    def __init__(self, keeper: int, started: float, note: SharedPage, poll: select.poll) -> None:
        self.pid, self.started = 0, started
        self.seconds = 0.0
        self.usage = processes.Usage(0, 0)
        self.due = inf
        self._keeper, self._note, self._poll = keeper, note, poll
        self.over = False
        self.pidfd = processes.open_pidfd(keeper)
        poll.register(self.pidfd, select.POLLIN)

    @property
    def ended(self) -> bool:
        """Whether the process itself has ended; what it left may still be there."""
        return procfs.is_dead(self.pid) or "ended" in self._note.read()

    @property
    def lingers(self) -> int:
        """Of an ended process: the pid of something that it left and that cannot be killed yet;
        else 0.
        """
        return 0 if self.over else int(self._note.read().get("lingers", 0))

    def terminate(self) -> None:
        """SIGTERM to its group; a stopped process gets it too."""
        if not self.ended:
            processes.kill_group(self.pid, signal.SIGTERM)
            processes.kill_group(self.pid, signal.SIGCONT)

    def freeze(self, _others: Iterable[int] = ()) -> None:
        """SIGSTOP to everything that its keeper keeps, until there is nobody new."""
        if not self.ended:
            processes.kill_group(self.pid, signal.SIGSTOP)
        met: set[int] = set()
        while new := {*procfs.descendants(self._keeper)} - met:
            for pid in new:
                processes.kill(pid, signal.SIGSTOP)
            met |= new

    def kill(self, _others: Iterable[int] = ()) -> None:
        """Have the keeper kill everything."""
        if not self.over:
            self._note.ask_to_stop()
            for number in (signal.SIGTERM, signal.SIGCONT):  # somebody may have stopped it
                with contextlib.suppress(ProcessLookupError):
                    signal.pidfd_send_signal(self.pidfd, number)

    def gone(
        self, _others: Iterable[int] = (), seen: Callable[[Exit], None] = lambda _: None
    ) -> Exit | None:
        """The exit, told once, when nothing of it exists any more; None before. Never waits.

        It is read from the note: the keeper's own status may be taken by a program that reaps
        whatever child it has.
        """
        if self.over or not self.await_end(0):
            return None
        note = self._note.read()
        if "usage" not in note:  # the keeper was killed, and the job with it
            processes.kill_group(self.pid, signal.SIGKILL)
        exit_ = Exit(*note["ended"]) if "ended" in note else Exit(signal=signal.SIGKILL)
        self.seconds = now() - self.started
        self.usage = processes.Usage(*note.get("usage", (0, 0)))
        seen(exit_)
        self.forget()
        return exit_

    def await_end(self, seconds: float) -> bool:
        """Until its keeper has ended, at most so long."""
        poll = select.poll()
        poll.register(self.pidfd, select.POLLIN)
        return bool(poll.poll(ceil(seconds * 1000)))

    def forget(self) -> None:
        """Give back what was held for it."""
        if self.over:
            return
        self.over = True
        processes.reap_if_dead(self.pidfd)
        self._poll.unregister(self.pidfd)
        os.close(self.pidfd)


# In the keeper.


def _keep(act: Act, program: int, write: int, ours: Iterable[int], note: SharedPage) -> NoReturn:
    """Be the keeper. All signals that matter are blocked, and stay so. TERM means: the program may
    want the end.

    Its death is told by CONT, which also wakes up a keeper that somebody has stopped.
    """
    try:
        os.setsid()  # what is sent to the program's group is not meant for us
        signals.forget_wakeup()
        signal.signal(
            signal.SIGCHLD, signal.SIG_DFL
        )  # the program may ignore it: then nothing can be waited for
        if processes.die_with_parent(program, signal.SIGCONT):
            processes.become_subreaper()
            for fd in ours:
                os.close(fd)
            job = _job(act, write)
            setproctitle.setproctitle("fleet: keeper")
            _watch(job, note, program)
    finally:
        processes.exit_at_once(0)


def _job(act: Act, write: int) -> int:
    """Fork the job and name it to the program."""
    us = os.getpid()
    try:
        job = os.fork()
    except OSError as error:
        os.write(write, str(-(error.errno or errno.EAGAIN)).encode())
        raise
    if job == 0:
        os.close(write)
        procfs.close_children()
        signals.reset_all()
        null = os.open(os.devnull, os.O_RDONLY)
        os.dup2(null, 0)
        if null:
            os.close(null)
        act(us)
    os.write(write, str(job).encode())
    os.close(write)
    return job


def _watch(job: int, note: SharedPage, program: int) -> None:
    """Until nothing is left of it. The job stays a zombie to the end, so that its pid and group are
    nobody else's.

    A TERM that the program has not sent is a stop of the whole control group: the program hears of
    it too, and says what becomes of the job.
    """
    while (death := processes.dead_child()) is None or death.pid != job:
        if death:
            processes.reap(death.pid)  # an orphan of the job's
        elif signal.sigwait(_HEARD) != signal.SIGCHLD and (
            note.stop_asked or os.getppid() != program
        ):
            processes.kill(job, signal.SIGKILL)  # it may not lead its group yet
            trackers.kill_group(job, procfs.children())
    ended = (death.exit.code, death.exit.signal)
    note.write(ended=ended)
    trackers.kill_group(job, procfs.strangers((job,)))
    until = now() + trackers.GRACE

    def is_spared(pid: int) -> bool:
        return now() < until and trackers.is_tracker(pid)

    while left := processes.sweep((job,), is_spared=is_spared):
        lingering = [pid for pid in left if not is_spared(pid)]
        if lingering:
            note.write(ended=ended, lingers=lingering[0])
        if len(lingering) == len(left):
            signal.sigwait(_HEARD)
        else:
            signal.sigtimedwait(_HEARD, max(0.0, until - now()))
    usage = processes.reap(job)
    note.write(ended=ended, usage=(usage.cpu_seconds, usage.max_rss_mib))
