"""A pool's name, held as an abstract socket (unix(7)) for as long as the pool lives.

No clean-up of files removes the socket. It excludes a second pool of the name when the lock's file
is gone, and a client that connects to it has the pool make its files again. The address says whose
pool it is and where its files lie, so that pools of other users, and of containers that share a
network but no runtime directory, do not get in each other's way. Pools that share a directory but
no network exclude each other by the lock (`pool_socket.py`).
"""

import contextlib
import errno
import os
import socket
import struct
from pathlib import Path

BACKLOG = 16
PATIENCE = 2.0  # seconds for a pool to have made its files again
MOST_KNOCKS = 16
CREDENTIALS = struct.Struct("iII")  # of SO_PEERCRED: pid, uid, gid


class NameHeld(Exception):
    """Another process of this user holds the name; the text is its pid, or `unknown`."""


def address(directory: Path, name: str) -> str:
    """The socket's address for a pool whose files lie in that directory. Raises OSError."""
    return _prefix(directory) + digest(name)[:16]


def digest(name: str) -> str:
    """The SHA-256 of a name, in hexadecimal.

    By the interpreter's own module, where there is one: hashlib loads OpenSSL, half a MiB that the
    master would carry.
    """
    try:
        try:
            from _sha2 import sha256  # from Python 3.12 on
        except ImportError:
            from _sha256 import sha256
    except ImportError:
        from hashlib import sha256
    hexadecimal: str = sha256(name.encode(errors="surrogateescape")).hexdigest()
    return hexadecimal


def _prefix(directory: Path) -> str:
    """The beginning of the addresses of all pools whose files lie in that directory.

    It names the directory above, which a clean-up of the contents does not remove.
    """
    above = directory.parent.stat()
    return f"\0fleet/{os.getuid()}/{above.st_dev:x}:{above.st_ino:x}/"


def hold(where: str) -> socket.socket | None:
    """The listening socket of a name that nobody holds. Raises NameHeld.

    None where there are no such sockets, or a stranger has this one.
    """
    end = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        end.bind(where)
        end.listen(BACKLOG)
    except OSError as error:
        end.close()
        if error.errno == errno.EADDRINUSE and (pid := _ask_holder(where)) is not None:
            raise NameHeld(str(pid or "unknown")) from None
        return None
    return end


def wake_hidden_pools(directory: Path, known: set[str]) -> bool:
    """Have pools make their files again that are gone; returns whether there is such a pool.

    `known`: the file names of the pools whose files are there.
    """
    prefix = _prefix(directory)
    visible = {address(directory, name) for name in known}
    hidden = [each for each in _list_names() if each.startswith(prefix) and each not in visible]
    pids = [_ask_holder(each) for each in hidden[:MOST_KNOCKS]]  # all of them, not up to the first
    return any(pid is not None for pid in pids)


def _list_names() -> list[str]:
    """The abstract addresses of all pools on this host.

    /proc/net/unix writes an at-sign for the zero byte.
    """
    with contextlib.suppress(OSError):
        lines = Path("/proc/net/unix").read_text(errors="replace").splitlines()
        return list(
            dict.fromkeys("\0" + line.partition(" @")[2] for line in lines if " @fleet/" in line)
        )
    return []


def _ask_holder(where: str) -> int | None:
    """The pid of the process that holds the name, once it has looked after its files.

    None when no process of this user holds it.
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
