"""Files that others read while we write them, or the other way round. Nothing here waits, whatever
lies at a path.
"""

import contextlib
import errno
import os
import stat
from pathlib import Path


class NoFile(OSError):
    """What lies at the path is a FIFO, a directory, a device or a socket."""

    def __init__(self) -> None:
        super().__init__(errno.EINVAL, "it is no regular file")


class Distrusted(OSError):
    """Somebody else may have written what lies at the path; the text says why."""

    def __init__(self, why: str) -> None:
        super().__init__(errno.EPERM, why)


def write(path: Path, content: bytes) -> None:
    """Replace what is there, whole or not at all: a reader never sees half of it. Raises OSError.

    What is no file is not replaced. The part has a name that nobody can have taken before.
    """
    with contextlib.suppress(FileNotFoundError):
        found = path.lstat().st_mode
        if not (stat.S_ISREG(found) or stat.S_ISLNK(found)):
            raise NoFile
    part = path.with_name(f".{path.name[:40]}.{os.urandom(8).hex()}")
    fd = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
    try:
        try:
            written = os.write(fd, content)
        finally:
            os.close(fd)
        if written < len(content):  # the disk became full meanwhile
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        part.replace(path)
    except OSError:
        with contextlib.suppress(OSError):
            part.unlink()
        raise


def read(path: Path, most: int) -> bytes:
    """The first `most` bytes. Raises OSError. A FIFO without a writer would hold us up, a terminal
    become ours.
    """
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise NoFile
        return os.read(fd, most)
    finally:
        os.close(fd)


def read_trusted(path: Path, most: int) -> bytes:
    """As `read`, of what this user or root has put there and not everybody may change. Raises
    Distrusted too.

    A link is somebody's word as well: who may make one may choose among our files.
    """
    link = path.lstat()
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    try:
        found = os.fstat(fd)
        for each in (link, found):
            if each.st_uid not in (0, os.geteuid()):
                raise Distrusted(
                    f"it belongs to user {each.st_uid}, and this is user {os.geteuid()}"
                )
        if not stat.S_ISREG(found.st_mode):
            raise NoFile
        if found.st_mode & stat.S_IWOTH:
            raise Distrusted("everybody may write to it")
        return os.read(fd, most)
    finally:
        os.close(fd)
