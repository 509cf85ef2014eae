"""An app whose import leaves a trap that hangs the first dispatcher that starts a job: a hang that
no job can heal.
"""

import os
from typing import Any

from jobs import SHARED, job, pass_gate, write

from fleet.dispatcher.job_forker import JobForker


def hang_once() -> None:
    if not os.environ.get("HANG"):
        return
    try:
        os.close(os.open(SHARED / "hung", os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return
    write("hanging", "")
    pass_gate("never")


def start(self: JobForker, *args: Any) -> Any:
    running = real_start(self, *args)
    hang_once()
    return running


real_start = JobForker.start
JobForker.start = start  # type: ignore[assignment, method-assign]

__all__ = ["job"]
