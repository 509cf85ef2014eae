"""What the host and the cgroup say about memory: how much there is, and `oom_kill` of memory.events
(v2) or memory.oom_control (v1)."""

import contextlib
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_ROOT = "/sys/fs/cgroup"
_MIB, _PAGE = 1 << 20, os.sysconf("SC_PAGE_SIZE")
_FILES = {  # by whether it is version 2: limit, use, and the line of memory.stat that can be had
    True: ("memory.max", "memory.current", "inactive_file"),
    False: ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
}
_UNLIMITED = 1 << 60  # version 1 writes a very large number where there is no limit


class OomKills:
    """The cgroup's count of processes that the OOM killer has ended. `look` is cheap: one read,
    taken apart later.
    """

    def __init__(self) -> None:
        self._fd = _open()

    def look(self) -> bytes:
        """What is counted now; empty where nobody counts."""
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


def grew(before: bytes, after: bytes) -> bool:
    """Whether a process was ended between the two looks."""
    return _count(after) > _count(before)


def _count(events: bytes) -> int:
    found = re.search(rb"^oom_kill (\d+)$", events, re.MULTILINE)
    return int(found.group(1)) if found else 0


def counters(own_groups: str) -> Iterator[str]:
    """Where the count may be, by what /proc/self/cgroup says; the last is how a container may see
    its own v1 group.
    """
    if found := re.search(r"^0::(.*)$", own_groups, re.MULTILINE):
        yield f"{_ROOT}{found.group(1).rstrip('/')}/memory.events"
    if found := re.search(r"^\d+:(?:[^:]*,)?memory(?:,[^:]*)?:(.*)$", own_groups, re.MULTILINE):
        yield f"{_ROOT}/memory{found.group(1).rstrip('/')}/memory.oom_control"
        yield f"{_ROOT}/memory/memory.oom_control"


def _open() -> int | None:
    with contextlib.suppress(OSError):
        for path in counters(Path("/proc/self/cgroup").read_text()):
            with contextlib.suppress(OSError):
                return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    return None


@dataclass(frozen=True, slots=True)
class Found:
    """MiB that can be had without swapping, and MiB in all."""

    available: float
    total: float


class Gauge:
    """How much memory this process may still use: the tightest of the host and of every cgroup that
    it is in.
    """

    def __init__(self, root: str = _ROOT, proc: str = "/proc") -> None:
        self._meminfo = f"{proc}/meminfo"
        try:
            groups = Path(f"{proc}/self/cgroup").read_text()
        except OSError:
            groups = ""
        self._groups = [
            group for group in limits(groups, root) if Path(group[0], _FILES[group[1]][0]).exists()
        ]

    def look(self) -> Found | None:
        """What there is now; None where nobody says."""
        found = [
            each
            for each in (
                _host_left(self._meminfo),
                *(_group_left(*group) for group in self._groups),
            )
            if each
        ]
        return min(found, key=lambda each: each.available, default=None)


def limits(own_groups: str, root: str = _ROOT) -> Iterator[tuple[str, bool]]:
    """The directories whose limit may bind us, and whether they are of version 2; every group
    counts its children.
    """
    if found := re.search(r"^0::(.*)$", own_groups, re.MULTILINE):
        yield from ((f"{root}{path}", True) for path in _upwards(found.group(1)))
    if found := re.search(r"^\d+:(?:[^:]*,)?memory(?:,[^:]*)?:(.*)$", own_groups, re.MULTILINE):
        yield from ((f"{root}/memory{path}", False) for path in _upwards(found.group(1)))


def _upwards(path: str) -> Iterator[str]:
    """`/a/b`, `/a`, and nothing: the root is all that a container may see of its own group."""
    path = path.rstrip("/")
    while path:
        yield path
        path = path.rpartition("/")[0]
    yield ""


def _host_left(meminfo: str) -> Found | None:
    try:
        read = Path(meminfo).read_text()
    except OSError:
        return None
    fields = {
        name: int(kib) / 1024
        for name, kib in re.findall(r"^(MemTotal|MemAvailable): +(\d+) kB$", read, re.MULTILINE)
    }
    return Found(fields["MemAvailable"], fields["MemTotal"]) if len(fields) == 2 else None


def _group_left(directory: str, second: bool) -> Found | None:
    """What a group's limit leaves; pages of files that nobody uses can be had. None: there is no
    limit.
    """
    names = _FILES[second]
    try:
        limit, used = (int(Path(directory, name).read_text()) for name in names[:2])
        found = re.search(
            rf"^{names[2]} (\d+)$", Path(directory, "memory.stat").read_text(), re.MULTILINE
        )
    except (OSError, ValueError):  # `max` is no number: no limit
        return None
    left = limit - used + (int(found.group(1)) if found else 0)
    return Found(max(0, left) / _MIB, limit / _MIB) if limit < _UNLIMITED else None


def resident(pid: int) -> float:
    """MiB that a process has in memory; 0 when it is gone."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE / _MIB
    except (OSError, IndexError, ValueError):
        return 0.0
