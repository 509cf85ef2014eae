"""Inside a shim (shim.py): forks the job, waits for it, and kills what the job leaves behind.

The shared page tells the program what the shim has seen: `ended` (the job's exit), `lingers` (the
pid of something that cannot be killed yet), and in the end `usage`. All signals that matter are
blocked here and stay so. SIGTERM means that the program may want the end; SIGCONT says that the
program is dead, and also wakes up a shim that was stopped.
"""

import errno
import os
import signal
from collections.abc import Iterable
from typing import NoReturn

from fleet.core.exit_codes import DONE
from fleet.dispatcher.context import Act
from fleet.ipc.shared_page import SharedPage
from fleet.system import processes, procfs, signals, titles, trackers
from fleet.system.clock import now

Ended = tuple[int | None, int | None]  # a job's exit status, or the signal that killed it
_HEARD = (signal.SIGCHLD, signal.SIGTERM, signal.SIGCONT)


def run(
    act: Act, program: int, write: int, descriptors: Iterable[int], page: SharedPage
) -> NoReturn:
    """Be the shim of `program`.

    The job's pid, or minus an errno, is written to `write`; `descriptors` are the program's and are
    closed.
    """
    try:
        os.setsid()  # what is sent to the program's group is not meant for us
        signals.forget_wakeup()
        # The program may ignore SIGCHLD: then nothing can be waited for.
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        if processes.die_with_parent(program, signal.SIGCONT):
            processes.become_subreaper()
            for fd in descriptors:
                os.close(fd)
            job = _fork_job(act, write)
            titles.show("fleet: shim")
            ended = _await_job(job, page, program)
            _kill_what_is_left(job, ended, page)
    finally:
        processes.exit_at_once(DONE)


def _fork_job(act: Act, write: int) -> int:
    """Fork the job and name it to the program."""
    shim = os.getpid()
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
        act(shim)
    os.write(write, str(job).encode())
    os.close(write)
    return job


def _await_job(job: int, page: SharedPage, program: int) -> Ended:
    """Wait for the job's end, and kill everything of it when the program wants that, or is dead.

    A TERM that the program has not sent is a stop of the
    whole control group: the program gets one too, and decides what becomes of the job.
    """
    while (death := processes.dead_child()) is None or death.pid != job:
        if death:
            processes.reap(death.pid)  # an orphan of the job's
        elif signal.sigwait(_HEARD) != signal.SIGCHLD and (
            page.stop_asked or os.getppid() != program
        ):
            processes.kill(job, signal.SIGKILL)  # it may not lead its group yet
            trackers.kill_group(job, procfs.children())
    ended = (death.exit.code, death.exit.signal)
    page.write(ended=ended)
    return ended


def _kill_what_is_left(job: int, ended: Ended, page: SharedPage) -> None:
    """Kill until nothing is left of the job.

    The job stays a zombie to the end, so that no other process gets its pid or its group.
    """
    trackers.kill_group(job, procfs.strangers((job,)))
    grace_ends = now() + trackers.GRACE

    def is_spared(pid: int) -> bool:
        return now() < grace_ends and trackers.is_tracker(pid)

    while left := processes.sweep((job,), is_spared=is_spared):
        lingering = [pid for pid in left if not is_spared(pid)]
        if lingering:
            page.write(ended=ended, lingers=lingering[0])
        if len(lingering) == len(left):
            signal.sigwait(_HEARD)
        else:
            signal.sigtimedwait(_HEARD, max(0.0, grace_ends - now()))
    usage = processes.reap(job)
    page.write(ended=ended, usage=(usage.cpu_seconds, usage.max_rss_mib))
