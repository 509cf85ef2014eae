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
import json
import os
import resource  # os.wait4 imports it, and may find no descriptor to do so when it is called
import select
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import NoReturn

from fleet.core.outcomes import Exit, from_siginfo
from fleet.system.signals import GROUP, HARMLESS

LINUX = sys.platform.startswith("linux")
CONTINUE, KILL = signal.SIGCONT, signal.SIGKILL

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_SS_DISABLE = 2
_SYS_CLOSE_RANGE = 436  # on every architecture
_MOST_FDS = 1 << 31
_libc = ctypes.CDLL(None, use_errno=True)
MARK = "FLEET_POOL_MARK"
# What anybody may send us. Not every signal there is: Python builds a set of enums out of a mask,
# and all 62 of them cost a job 0.6 ms of CPU.
HELD_BACK = (*GROUP, *HARMLESS, signal.SIGCHLD)
_children_fd = -1
_START = """
import json, sys; sys.path[:] = json.loads(sys.argv[1])
import importlib; importlib.import_module(sys.argv[2]).main(sys.argv[3:])
"""


@dataclass(frozen=True, slots=True)
class Death:
    """A child that has ended and is still a zombie."""

    pid: int
    exit: Exit


def become_subreaper() -> None:
    """From now on what our descendants leave behind becomes our child.

    The kernel's list of our children is opened once: when descriptors run out it must still be
    readable.
    """
    global _children_fd
    if LINUX:
        _libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        with contextlib.suppress(FileNotFoundError):  # a kernel without CONFIG_PROC_CHILDREN
            _children_fd = os.open(
                f"/proc/self/task/{os.getpid()}/children", os.O_RDONLY | os.O_CLOEXEC
            )


def forget_children() -> None:
    """In a fork child that is no subreaper: the list of children is its parent's."""
    global _children_fd
    if _children_fd >= 0:
        os.close(_children_fd)
        _children_fd = -1


class _SignalStack(ctypes.Structure):
    _fields_ = (("base", ctypes.c_void_p), ("flags", ctypes.c_int), ("size", ctypes.c_size_t))


def drop_signal_stack() -> None:
    """Have handlers run on the ordinary stack again.

    faulthandler gives them one of 16 KiB, and where a frame holds the registers of AVX-512 half a
    dozen signals that come at once overflow it: SIGSEGV.
    """
    if LINUX:
        _libc.sigaltstack(ctypes.byref(_SignalStack(None, _SS_DISABLE, 0)), None)


def die_with_parent(parent: int, number: int) -> bool:
    """Have the kernel send us `number` when our parent dies. False if `parent` is not our parent
    any more.
    """
    if LINUX:
        _libc.prctl(_PR_SET_PDEATHSIG, int(number), 0, 0, 0)
    return os.getppid() == parent


def fork_blocked(held_back: Iterable[signal.Signals] = HELD_BACK) -> int:
    """os.fork with signals blocked in the child; the parent's mask is as before.

    What the parent ignores need not be held back: it is discarded when it is sent.
    """
    before = _signal.pthread_sigmask(signal.SIG_BLOCK, held_back)
    pid = -1
    try:
        pid = os.fork()
    finally:
        if pid != 0:
            _signal.pthread_sigmask(signal.SIG_SETMASK, before)
    return pid


