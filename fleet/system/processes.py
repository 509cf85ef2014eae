"""The sole caller of fork, exec, kill and wait.

Linux facts that this file rests on: a child inherits the signal mask, so signals that come between
the fork and the child's own handlers are kept for it; the parent-death signal is never sent when
the parent was dead already, so it is set first and the parent looked for afterwards;
`waitid(WNOWAIT)` leaves the zombie, so its pid and group cannot be reused while the group is
killed.
"""

# What `signal` wraps: it makes enums of all it returns, 0.15 ms of page faults in every job.
import _signal
import contextlib
import ctypes
import os
import resource  # noqa: F401 - os.wait4 imports it, and may then find no descriptor to do so
import select
import signal
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from math import ceil
from typing import NoReturn

from fleet.core.exit_codes import BY_SIGNAL, DONE, NOT_EXECUTED
from fleet.core.outcomes import Exit, from_siginfo
from fleet.system import interpreter, procfs, signals
from fleet.system.signals import BLOCKED_AT_FORK, GROUP, HARMLESS

LINUX = sys.platform.startswith("linux")
CONTINUE, KILL = signal.SIGCONT, signal.SIGKILL

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
# Looked up once: a job would do it anew, and copy pages for it.
_prctl = ctypes.CDLL(None, use_errno=True).prctl
_exit = ctypes.PyDLL(None)._exit


@dataclass(frozen=True, slots=True)
class Death:
    """A child that has ended and is still a zombie."""

    pid: int
    exit: Exit


@dataclass(frozen=True, slots=True)
class Usage:
    """What a process, and those that it waited for, have used."""

    cpu_seconds: float
    max_rss_mib: float


# Birth


def become_subreaper() -> None:
    """From now on what our descendants leave behind becomes our child."""
    if LINUX:
        _prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        procfs.open_children()


def die_with_parent(parent: int, number: int) -> bool:
    """Have the kernel send us the signal `number` when our parent dies.

    False if `parent` is not our parent any more.
    """
    if LINUX:
        _prctl(_PR_SET_PDEATHSIG, int(number), 0, 0, 0)
    return os.getppid() == parent


def fork_with_signals_blocked(blocked: Iterable[int] = BLOCKED_AT_FORK) -> int:
    """Call os.fork with signals blocked in the child; the parent's mask is as before.

    What the parent ignores need not be blocked: it is discarded when it is sent.
    """
    before = _signal.pthread_sigmask(signal.SIG_BLOCK, blocked)
    pid = -1
    try:
        pid = os.fork()
    finally:
        if pid != 0:
            _signal.pthread_sigmask(signal.SIG_SETMASK, before)
    return pid


def spawn_program(module: str, arguments: Iterable[str], fds: Iterable[int], mark: str) -> int:
    """Start `module.main(arguments)` in a fresh interpreter; `fds` are open in it as here.

    The program and all that descends from it carry `mark` in their environment, unless they take
    care not to. It begins with the signals ignored that a group may get, dies with us, and reads an
    empty standard input. Returns its pid. Raises OSError when there is no process to be had.
    """
    command = interpreter.command_line(module, arguments)
    inherited = list(fds)
    us = os.getpid()
    pid = fork_with_signals_blocked()
    if pid:
        return pid
    try:  # the child: nothing may return from here
        for number in (*GROUP, *HARMLESS):
            signal.signal(number, signal.SIG_IGN)
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        if not die_with_parent(us, signal.SIGKILL):
            os._exit(DONE)
        os.close(0)  # first, so that one is to be had; it is the lowest then
        os.open(os.devnull, os.O_RDONLY)
        os.set_inheritable(0, True)
        for fd in inherited:
            os.set_inheritable(fd, True)
        signals.unblock_all()
        os.execve(sys.executable, command, os.environ | {procfs.POOL_MARK: mark})
    finally:
        os._exit(NOT_EXECUTED)


# Signals to others


def kill(pid: int, number: int) -> None:
    """Send a signal to a process.

    A process that is gone needs none, and a process that has become another user's takes none.
    """
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, number)


