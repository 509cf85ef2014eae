"""Where a pool can be found: its name's lock and its control socket, in the runtime directory.

The process that holds the lock is the pool; a socket whose lock is free was left by a master that
was killed. The lock's file says where the socket is. A path too long for a socket's address is
reached through its directory's descriptor.

A clean-up may remove both files while the pool runs: the name is also held as an abstract socket
(`pool_name.py`), and `master/presence.py` makes the files again.
"""

import contextlib
import fcntl
import os
import re
import socket
import stat
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from math import ceil
from pathlib import Path

from fleet.core.records import replace
from fleet.ipc import pool_name
from fleet.system.host import runtime_directory

# Characters of a file's name; with its digest and what stands before it it fits a socket's address.
LONGEST = 60
_LOCK = struct.Struct("hhqqi")  # struct flock: type, whence, start, length, pid
BACKLOG = 16


class NameTaken(Exception):
    """A pool of that name runs already; the text is its pid."""


class NotOurs(Exception):
    """What lies at the socket's path is no socket, or another pool answers there."""


@dataclass(frozen=True, slots=True)
class Claim:
    """A name that this process holds.

    The lock's descriptor and file, the control socket's path, and `held`: the abstract socket of
    the name.
    """

    fd: int
    name: str
    lock: Path
    control: Path
    held: socket.socket | None = None
    bound: tuple[int, int] | None = None  # device and inode of the control socket


@dataclass(frozen=True, slots=True)
class RunningPool:
    """A pool that runs on this host."""

    name: str
    pid: int
    control: Path


def file_name(name: str) -> str:
    """A pool's name as part of a file's name; two names never share one."""
    plain = re.sub(r"[^A-Za-z0-9._@:-]", "_", name)[:LONGEST]
    return plain if plain == name else f"{plain}-{pool_name.digest(name)[:8]}"


def claim(name: str, control: str | None = None) -> Claim:
    """Hold the pool's name until this process dies. Raises NameTaken, OSError.

    A POSIX lock belongs to this process alone: its children do not hold it, whatever they inherit,
    and dispatchers that survive their master do not keep its name. And the lock is gone as soon as
    this process closes *any* descriptor of the file: nothing else here may open it. `control`: the
    socket's path, if it shall not be beside the lock.
    """
    directory = runtime_directory()
    path = Path.cwd() / control if control else directory / f"{file_name(name)}.sock"
    try:
        held = pool_name.hold(pool_name.address(directory, file_name(name)))
    except pool_name.NameHeld as error:
        raise NameTaken(str(error)) from None
    try:
        return _lock(Claim(-1, name, directory / f"{file_name(name)}.lock", path, held))
    except BaseException:  # whatever was raised is raised again; only the name must not be kept
        if held is not None:
            held.close()
        raise


def lock_again(ours: Claim) -> Claim:
    """Make the lock's file again, when it was removed.

    Raises NameTaken, OSError, and then changes nothing.
    """
    runtime_directory()
    again = _lock(ours)
    os.close(ours.fd)
    return again


def _lock(ours: Claim) -> Claim:
    fd = os.open(ours.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK, 0o600)
    try:
        try:
            fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError):
            raise NameTaken(str(_holder(fd) or "unknown")) from None
        os.ftruncate(fd, 0)
        os.pwrite(
            fd, f"{os.getpid()}\n{ours.name}\n{ours.control}\n".encode(errors="surrogateescape"), 0
        )
    except BaseException:  # as above
        os.close(fd)
        raise
    return replace(ours, fd=fd)


def is_locked(ours: Claim) -> bool:
    """Whether our lock's file is still where others look for it."""
    try:
        there = ours.lock.stat()
    except OSError:
        return False
    return os.path.samestat(there, os.fstat(ours.fd))


def is_bound(ours: Claim) -> bool:
    """Whether our control socket is still where others look for it."""
    try:
        there = ours.control.lstat()
    except OSError:
        return False
    return (there.st_dev, there.st_ino) == ours.bound


def running_pools(own: Path | None = None) -> list[RunningPool]:
    """The pools that run on this host, but for that with the lock `own`, by name.

    Pools whose files are gone make them again for it. Raises OSError without a runtime directory.
    """
    directory = runtime_directory()
    pools = _read_locks(directory, own)
    names = {file_name(place.name) for place in pools}
    if pool_name.wake_hidden_pools(directory, names if own is None else {*names, own.stem}):
        pools = _read_locks(directory, own)
    return pools


def _read_locks(directory: Path, own: Path | None) -> list[RunningPool]:
    pools = []
    for path in sorted(set(directory.glob("*.lock")) - {own}):
        with (
            contextlib.suppress(OSError, ValueError),
            open(path, "rb", opener=_without_waiting) as file,
        ):
            if pid := _holder(file.fileno()):
                _, name, control, *_ = file.read(8192).decode(errors="surrogateescape").split("\n")
                pools.append(RunningPool(name, pid, Path(control)))
    return pools


def _without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK | os.O_CLOEXEC)


def _holder(fd: int) -> int | None:
    """The pid of the process that holds the file's lock, None if none does.

    The lock is not touched.
    """
    asked = _LOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
    kind, _, _, _, pid = _LOCK.unpack(fcntl.fcntl(fd, fcntl.F_GETLK, asked))
    return None if kind == fcntl.F_UNLCK else pid


def listen(ours: Claim) -> tuple[Claim, socket.socket]:
    """The listening control socket of a name that this process holds, mode 0600.

    Raises NotOurs, OSError.
    """
    path = ours.control
    with contextlib.suppress(FileNotFoundError):
        if not stat.S_ISSOCK(path.lstat().st_mode):
            raise NotOurs(f"{path} is there already and is no socket")
        if any(place.control == path for place in running_pools(ours.lock)):
            raise NotOurs(f"another pool listens at {path}")
        path.unlink()
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    before = os.umask(0o177)
    try:
        with _address(path) as address:
            listener.bind(address)
        listener.listen(BACKLOG)
        made = path.lstat()
    except BaseException:  # as above: the socket must not be left open
        listener.close()
        raise
    finally:
        os.umask(before)
    return replace(ours, bound=(made.st_dev, made.st_ino)), listener


def connect(path: Path, timeout: float) -> socket.socket:
    """A connection to a pool's control socket. Raises OSError."""
    end = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    # Not settimeout() yet: with it a connect does not wait for room in a full backlog but fails at
    # once.
    end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", ceil(timeout), 0))
    try:
        with _address(path) as address:
            end.connect(address)
        end.settimeout(timeout)
    except BaseException:  # as above: the socket must not be left open
        end.close()
        raise
    return end


@contextmanager
def _address(path: Path) -> Iterator[str]:
    """An address for the path: a socket's has 108 bytes at most.

    One below /proc/self/fd (Linux) is always short enough.
    """
    if len(os.fsencode(path)) < 100 or not Path("/proc/self/fd").exists():
        yield str(path)
        return
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{directory}/{path.name}"
    finally:
        os.close(directory)
