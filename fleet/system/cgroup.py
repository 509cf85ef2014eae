"""What the cgroups of this process say: limits of memory and processors, and OOM kills.

Version 2 (`0::/path` in /proc/self/cgroup) and version 1 (`4:memory:/path`) are both read.
"""

import contextlib
import os
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from fleet.system import pseudo_files

ROOT = "/sys/fs/cgroup"
_UNLIMITED = 1 << 60  # bytes: version 1 writes a very large number where there is no limit


class OomKills:
    """The cgroup's count of processes that the OOM killer has ended: `oom_kill`.

    It is in memory.events (version 2) or memory.oom_control (version 1). To read it is one system
    call; the text is taken apart by `has_oom_kill`, and only when that matters.
    """

    def __init__(self, files: Callable[[str], Iterable[str]] | None = None) -> None:
        """`files`: in place of `oom_files`."""
        self._fd = _open_first(files or oom_files)

    def read(self) -> bytes:
        """The text of the count as it is now; empty where nobody counts."""
        if self._fd is None:
            return b""
        try:
            return os.pread(self._fd, 4096, 0)
        except OSError:
            return b""

    def close(self) -> None:
        """Give the descriptor back; nothing is counted any more."""
        if self._fd is not None:
            os.close(self._fd)
        self._fd = None

    @property
    def descriptors(self) -> tuple[int, ...]:
        """What a forked child must not keep."""
        return () if self._fd is None else (self._fd,)


def has_oom_kill(before: bytes, after: bytes) -> bool:
    """Whether the OOM killer has ended a process between two texts of `OomKills.read`."""
    return _count(after) > _count(before)


def _count(events: bytes) -> int:
    match = re.search(rb"^oom_kill (\d+)$", events, re.MULTILINE)
    return int(match.group(1)) if match else 0


def oom_files(own_groups: str) -> Iterator[str]:
    """The files that may hold the count, by the text of /proc/self/cgroup.

    The last file is where a container may see its own group of version 1.
    """
    if (path := _path_v2(own_groups)) is not None:
        yield f"{ROOT}{path.rstrip('/')}/memory.events"
    if (path := _memory_path_v1(own_groups)) is not None:
        yield f"{ROOT}/memory{path.rstrip('/')}/memory.oom_control"
        yield f"{ROOT}/memory/memory.oom_control"


@dataclass(frozen=True, slots=True)
class MemoryLimit:
    """A cgroup's directory, and its files: the limit, the use, and what of the use can be had."""

    directory: str
    limit_file: str
    usage_file: str
    reclaimable_field: str  # of memory.stat

    def exists(self) -> bool:
        """Whether the group has such a file; the limit in it may be none."""
        try:
            os.stat(f"{self.directory}/{self.limit_file}")  # noqa: PTH116
        except OSError:
            return False
        return True

    def read(self) -> tuple[int, int] | None:
        """The bytes that the limit leaves, and the limit. None: there is no limit.

        Pages of files that nobody uses can be had.
        """
        try:
            limit = int(pseudo_files.read(f"{self.directory}/{self.limit_file}"))
            used = int(pseudo_files.read(f"{self.directory}/{self.usage_file}"))
            stat = pseudo_files.read_text(f"{self.directory}/memory.stat")
        except (OSError, ValueError):  # `max` is no number: no limit
            return None
        match = re.search(rf"^{self.reclaimable_field} (\d+)$", stat, re.MULTILINE)
        left = limit - used + (int(match.group(1)) if match else 0)
        return (max(0, left), limit) if limit < _UNLIMITED else None


def memory_limits(own_groups: str, root: str = ROOT) -> Iterator[MemoryLimit]:
    """The groups whose limit may bind us: our own and all above; a group counts its children."""
    if (path := _path_v2(own_groups)) is not None:
        files = ("memory.max", "memory.current", "inactive_file")
        yield from (MemoryLimit(f"{root}{each}", *files) for each in _upwards(path))
    if (path := _memory_path_v1(own_groups)) is not None:
        files = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
        yield from (MemoryLimit(f"{root}/memory{each}", *files) for each in _upwards(path))


def cpu_quota() -> int | None:
    """The processors that the quota of our group allows, rounded up; None without a quota."""
    try:
        path = _path_v2(pseudo_files.read_text("/proc/self/cgroup")) or ""
        limit, period = pseudo_files.read_text(f"{ROOT}{path}/cpu.max").split()
    except (OSError, ValueError):
        return None
    return None if limit == "max" else -(-int(limit) // int(period))


def _path_v2(own_groups: str) -> str | None:
    match = re.search(r"^0::(.*)$", own_groups, re.MULTILINE)
    return match.group(1) if match else None


def _memory_path_v1(own_groups: str) -> str | None:
    match = re.search(r"^\d+:(?:[^:]*,)?memory(?:,[^:]*)?:(.*)$", own_groups, re.MULTILINE)
    return match.group(1) if match else None


def _upwards(path: str) -> Iterator[str]:
    """`/a/b`, `/a`, and nothing: the root is all that a container may see of its own group."""
    path = path.rstrip("/")
    while path:
        yield path
        path = path.rpartition("/")[0]
    yield ""


def _open_first(files: Callable[[str], Iterable[str]]) -> int | None:
    with contextlib.suppress(OSError):
        for path in files(pseudo_files.read_text("/proc/self/cgroup")):
            with contextlib.suppress(OSError):
                return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    return None
