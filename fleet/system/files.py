"""Files that others read while we write them, or the other way round.

Nothing here waits, whatever lies at a path.
"""

import contextlib
import errno
import os
import stat
from pathlib import Path


class NotRegularFile(OSError):
    """What lies at the path is a FIFO, a directory, a device or a socket."""

    def __init__(self) -> None:
        super().__init__(errno.EINVAL, "it is no regular file")


class UntrustedFile(OSError):
    """Somebody else may have written what lies at the path; the text says why."""

    def __init__(self, why: str) -> None:
        super().__init__(errno.EPERM, why)


def write(path: Path, content: bytes) -> None:
    """Replace the file, whole or not at all: a reader never sees half of it.

    What is there and is no file is not replaced. The part has a name that nobody can have taken
    before. Raises OSError, NotRegularFile.
    """
    with contextlib.suppress(FileNotFoundError):
        mode = path.lstat().st_mode
        if not (stat.S_ISREG(mode) or stat.S_ISLNK(mode)):
            raise NotRegularFile
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
    """The first `most` bytes of a file. Raises OSError, NotRegularFile.

    It is opened so that a FIFO without a writer does not hold us up, and a terminal does not become
    ours.
    """
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise NotRegularFile
        return os.read(fd, most)
    finally:
        os.close(fd)


def read_trusted(path: Path, most: int) -> bytes:
    """Read as `read` does what this user or root has put there and not everybody may change.

    Raises OSError, NotRegularFile, UntrustedFile. A link must be as trusted as the file: a
    user who may make the link may choose among our files.
    """
    link = path.lstat()
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    try:
        status = os.fstat(fd)
        for each in (link, status):
            if each.st_uid not in (0, os.geteuid()):
                raise UntrustedFile(
                    f"it belongs to user {each.st_uid}, and this is user {os.geteuid()}"
                )
        if not stat.S_ISREG(status.st_mode):
            raise NotRegularFile
        if status.st_mode & stat.S_IWOTH:
            raise UntrustedFile("everybody may write to it")
        return os.read(fd, most)
    finally:
        os.close(fd)
