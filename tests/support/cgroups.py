"""Control groups of version 1, for what only they can do to a process.

They are not everywhere, see needs.py.
"""

import contextlib
import os
import uuid
from collections.abc import Iterator
from pathlib import Path

from tests.support.eventually import eventually

ROOT = Path("/sys/fs/cgroup")


def usable(controller: str) -> bool:
    """Say whether groups can be made."""
    return (ROOT / controller / "cgroup.procs").exists() and os.access(ROOT / controller, os.W_OK)


@contextlib.contextmanager
def group(controller: str) -> Iterator[Path]:
    """Make a group of one's own below the root; it is removed when nobody is in it any more."""
    path = ROOT / controller / f"fleet-test-{uuid.uuid4().hex[:8]}"
    path.mkdir()
    try:
        yield path
    finally:
        eventually(lambda: not (path / "cgroup.procs").read_text(), what=f"nobody in {path}")
        path.rmdir()


@contextlib.contextmanager
def frozen(pid: int) -> Iterator[None]:
    """Keep a process in uninterruptible sleep until the block ends.

    A SIGKILL has its effect only then.
    """
    with group("freezer") as path:
        (path / "cgroup.procs").write_text(str(pid))
        (path / "freezer.state").write_text("FROZEN")
        try:
            yield
        finally:
            (path / "freezer.state").write_text("THAWED")
            with contextlib.suppress(ProcessLookupError):
                (path.parent / "cgroup.procs").write_text(str(pid))
