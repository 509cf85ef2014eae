"""What the cgroup says about memory: `oom_kill` of memory.events (v2) or memory.oom_control (v1)."""

import contextlib
import os
import re
from collections.abc import Iterator
from pathlib import Path

_ROOT = "/sys/fs/cgroup"


class OomKills:
    """The cgroup's count of processes that the OOM killer has ended. `look` is cheap: one read, taken apart later."""

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


def grew(before: bytes, after: bytes) -> bool:
    """Whether a process was ended between the two looks."""
    return _count(after) > _count(before)


def _count(events: bytes) -> int:
    found = re.search(rb"^oom_kill (\d+)$", events, re.MULTILINE)
    return int(found.group(1)) if found else 0


def counters(own_groups: str) -> Iterator[str]:
    """Where the count may be, by what /proc/self/cgroup says; the last is how a container may see its own v1 group."""
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
