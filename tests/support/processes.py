"""Which processes a test's programs have left on this machine, found by a mark in their environment.

A daemon that left its parent, its session and its group still carries the mark.
"""

import os
import signal
from dataclasses import dataclass
from pathlib import Path

MARK_VARIABLE = "POOL_TEST_ID"


@dataclass(frozen=True)
class Process:
    """A living process: its pid, its parent's, and its title (its command line as ps shows it)."""

    pid: int
    parent: int
    title: str


def marked(mark: str) -> list[Process]:
    """Return the living processes whose environment carries `mark`; zombies have no environment."""
    wanted = f"{MARK_VARIABLE}={mark}".encode()
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            process = _read(entry, wanted)
            if process:
                found.append(process)
    return sorted(found, key=lambda process: process.pid)


def _read(entry: Path, wanted: bytes) -> Process | None:
    try:
        if wanted not in (entry / "environ").read_bytes().split(b"\0"):
            return None
        title = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
        parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
    except (
        FileNotFoundError,
        ProcessLookupError,
        PermissionError,
    ):  # it ended while we looked, or is a stranger
        return None
    return Process(int(entry.name), parent, title)


def is_alive(pid: int) -> bool:
    """Say whether `pid` runs: a zombie does not."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return stat.rpartition(")")[2].split()[0] not in ("Z", "X")


def title(pid: int) -> str:
    """Return the title of `pid`, empty if it is gone."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def is_stopped(pid: int) -> bool:
    """Say whether a signal has stopped `pid`."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return stat.rpartition(")")[2].split()[0] == "T"


def kill_marked(mark: str) -> None:
    """End what a failed test left, by pid, until nothing carries `mark`."""
    while processes := marked(mark):
        for process in processes:
            try:
                os.kill(process.pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
