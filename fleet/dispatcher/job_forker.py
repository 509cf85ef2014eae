"""Starts jobs: by the dispatcher's job forker (job/forker_process.py), else by a fork of itself.

    forker ──a request──▶ the job's pid
       ├── it cannot: given up ──────────────────────────────────────────┐
       └── lost (dead, stopped, hung): killed; a job that it has forked  │
           nevertheless is this message's job; if there is none ─────────┴──▶ os.fork

A message has one job. A process that is to be killed forks no more: a job that is not among our
children when SIGKILL was sent will never be. Which of our children is the job says the kernel: it
writes a job's pid into memory shared with the forker before the job runs its first instruction. And
a job whose parent we are not ends before it runs any user code.

docs/decisions/0033 has the reasons.
"""

import contextlib
import ctypes
import errno
import mmap
import os
import select
import signal
import socket
from collections.abc import Callable, Sequence

from fleet.dispatcher.job_process import Running
from fleet.job import forker_process, process
from fleet.job.forker_process import NOT_ALONE, ForkerPlan
from fleet.job.process import Work
from fleet.system import fork_handlers, log, processes, procfs, signals, titles
from fleet.system.clock import now
from fleet.system.sibling_fork import CannotFork, SiblingFork

PATIENCE = 0.5  # seconds for an answer, and for the end of a forker that was killed
MOST_LOST = 3  # forkers in a row, until we do without
# What the kernel says when it has nothing more to give: os.fork would say the same.
_SCARCE = (errno.EAGAIN, errno.ENOMEM)
# What it says of a request that it cannot carry: nothing is wrong with the forker.
_NOT_SENT = (errno.EMSGSIZE, errno.ENOBUFS, errno.ENOMEM)


Means = SiblingFork | str  # a text: why there can be none


def find_means() -> Means:
    """With what a forker below this process forks; or why there can be none.

    What it finds out is true until the process loads another C library. Raises OSError when there
    is no descriptor to find it out with.
    """
    try:
        siblings = SiblingFork()
    except CannotFork as error:
        return str(error)
    if objects := fork_handlers.find():
        return f"C libraries may have fork handlers: {', '.join(objects)}"
    return siblings


