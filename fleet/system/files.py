"""Files that others read while we write them."""

import contextlib
import errno
import os
from pathlib import Path


def write(path: Path, content: bytes) -> None:
    """Replace what is there, whole or not at all: a reader never sees half of it. Raises OSError."""
    part = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        fd = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
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
