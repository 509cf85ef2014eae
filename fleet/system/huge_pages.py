"""Puts this process's memory on huge pages, before it is forked from.

A fork copies an entry for each page, and the end of the child takes it away again. On pages of
2 MiB instead of 4 KiB there is next to nothing to copy. A child that writes to a huge page copies
4 KiB of it, as it does without (Linux ≥ 5.8).

MADV_COLLAPSE (Linux ≥ 6.1) does this at once, for what is in memory now. What is mapped later is as
the host has it. It does not heed /sys/kernel/mm/transparent_hugepage, so `never` is heeded here.

docs/decisions/0030 has the reasons.
"""

import ctypes
import errno
import os
import re
from collections.abc import Callable, Iterator

from fleet.system import pseudo_files
from fleet.system.clock import now
from fleet.system.memory import MemoryGauge

SETTINGS = "/sys/kernel/mm/transparent_hugepage"
_MADV_COLLAPSE = 25
# The host, or our cgroup, has no huge page to give.
_NONE_LEFT = (errno.ENOMEM, errno.EBUSY)
_PAGE = os.sysconf("SC_PAGE_SIZE")
# Of an entry of /proc/PID/pagemap: in memory, and mapped by this process only. Neither a page that
# was only read and never written (it takes no memory), nor one that a child shares, has both.
_OWN = (1 << 63) | (1 << 56)
# The share of a huge page that must be in memory before: the collapse fills the rest with zeros.
_FILLED = 7 / 8
_AT_ONCE = 16  # huge pages in a call, between two looks at the clock
_RESERVE_MIB = 64.0  # left over beside what a collapse may add

_libc = ctypes.CDLL(None, use_errno=True)

Range = tuple[int, int]  # of addresses


def collapse(seconds: float, settings: str = SETTINGS, gauge: MemoryGauge | None = None) -> int:
    """Put the private, writable, anonymous memory of this process on huge pages.

    It stops after about so many seconds, and when no huge page is to be had; it does nothing where
    the host says `never`, or memory is short. Returns how many bytes are on huge pages now. Raises
    nothing: what cannot be done is left as it is.
    """
    stop_at, done = now() + seconds, 0
    try:
        size = int(pseudo_files.read(f"{settings}/hpage_pmd_size"))
        if is_forbidden(settings, size):
            return 0
        with open("/proc/self/pagemap", "rb", buffering=0) as pagemap:  # noqa: PTH123 - unbuffered
            ranges = candidates(pseudo_files.read_text("/proc/self/maps"), size)
            filled = list(runs(ranges, size, lambda at: _is_filled(pagemap.fileno(), at, size)))
    except (OSError, ValueError):  # no huge pages, or no such files: a container's /proc or /sys
        return 0
    if not _is_room_for(sum(end - begin for begin, end in filled), gauge or MemoryGauge()):
        return 0
    for begin, end in filled:
        if now() > stop_at:
            break
        failed = _libc.madvise(ctypes.c_void_p(begin), ctypes.c_size_t(end - begin), _MADV_COLLAPSE)
        if failed and ctypes.get_errno() in _NONE_LEFT:
            break
        done += 0 if failed else end - begin
    return done


def is_forbidden(settings: str, size: int) -> bool:
    """Whether the host wants no huge pages of that size (in bytes). Raises OSError.

    What is said of a size counts more than what is said of all (Linux ≥ 6.8).
    """
    try:
        text = pseudo_files.read_text(f"{settings}/hugepages-{size >> 10}kB/enabled")
    except FileNotFoundError:
        text = "[inherit]"
    if "[inherit]" in text:
        text = pseudo_files.read_text(f"{settings}/enabled")
    return "[never]" in text


def candidates(maps: str, size: int) -> Iterator[Range]:
    """The parts of /proc/self/maps that may be put on huge pages of that size, aligned to it.

    Private, writable and anonymous, but no stack: heap, arenas, what malloc has mapped.
    """
    for line in re.finditer(
        r"^([0-9a-f]+)-([0-9a-f]+) rw-p \S+ \S+ 0 *(?:\[heap\]|\[anon:.*)?$", maps, re.MULTILINE
    ):
        begin, end = (int(address, 16) for address in line.groups())
        begin, end = -(-begin // size) * size, end // size * size
        if begin < end:
            yield begin, end


def runs(ranges: Iterator[Range], size: int, is_filled: Callable[[int], bool]) -> Iterator[Range]:
    """The runs of filled huge pages in these ranges; a run is at most `_AT_ONCE` of them long."""
    for begin, end in ranges:
        start = begin
        for at in range(begin, end, size):
            if not is_filled(at):
                if start < at:
                    yield start, at
                start = at + size
            elif at + size - start == _AT_ONCE * size:
                yield start, at + size
                start = at + size
        if start < end:
            yield start, end


def _is_filled(pagemap: int, at: int, size: int) -> bool:
    """Whether most of the huge page at this address is in memory. Raises OSError."""
    pages = size // _PAGE
    entries = memoryview(os.pread(pagemap, pages * 8, at // _PAGE * 8)).cast("Q")
    return sum(entry & _OWN == _OWN for entry in entries) >= pages * _FILLED


def _is_room_for(collapsed: int, gauge: MemoryGauge) -> bool:
    """Whether the host and our cgroup have room for what the collapse of so many bytes may add."""
    free = gauge.read()
    added = collapsed * (1 - _FILLED) / (1 << 20)
    return free is None or free.available >= added + _RESERVE_MIB