class JobForker:
    """Starts the jobs of one dispatcher, which is the process that makes this.

    `works` are what all jobs of a queue have in common, by its place, with any message; `begin` is
    called in the forker, for what they inherit. `means` are those of the process that the
    dispatcher was forked from, None if it could not find out.
    """

    def __init__(
        self,
        works: Sequence[Work],
        means: Means | None,
        begin: Callable[[], None] = lambda: None,
    ) -> None:
        self._works, self._begin, self._slot = works, begin, works[0].slot
        self._us = os.getpid()
        self._told = ctypes.c_int.from_buffer(mmap.mmap(-1, mmap.PAGESIZE))
        self._end: socket.socket | None = None
        self._pid = 0  # of a forker that is not reaped yet
        self._lost = 0  # forkers, since one has answered
        self._is_given_up = False
        self._has_own_title = False
        titles.show(self._title)  # it is inherited
        if means is None:
            self._open()
        else:
            self._make(means)
        self._has_own_title = True  # from now on

    @property
    def _title(self) -> str:
        return f"fleet: forker {self._slot}"

    @property
    def pids(self) -> tuple[int, ...]:
        """Of our children, those that are nothing that a job has left."""
        return (self._pid,) if self._pid else ()

    def start(self, work: Work, poll: select.poll) -> Running:
        """Start the job. Raises OSError when the host has no process for it."""
        started = now()
        pid = self._ask(work)
        if not pid:
            pid = processes.fork_with_signals_blocked((signal.SIGTERM,))
            if pid == 0:
                process.run_job(work, self._us)
        return Running(pid, started, poll, self.pids)

    def close(self) -> None:
        """End the forker."""
        self._end_forker()

    # A forker

    def _open(self) -> socket.socket | None:
        """The end of a forker's channel; None if there is no forker to be had."""
        if self._end is None and not self._is_given_up and self._is_reaped():
            with contextlib.suppress(OSError):  # no descriptor now: the next job asks again
                self._make(find_means())
        return self._end

    def _make(self, means: Means) -> None:
        if not procfs.has_list():
            means = "the kernel has no list of a process's children"
        if isinstance(means, str):
            self._give_up(means)
            return
        with contextlib.suppress(OSError):  # no process for it now: the next job asks again
            self._end = self._fork(means)

    def _fork(self, siblings: SiblingFork) -> socket.socket:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            try:
                pid = processes.fork_with_signals_blocked(signals.ALL)
            except OSError:
                ours.close()
                raise
            if pid == 0:
                if self._has_own_title:
                    titles.show(self._title)
                told = ctypes.addressof(self._told)
                plan = ForkerPlan(self._works, self._begin, self._us, siblings, told)
                forker_process.run(plan, theirs)
        self._pid = pid
        ours.settimeout(PATIENCE)
        # A limit, not room that is taken. The kernel cuts it to what the host allows.
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, forker_process.LONGEST)
        return ours

    def _is_reaped(self) -> bool:
        """Whether no forker is left of which we do not know the end yet."""
        if self._pid and processes.dead_child(self._pid):
            processes.reap(self._pid)
            self._pid = 0
        return not self._pid

    def _end_forker(self) -> None:
        """Kill it; it is gone then, or forks at least no more."""
        if self._end is not None:
            self._end.close()
            self._end = None
        if self._pid:
            processes.kill(self._pid, signal.SIGKILL)
            processes.await_end(self._pid, PATIENCE)
            self._is_reaped()

    def _give_up(self, why: str) -> None:
        self._is_given_up = True
        self._end_forker()
        log.emit("forker.unused", slot=self._slot, why=why)

    # A job

    def _ask(self, work: Work) -> int:
        """The pid of the job that the forker has forked; 0 if it has not, and will not.

        Raises OSError.
        """
        request = forker_process.encode(work)
        end = self._open() if request else None
        if request is None or end is None:
            return 0
        self._told.value = 0
        try:
            end.send(request)
        except OSError as error:
            return 0 if error.errno in _NOT_SENT else self._lose("it takes no request")
        try:
            answer = end.recv(32)
        except OSError as error:
            return self._lose("it does not answer" if error.errno is None else "it is dead")
        return self._take(int(answer)) if answer else self._lose("it is dead")

    def _take(self, answer: int) -> int:
        """What the forker's answer comes to: as `_ask`."""
        self._lost = 0
        if answer > 0 and processes.is_child(answer):
            return answer
        if -answer in _SCARCE:
            raise OSError(-answer, os.strerror(-answer))
        if answer == NOT_ALONE:
            self._give_up("its functions for a fork start threads")
        elif answer < 0:
            self._give_up(f"clone(2): {os.strerror(-answer)}")
        else:
            # It is the forker's own child, and would become ours, and begin, at the forker's death.
            for pid in procfs.descendants(self._pid):
                processes.kill(pid, signal.SIGKILL)
            self._give_up("the kernel forks no siblings")
            self._end_strangers()
        return 0

    def _lose(self, why: str) -> int:
        """Go on without this forker: as `_ask`."""
        self._end_forker()
        log.emit("forker.lost", slot=self._slot, why=why)
        self._lost += 1
        if self._lost >= MOST_LOST:
            self._give_up(f"lost {self._lost} times in a row")
        born = procfs.strangers(self.pids)
        if not born:
            return 0
        if self._told.value in born:
            return self._told.value
        self._end_strangers()  # nobody knows which of them is the job, if any
        raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))

    def _end_strangers(self) -> None:
        """Kill what is no forker, and give it time to be gone."""
        for pid in processes.sweep(self.pids):
            processes.await_end(pid, PATIENCE)
        processes.sweep(self.pids)
