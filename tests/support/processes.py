"""Which processes a test and its programs have left on this machine, and the end of them.

The programs are found by a mark in their environment: a daemon that left its parent, its session
and its group still carries it. What a test has forked itself has no mark, and is found as a child.
"""

import contextlib
import os
import signal
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from tests.support.eventually import eventually

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
        title = (
            (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
        )
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
        return (
            Path(f"/proc/{pid}/cmdline")
            .read_bytes()
            .replace(b"\0", b" ")
            .decode(errors="replace")
            .strip()
        )
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
    eventually(
        lambda: not _kill(process.pid for process in marked(mark)),
        what=lambda: f"gone: {marked(mark)}",
    )


def children() -> set[int]:
    """The pids of this process's children, alive or dead."""
    return _children_of(os.getpid())


def end_families(roots: Iterable[int]) -> None:
    """End these children of ours, and all that descends from them; reap them.

    All are stopped first: a shim that is killed before its job leaves it to process 1, where
    nobody would find it.
    """
    roots, family = set(roots), set[int]()
    while new := roots.union(*map(_children_of, family)) - family:
        _kill(new, signal.SIGSTOP)
        family |= new
    _kill(family)
    for root in roots:
        with contextlib.suppress(ChildProcessError):
            os.waitpid(root, 0)
    eventually(
        lambda: not any(map(is_alive, family)), what=lambda: f"gone: {[*filter(is_alive, family)]}"
    )


def _children_of(pid: int) -> set[int]:
    """Of all its threads."""
    found: set[int] = set()
    with contextlib.suppress(OSError):  # it has ended
        for thread in Path(f"/proc/{pid}/task").iterdir():
            with contextlib.suppress(OSError):
                found |= {int(child) for child in (thread / "children").read_text().split()}
    return found


def _kill(pids: Iterable[int], number: int = signal.SIGKILL) -> bool:
    """Send a signal to each; say whether there was any."""
    any_ = False
    for pid in pids:
        any_ = True
        with contextlib.suppress(ProcessLookupError, PermissionError):  # gone, or another user's
            os.kill(pid, number)
    return any_