def may_kill(pid: int) -> bool:
    """Whether we may kill a process: not if it has become another user's. True if it is gone."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return True


def kill_group(pid: int, number: int) -> None:
    """Send a signal to the group that `pid` leads or led; nothing if there is none."""
    try:  # noqa: SIM105 - done after every job, and contextlib.suppress has page faults of its own
        os.killpg(pid, number)
    except (ProcessLookupError, PermissionError):
        pass


# Death


def open_pidfd(pid: int) -> int:
    """A descriptor that becomes readable when `pid` ends. Raises ProcessLookupError, OSError."""
    return os.pidfd_open(pid)


def dead_child(pid: int | None = None) -> Death | None:
    """A child (that one, or any) that has ended, left as a zombie. None if there is none.

    Never waits.
    """
    kind, which = (os.P_ALL, 0) if pid is None else (os.P_PID, pid)
    try:
        info = os.waitid(kind, which, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return None
    return None if info is None else Death(info.si_pid, from_siginfo(info.si_code, info.si_status))


def await_child(pid: int) -> int:
    """Wait for a child and reap it. Returns its exit status, negative for a signal."""
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def await_end(pid: int, seconds: float) -> None:
    """Wait until the process has ended, at most so long.

    Does not wait at all when there is no descriptor to wait with.
    """
    with contextlib.suppress(OSError), open(open_pidfd(pid), "rb") as end:
        poll = select.poll()
        poll.register(end, select.POLLIN)
        poll.poll(ceil(max(0.0, seconds) * 1000))


def reap(pid: int) -> Usage:
    """Collect a zombie of ours, and return what it used."""
    _, _, used = os.wait4(pid, 0)
    return Usage(round(used.ru_utime + used.ru_stime, 4), round(used.ru_maxrss / 1024, 1))


def reap_if_dead(pidfd: int) -> None:
    """Collect that child if it is a zombie that nobody has collected."""
    with contextlib.suppress(ChildProcessError):
        os.waitid(os.P_PIDFD, pidfd, os.WEXITED | os.WNOHANG)


def is_child(pid: int) -> bool:
    """Whether a process is ours to wait for, alive or dead."""
    try:
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except (OSError, OverflowError):  # nobody's, or no pid at all
        return False
    return pid > 0


def has_children() -> bool:
    """Whether there is any child, alive or dead: one system call."""
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return True


def sweep(
    keep: Iterable[int] = (),
    reaped: Callable[[Death], None] = lambda _: None,
    is_ours: Callable[[int], bool] = lambda _: True,
    is_spared: Callable[[int], bool] = lambda _: False,
) -> list[int]:
    """Kill and reap every child that is ours and not in `keep`; never waits.

    Those that are spared are only continued, should somebody have stopped them, and reaped. Calls
    `reaped` for each that it has reaped. Returns the pids that are not gone yet. What a killed
    child leaves behind becomes our child in turn, so sweep until it returns nothing.
    """
    kept = frozenset(keep)
    while strangers := [pid for pid in procfs.children() if pid not in kept and is_ours(pid)]:
        gone = 0
        for pid in strangers:
            kill(pid, signal.SIGCONT if is_spared(pid) else signal.SIGKILL)
            if death := dead_child(pid):
                reap(pid)
                reaped(death)
                gone += 1
        if not gone:
            return strangers
    return []


# Our own end


def exit_at_once(code: int) -> NoReturn:
    """End this forked process: no exit hook and no buffer of the parent's runs again.

    Not by os._exit at first: the interpreter has never called the C library's function before, and
    each job would have the dynamic linker look for it.
    """
    _exit(code)
    os._exit(code)


def exit_as(code: int) -> NoReturn:
    """End this forked process at once; a negative code is a signal, by which it dies."""
    if code < 0:
        signal.signal(-code, signal.SIG_DFL)
        signals.unblock_all()
        os.kill(os.getpid(), -code)
        code = BY_SIGNAL - code  # where it does not die of it, as the first process of a container
    exit_at_once(code)


def describe_exit(how: Exit) -> str:
    """An exit for people: `exit 1`, `SIGSEGV`."""
    return f"exit {how.code}" if how.signal is None else signals.signal_name(how.signal)
