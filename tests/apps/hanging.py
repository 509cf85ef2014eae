"""An app whose import leaves a hook that hangs the first dispatcher that forks a job: a hang that
no job can heal.
"""

import os
import posix
from pathlib import Path

from jobs import SHARED, job, pass_gate, write


def hang_once() -> None:
    """In the parent, after a fork: the template's own forks are not meant."""
    if not os.environ.get("HANG") or not _is_dispatcher():
        return
    try:
        os.close(os.open(SHARED / "hung", os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return
    write("hanging", "")
    pass_gate("never")


def _is_dispatcher() -> bool:
    return Path("/proc/self/cmdline").read_text().startswith("fleet: dispatcher")


posix.register_at_fork(  # not os: what that is given at an import acts in jobs only
    after_in_parent=hang_once
)

__all__ = ["job"]