@contextlib.contextmanager
def held_back(numbers: Iterable[signal.Signals]) -> Iterator[None]:
    """Signals blocked, in forked children too; the mask is as before in the end."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, numbers)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def unblock_signals() -> None:
    """The empty mask; what was kept for us arrives now."""
    _signal.pthread_sigmask(signal.SIG_SETMASK, ())


def default_group_signals() -> None:
    """In a fork child that has left the group: forget a TERM that was meant for it, then have the
    defaults.

    TERM is blocked, so it may be pending; the others were ignored until now, so they are not.
    """
    _signal.signal(signal.SIGTERM, _signal.SIG_IGN)
    for number in (*GROUP, signal.SIGCHLD):
        _signal.signal(number, _signal.SIG_DFL)


def close_all_but(keep: Iterable[int]) -> None:
    """Close every descriptor that is not in the sorted `keep`.

    Not by os.closerange: without close_range(2) (before Linux 5.9, or behind a filter of system
    calls) it closes a million numbers one by one, 190 ms in every job. What is open is listed then.
    """
    low = 0
    for fd in (*keep, _MOST_FDS):
        if low < fd and not _close_range(low, fd - 1):
            _close_listed(frozenset(keep))
            return
        low = fd + 1


def _close_range(first: int, last: int) -> bool:
    return bool(_libc.syscall(_SYS_CLOSE_RANGE, first, last, 0) == 0)


def _close_listed(keep: frozenset[int]) -> None:
    try:
        found = [int(name) for name in os.listdir("/proc/self/fd")]  # noqa: PTH208 - in every job: Path costs as much again
    except OSError:  # no /proc, or no descriptor to read it with
        found = list(range(resource.getrlimit(resource.RLIMIT_NOFILE)[0]))
    for fd in found:
        if fd not in keep:
            with contextlib.suppress(OSError):
                os.close(fd)


def spawn_program(module: str, arguments: Iterable[str], fds: Iterable[int], mark: str) -> int:
    """Start `module.main(arguments)` in a fresh interpreter that has `fds` open under the same
    numbers.

    It and all that descends from it carry `mark` in their environment, unless they take care not
    to. It begins with the signals ignored that a group may get, dies with us, and reads an empty
    standard input. Returns its pid. Raises OSError when there is no process to be had.
    """
    command = [
        sys.executable,
        *_flags(),
        "-P",
        "-c",
        _START,
        json.dumps(_path()),
        module,
        *arguments,
    ]
    inherited = list(fds)
    us = os.getpid()
    pid = fork_blocked()
    if pid:
        return pid
    try:  # the child: nothing may return from here
        for number in (*GROUP, *HARMLESS):
            signal.signal(number, signal.SIG_IGN)
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        if not die_with_parent(us, signal.SIGKILL):
            os._exit(0)
        os.close(0)  # first, so that one is to be had; it is the lowest then
        os.open(os.devnull, os.O_RDONLY)
        os.set_inheritable(0, True)
        for fd in inherited:
            os.set_inheritable(fd, True)
        unblock_signals()
        os.execve(sys.executable, command, os.environ | {MARK: mark})
    finally:
        os._exit(127)


def _flags() -> list[str]:
    """The interpreter's flags, as a helper is to have them. -u is in none of Python's own lists of
    them.
    """
    flags: list[str] = subprocess._args_from_interpreter_flags()  # type: ignore[attr-defined]
    return [*flags, *(["-u"] if getattr(sys.stdout, "write_through", False) else [])]


def _path() -> list[str]:
    """Where modules are looked for: as here, since a launcher may have changed it (zipapp, pex).

    But not in the script's or the current directory: a module there (`queue.py`) would hide one
    that fleet needs.
    """
    path, script = [*sys.path], os.path.dirname(os.path.realpath(sys.argv[0] or "."))  # noqa: PTH120 - "" stays ""
    if not sys.flags.safe_path and path and path[0] in ("", _here(), script):
        path = path[1:]
    root = str(Path(__file__).resolve().parents[2])
    return path if root in path else [*path, root]


def _here() -> str | None:
    try:
        return os.getcwd()
    except FileNotFoundError:
        return None


def kill(pid: int, number: int) -> None:
    """Send a signal; a process that is gone already needs none, one that has become another user's
    takes none.
    """
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, number)


def may_end(pid: int) -> bool:
    """Whether we are allowed to; not what has become another user's. Of one that is gone: yes."""
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


def open_pidfd(pid: int) -> int:
    """A descriptor that becomes readable when `pid` ends. Raises ProcessLookupError if it is gone."""
    return os.pidfd_open(pid)


