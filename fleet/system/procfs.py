"""What /proc tells about processes: children, descendants, states, environments.

It only reads. A process that is gone, or that may not be read, is absent, and raises nothing.
"""

import contextlib
import os
import sys
from collections.abc import Iterable

from fleet.system import pseudo_files

POOL_MARK = "FLEET_POOL_MARK"
_ARG_END = 46  # of what comes after the name in /proc/PID/stat
_PAGE, _MIB = os.sysconf("SC_PAGE_SIZE"), 1 << 20
# Bytes. The kernel fills a piece up with whole pids (seq_read_iter in fs/seq_file.c): the list ends
# with a piece that has room for one more.
_PIECE, _LONGEST = 4096, 16
_children_fd = -1


def open_children() -> None:
    """Open the kernel's list of our children, for a subreaper.

    It is opened once: when descriptors run out the list must still be readable.
    """
    global _children_fd
    if sys.platform.startswith("linux"):
        with contextlib.suppress(FileNotFoundError):  # a kernel without CONFIG_PROC_CHILDREN
            _children_fd = os.open(
                f"/proc/self/task/{os.getpid()}/children", os.O_RDONLY | os.O_CLOEXEC
            )


def close_children() -> None:
    """Close the list in a fork child that is no subreaper: it is the list of its parent."""
    global _children_fd
    if _children_fd >= 0:
        os.close(_children_fd)
        _children_fd = -1


def has_list() -> bool:
    """Whether there is that list; without it children are looked for among all processes."""
    return _children_fd >= 0


def children() -> list[int]:
    """The pids of our children, alive or dead."""
    if _children_fd < 0:
        us = os.getpid()
        return [pid for pid in _all_pids() if _parent_of(pid) == us]
    listed = b""
    while more := os.pread(_children_fd, _PIECE, len(listed)):
        listed += more
        if len(more) <= _PIECE - _LONGEST:
            break
    return [int(pid) for pid in listed.split()]


def strangers(keep: Iterable[int]) -> list[int]:
    """The pids of our children that are not in `keep`.

    Empty where the kernel has no list of children: to look at all processes costs too much.
    """
    if _children_fd < 0:
        return []
    kept = frozenset(keep)
    return [pid for pid in children() if pid not in kept]


def descendants(root: int) -> list[int]:
    """The pids of everything below a process, as far as the parents between are alive.

    It is the picture of one moment.
    """
    pids: list[int] = []
    todo = [root]
    while todo:
        below = _children_of(todo.pop())
        pids += below
        todo += below
    return pids


def _children_of(pid: int) -> list[int]:
    """The children of all threads of a process.

    None for a process that is gone, nor when there is no descriptor to read the lists with.
    """
    pids: list[int] = []
    with contextlib.suppress(OSError):
        for thread in pseudo_files.list_numbers(f"/proc/{pid}/task"):
            with contextlib.suppress(OSError):
                listed = pseudo_files.read(f"/proc/{pid}/task/{thread}/children")
                pids += [int(child) for child in listed.split()]
    return pids


def is_stopped(pid: int) -> bool:
    """Whether a signal has stopped the process."""
    return _state(pid) == b"T"


def is_dead(pid: int) -> bool:
    """Whether the process has ended, reaped or not."""
    return _state(pid) in (b"", b"Z", b"X")


def is_in_exec(pid: int) -> bool:
    """Whether the process is in the middle of its exec(2): it has left the old program's memory,
    and the new one's arguments are not in place yet.
    """
    try:
        fields = _stat(pid)
    except OSError:
        return False
    return fields[0] not in (b"Z", b"X") and fields[_ARG_END : _ARG_END + 1] == [b"0"]


def has_mark(pid: int, mark: str) -> bool:
    """Whether the process descends from a program that was started with that mark.

    False for a zombie, whose environment is gone.
    """
    try:
        environment = pseudo_files.read(f"/proc/{pid}/environ")
    except OSError:
        return False
    return f"{POOL_MARK}={mark}".encode() in environment.split(b"\0")


def resident_mib(pid: int) -> float:
    """The MiB that a process has in memory; 0 when it is gone."""
    try:
        return int(pseudo_files.read(f"/proc/{pid}/statm").split()[1]) * _PAGE / _MIB
    except (OSError, IndexError, ValueError):
        return 0.0


def _state(pid: int) -> bytes:
    """The letter of the process's state (proc(5)); empty for a process that is gone."""
    try:
        return _stat(pid)[0]
    except OSError:
        return b""


def _parent_of(pid: int) -> int | None:
    try:
        return int(_stat(pid)[1])
    except (FileNotFoundError, ProcessLookupError):
        return None


def _stat(pid: int) -> list[bytes]:
    """The fields of /proc/PID/stat after the name, which may hold anything. Raises OSError."""
    stat = pseudo_files.read(f"/proc/{pid}/stat")
    return stat[stat.rindex(b")") + 2 :].split()


def _all_pids() -> list[int]:
    return pseudo_files.list_numbers("/proc")
