"""Writing to standard error without ever waiting for longer than a moment.

A pipe whose reader has stopped (`fleet start … 2>&1 | less`) and a terminal after Ctrl-S hold up
the process that writes, and with it the leases that it keeps. The open file is shared with jobs and
strangers, so O_NONBLOCK must not be set on it. poll(2) tells whether there is room: in a pipe for
PIPE_BUF bytes. In between another writer may take the room, so the write itself does not wait
either, where the kernel lets it: RWF_NOWAIT is for sockets and, from Linux 6.4 on, for pipes; a
terminal is opened once more, since it may have room for less than a line.

docs/decisions/0024 has the reasons.
"""

import contextlib
import os
import select
import stat
import sys
from math import ceil

from fleet.system.clock import now

# Milliseconds; the shortest lease, 2 s, has 666 left when its message comes at a poll's end.
PATIENCE = 512
NOWAIT = getattr(os, "RWF_NOWAIT", 0)
PIECE, TERMINAL_PIECE = select.PIPE_BUF, 256  # bytes


class StderrWriter:
    """One descriptor, as this process writes to it.

    A fork child makes its own: what found no room is remembered for each process.
    """

    def __init__(self, fd: int) -> None:
        """`fd` stays the caller's to close."""
        self._fd = fd
        self._room = select.poll()
        self._room.register(fd, select.POLLOUT)
        self._full = self._cut = False
        mode = _file_mode(fd)
        self._terminal = stat.S_ISCHR(mode) and os.isatty(fd)
        waits = stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)
        self._at_once = waits and NOWAIT != 0
        self._piece = TERMINAL_PIECE if self._terminal else PIECE if waits else sys.maxsize

    def write(self, text: bytes, patience: int = PATIENCE) -> bool:
        """Write the text; False if it, or the end of it, found no room within `patience` ms.

        After that nothing waits until there is room again. Raises OSError where there is nobody to
        write to.
        """
        rest = b"\n" + text if self._cut else text
        wait, until = 0 if self._full else patience, None
        while rest and self._room.poll(wait):
            try:
                written = self._write_once(rest)
            except BlockingIOError:  # somebody else has taken the room
                break
            rest, self._cut = rest[written:], written < len(rest)
            if rest:  # all its further pieces together may wait as long as the first
                until = until or now() + patience / 1000
                wait = max(0, ceil((until - now()) * 1000))
        self._full = bool(rest)
        return not rest

    def has_room(self) -> bool:
        """Whether something can be written now."""
        return bool(self._room.poll(0))

    def _write_once(self, text: bytes) -> int:
        """Returns how many bytes have found room. Raises BlockingIOError if none has."""
        if self._terminal:
            return self._write_to_terminal(text)
        if self._at_once:
            try:
                return os.pwritev(self._fd, (text,), -1, NOWAIT)
            except BlockingIOError:
                raise
            except OSError:  # an older kernel; or nobody is there, and the next line will say so
                self._at_once = False
        return os.write(self._fd, text[: self._piece])

    def _write_to_terminal(self, text: bytes) -> int:
        try:
            own = os.open(
                f"/proc/self/fd/{self._fd}",
                os.O_WRONLY | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC,
            )
        except OSError:  # it belongs to another user, or there is no descriptor to be had
            return os.write(self._fd, text[: self._piece])
        try:
            return os.write(own, text)
        finally:
            os.close(own)


def _file_mode(fd: int) -> int:
    try:
        return os.fstat(fd).st_mode
    except OSError:  # closed: the first write will tell
        return 0


def complain(text: str) -> None:
    """Write the text to standard error, if it can be written.

    A disk that is full, or a pipe that nobody reads, must not change how a program ends.
    """
    with contextlib.suppress(OSError):
        StderrWriter(2).write(text.encode(errors="replace"))
