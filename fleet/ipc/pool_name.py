"""A pool's name, held as an abstract socket for as long as the pool lives: no clean-up of files
ends that (unix(7)).

It excludes a second pool of the name when the lock's file is gone, and who connects to it has the
files made again. The address says whose pool it is and where its files lie, so that pools of other
users, and of containers that share a network but no runtime directory, are in nobody's way. Those
that share a directory but no network have the lock.
"""

import contextlib
import errno
import hashlib
import os
import socket
import struct
from pathlib import Path

BACKLOG = 16
PATIENCE = 2.0  # seconds for a pool to have made its files again
MOST_KNOCKS = 16
CREDENTIALS = struct.Struct("iII")  # of SO_PEERCRED: pid, uid, gid


class Held(Exception):
    """Another process of this user holds the name; the text is its pid."""


def address(directory: Path, name: str) -> str:
    """Of a pool whose files lie in that directory. Raises OSError."""
    return (
        _prefix(directory) + hashlib.sha256(name.encode(errors="surrogateescape")).hexdigest()[:16]
    )


def _prefix(directory: Path) -> str:
    """By the directory above it, which a clean-up of its contents does not remove."""
    above = directory.parent.stat()
    return f"\0fleet/{os.getuid()}/{above.st_dev:x}:{above.st_ino:x}/"


def hold(where: str) -> socket.socket | None:
    """The listening socket; None where there are no such sockets, or a stranger has this one.
    Raises Held.
    """
    end = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        end.bind(where)
        end.listen(BACKLOG)
    except OSError as error:
        end.close()
        if error.errno == errno.EADDRINUSE and (pid := _asked(where)) is not None:
            raise Held(str(pid or "unknown")) from None
        return None
    return end


def ask_hidden(directory: Path, found: set[str]) -> bool:
    """Have pools whose files in the directory are gone make them again (`found`: the others);
    whether there is one.
    """
    prefix = _prefix(directory)
    known = {address(directory, name) for name in found}
    hidden = [each for each in _listed() if each.startswith(prefix) and each not in known]
    return (
        sum(_asked(each) is not None for each in hidden[:MOST_KNOCKS]) > 0
    )  # all of them, not up to the first


def _listed() -> list[str]:
    """The abstract sockets that something listens at: /proc/net/unix writes an at-sign for the zero
    byte.
    """
    with contextlib.suppress(OSError):
        lines = Path("/proc/net/unix").read_text(errors="replace").splitlines()
        return list(
            dict.fromkeys("\0" + line.partition(" @")[2] for line in lines if " @fleet/" in line)
        )
    return []


def _asked(where: str) -> int | None:
    """The pid of this user's process that holds the name, once it has looked after its files; None:
    not one of ours.
    """
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as end:
        end.settimeout(PATIENCE)
        end.connect(where)
        pid, uid, _ = CREDENTIALS.unpack(
            end.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, CREDENTIALS.size)
        )
        if uid == os.getuid():
            with contextlib.suppress(OSError):  # a stopped one holds it all the same
                end.recv(1)
            return int(pid)
    return None
