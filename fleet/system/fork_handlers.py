"""Which shared objects in memory may have registered handlers with pthread_atfork.

There is no list of the handlers. But who registers one calls `__register_atfork` of the C library,
and an object that calls it has its name in the table of its dynamic symbols. So an object without
the name has no handlers; one with the name may have some, and counts as if it had, unless it is
known that its handlers are of no use to a process that a sibling has forked (sibling_fork.py).

docs/decisions/0033 has the reasons.
"""

import errno
import os
import struct

from fleet.system import pseudo_files

_REGISTER = (b"__register_atfork\0", b"\0pthread_atfork\0")
_ITS_OWN = ("libc.so.6", "libpthread.so.0")  # who defines the name
# OpenBLAS, that of numpy: before a fork it ends its threads, in whoever forks. After it, nothing.
_HARMLESS = b"\0openblas_fork_handler\0"
_NO_DESCRIPTOR = (errno.EMFILE, errno.ENFILE)
_PT_LOAD, _PT_DYNAMIC = 1, 2
_DT_STRTAB, _DT_STRSZ = 5, 10
_ELF = b"\x7fELF\x02\x01"  # of 64 bits, the lowest byte first
_PROGRAM_HEADER = struct.Struct("<IIQQQQQQ")

_judged: dict[tuple[str, int], bool] = {}  # by path and inode, also for the forks of this process


def find() -> list[str]:
    """The paths of those objects; none of them is good news.

    An object that is no longer where it was, or cannot be read, counts. Raises OSError where
    nobody says what is in memory, or there is no descriptor to read it with.
    """
    found = []
    for path, inode in sorted(_objects()):
        if (path, inode) not in _judged:
            _judged[path, inode] = _may_have_handlers(path)
        if _judged[path, inode]:
            found.append(path)
    return found


def _objects() -> set[tuple[str, int]]:
    """Path and inode of every file whose code is in memory."""
    objects = set()
    for line in pseudo_files.read("/proc/self/maps").splitlines():
        _, access, _, _, inode, *path = line.split(None, 5)
        if b"x" in access and path and path[0].startswith(b"/"):
            objects.add((os.fsdecode(path[0]), int(inode)))
    return objects


def _may_have_handlers(path: str) -> bool:
    if path.rpartition("/")[2] in _ITS_OWN:
        return False
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            names = _read_names(fd)
        finally:
            os.close(fd)
    except OSError as error:
        if error.errno in _NO_DESCRIPTOR:
            raise
        return True
    except (struct.error, ValueError):
        return True
    return any(name in names for name in _REGISTER) and _HARMLESS not in names


def _read_names(fd: int) -> bytes:
    """The names of an object's dynamic symbols, one after another.

    Empty for a file that is no shared object. Raises OSError, struct.error, ValueError.
    """
    head = os.pread(fd, 64, 0)
    if not head.startswith(_ELF):
        return b""
    (table_at,) = struct.unpack_from("<Q", head, 32)
    size, count = struct.unpack_from("<HH", head, 54)
    table = os.pread(fd, size * count, table_at)
    segments = [_PROGRAM_HEADER.unpack_from(table, number * size) for number in range(count)]
    entries = {}
    for kind, _, offset, _, _, length, _, _ in segments:
        if kind == _PT_DYNAMIC:
            entries = dict(struct.iter_unpack("<QQ", os.pread(fd, length, offset)))
    if _DT_STRTAB not in entries:
        return b""
    where = entries[_DT_STRTAB]
    for kind, _, offset, address, _, length, _, _ in segments:
        if kind == _PT_LOAD and address <= where < address + length:
            return os.pread(fd, entries[_DT_STRSZ], offset + where - address)
    raise ValueError("its names are in no segment")
