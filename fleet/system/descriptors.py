"""Open descriptors: which there are, whether they are the same, what they lead to, closing them."""

import contextlib
import ctypes
import fcntl
import os
import resource
import socket
import stat
from collections.abc import Iterable

from fleet.system import pseudo_files

Identity = tuple[int, int]
STANDARD = (0, 1, 2)
HIGH = 64  # out of the way of what counts from the lowest number on
_SYS_CLOSE_RANGE = 436  # on every architecture
_MOST_FDS = 1 << 31
_libc = ctypes.CDLL(None, use_errno=True)


def open_descriptors() -> set[int]:
    """The numbers of those that are open."""
    return set(identities())


def identities() -> dict[int, Identity]:
    """The open descriptors, and which file each is of.

    One that was closed and opened again is of another file.
    """
    files = {}
    for fd in pseudo_files.list_numbers("/proc/self/fd"):
        if which := identity(fd):  # the listing's own descriptor is closed by now
            files[fd] = which
    return files


def identity(fd: int) -> Identity | None:
    """Which file the descriptor is of; None if it is closed."""
    try:
        status = os.fstat(fd)
    except OSError:
        return None
    return status.st_dev, status.st_ino


def duplicate(fd: int) -> int:
    """A number of our own for the same open file. Raises OSError."""
    return fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, HIGH)


def open_standard() -> None:
    """Open what is closed of 0, 1 and 2 on nothing.

    Else what is opened next is taken for a standard stream.
    """
    for fd in STANDARD:
        if identity(fd) is None:
            null = os.open(os.devnull, os.O_RDWR)  # the lowest number that is free
            os.set_inheritable(null, True)


class StandardDescriptors:
    """0, 1 and 2 as they are now, by numbers of our own."""

    def __init__(self) -> None:
        self._before = [(fd, identity(fd), duplicate(fd)) for fd in STANDARD]

    @property
    def error(self) -> int:
        """Standard error, for the log: nobody else knows the number."""
        return self._before[2][2]

    def put_back(self) -> list[tuple[int, int]]:
        """Have them as they were; returns, for jobs, what an import had made of them.

        That is a descriptor, and the number that it had, for each.
        """
        # Those that are closed are open on nothing in jobs, so that no number has two meanings.
        open_standard()
        changed = []
        for fd, which, ours in self._before:
            if identity(fd) != which:
                changed.append((duplicate(fd), fd))
                os.dup2(ours, fd)
        return changed


def redo(changed: list[tuple[int, int]]) -> None:
    """In a job: have 0, 1 and 2 as the import has left them."""
    for theirs, fd in changed:
        os.dup2(theirs, fd)


def peer_name(fd: int) -> str | None:
    """Where a socket's answers come from: host and port, or a path.

    None for what is no socket, is not connected, or is for datagrams, which are mostly sent and
    forgotten (statsd).
    """
    with contextlib.suppress(OSError):
        if stat.S_ISSOCK(os.fstat(fd).st_mode):
            with socket.socket(fileno=os.dup(fd)) as end:
                if end.type != socket.SOCK_DGRAM:
                    return _format_peer(end.getpeername())
    return None


def _format_peer(peer: object) -> str | None:
    if isinstance(peer, tuple):
        host, port = peer[:2]
        return f"[{host}]:{port}" if ":" in str(host) else f"{host}:{port}"
    if isinstance(peer, bytes):  # a name without a file
        return "@" + peer[1:].decode(errors="replace")
    return str(peer) or None  # a pair's ends have no name


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
        listed = pseudo_files.list_numbers("/proc/self/fd")
    except OSError:  # no /proc, or no descriptor to read it with
        listed = list(range(resource.getrlimit(resource.RLIMIT_NOFILE)[0]))
    for fd in listed:
        if fd not in keep:
            with contextlib.suppress(OSError):
                os.close(fd)
