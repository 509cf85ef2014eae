"""Small files that the kernel makes when they are read: /proc, /sys.

Not by `pathlib`: it imports a lot, and in what is forked for each job all of it is carried along.
"""

import os

_PIECE = 1 << 16  # bytes


def read(path: str) -> bytes:
    """All of it. Raises OSError."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        content = b""
        while piece := os.read(fd, _PIECE):
            content += piece
        return content
    finally:
        os.close(fd)


def read_text(path: str) -> str:
    """All of it, whatever bytes are in it. Raises OSError."""
    return read(path).decode(errors="replace")


def list_numbers(directory: str) -> list[int]:
    """The names there that are numbers: pids, threads, descriptors. Raises OSError."""
    names = os.listdir(directory)  # noqa: PTH208
    return [int(name) for name in names if name.isdigit()]