def dead_child(pid: int | None = None) -> Death | None:
    """A child (that one, or any) that has ended, left as a zombie; None if there is none. Never
    waits.
    """
    kind, which = (os.P_ALL, 0) if pid is None else (os.P_PID, pid)
    try:
        info = os.waitid(kind, which, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return None
    return None if info is None else Death(info.si_pid, from_siginfo(info.si_code, info.si_status))


@dataclass(frozen=True, slots=True)
class Usage:
    """What a process and those it waited for have used."""

    cpu_seconds: float
    max_rss_mib: float


def await_child(pid: int) -> int:
    """Wait for a child that is about to exit, and reap it. Its exit status, negative for a signal."""
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def await_end(pid: int, seconds: float) -> None:
    """Until the process has ended, at most so long; not at all when there is no descriptor to wait
    with.
    """
    with contextlib.suppress(OSError), open(open_pidfd(pid), "rb") as end:
        poll = select.poll()
        poll.register(end, select.POLLIN)
        poll.poll(ceil(max(0.0, seconds) * 1000))


def bury(pid: int) -> Usage:
    """Collect a zombie of ours and tell what it used."""
    _, _, used = os.wait4(pid, 0)
    return Usage(round(used.ru_utime + used.ru_stime, 4), round(used.ru_maxrss / 1024, 1))


def bury_if_dead(pidfd: int) -> None:
    """Collect that child if it is a zombie that nobody has collected."""
    with contextlib.suppress(ChildProcessError):
        os.waitid(os.P_PIDFD, pidfd, os.WEXITED | os.WNOHANG)


def is_child(pid: int) -> bool:
    """Whether it is ours to wait for, alive or dead."""
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


def children() -> list[int]:
    """The pids of our children, alive or dead."""
    if _children_fd < 0:
        us = os.getpid()
        return [pid for pid in _all_pids() if _parent_of(pid) == us]
    listed = b""
    while more := os.pread(_children_fd, 4096, len(listed)):
        listed += more
    return [int(pid) for pid in listed.split()]


def descendants(root: int) -> list[int]:
    """The pids of everything below a process, as far as its parents are alive; a moment's picture."""
    found: list[int] = []
    todo = [root]
    while todo:
        below = _children_of(todo.pop())
        found += below
        todo += below
    return found


def _children_of(pid: int) -> list[int]:
    """Of all its threads; of one that is gone, none, nor when there is no descriptor to look with."""
    pids: list[int] = []
    with contextlib.suppress(OSError):
        for thread in Path(f"/proc/{pid}/task").iterdir():
            with contextlib.suppress(OSError):
                pids += [int(child) for child in (thread / "children").read_text().split()]
    return pids


def is_stopped(pid: int) -> bool:
    """Whether a signal has stopped the process."""
    return _state(pid) == b"T"


def is_dead(pid: int) -> bool:
    """Whether the process has ended, reaped or not."""
    return _state(pid) in (b"", b"Z", b"X")


def _state(pid: int) -> bytes:
    """The letter that the kernel tells; empty for a process that is gone."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return b""
    return stat[stat.rindex(b")") + 2 :][:1]


def _all_pids() -> list[int]:
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]


def _parent_of(pid: int) -> int | None:
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return int(stat[stat.rindex(b")") + 2 :].split()[1])


def carries(pid: int, mark: str) -> bool:
    """Whether the process descends from a program that was started with that mark. A zombie shows
    none.
    """
    try:
        return f"{MARK}={mark}".encode() in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return False


def strangers(keep: Iterable[int]) -> list[int]:
    """Our children but those; none where the kernel has no list of them: to look at all processes
    costs too much.
    """
    if _children_fd < 0:
        return []
    kept = frozenset(keep)
    return [pid for pid in children() if pid not in kept]


def sweep(
    keep: Iterable[int] = (),
    reaped: Callable[[Death], None] = lambda _: None,
    ours: Callable[[int], bool] = lambda _: True,
    spared: Callable[[int], bool] = lambda _: False,
) -> list[int]:
    """Kill and reap every child that is not in `keep` and is `ours`; returns those that are not
    gone yet. Never waits.

    Those that are `spared` are only continued, should somebody have stopped them, and reaped.

    What a killed child leaves behind becomes our child in turn, so sweep until it returns nothing.
    """
    kept = frozenset(keep)
    while strangers := [pid for pid in children() if pid not in kept and ours(pid)]:
        gone = 0
        for pid in strangers:
            kill(pid, signal.SIGCONT if spared(pid) else signal.SIGKILL)
            if death := dead_child(pid):
                bury(pid)
                reaped(death)
                gone += 1
        if not gone:
            return strangers
    return []


def leave(code: int) -> NoReturn:
    """End this forked process at once: no exit hook and no buffer of the parent's runs again."""
    os._exit(code)


def end(code: int) -> NoReturn:
    """As `leave`; a negative code is a signal, by which the process dies."""
    if code < 0:
        signal.signal(-code, signal.SIG_DFL)
        unblock_signals()
        os.kill(os.getpid(), -code)
        code = 128 - code  # where it does not die of it, as the first process of a container
    leave(code)


def signal_name(number: int) -> str:
    """`SIGKILL` for 9; a real-time signal by its number."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def phrase(how: Exit) -> str:
    """An exit for people: `exit 1`, `SIGSEGV`."""
    return f"exit {how.code}" if how.signal is None else signal_name(how.signal)
