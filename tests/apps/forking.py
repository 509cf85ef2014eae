"""The app of the tests about job forkers: does what it is told at a fork in a forker.

The files "before" and "after" say what: kill, stop or hang this process, or start a thread in it;
before it forks, or after it has forked and before it has told its dispatcher. "births" has a line
for each job, by whom it was forked.
"""

import os
import posix
import signal
import threading
from pathlib import Path

import jobs
from jobs import SHARED, job


def title() -> str:
    return Path("/proc/self/cmdline").read_bytes().rstrip(b"\0").decode()


def obey(when: str) -> None:
    if not title().startswith("fleet: forker"):
        return
    order = SHARED / when
    if not order.exists():
        return
    what = order.read_text()
    order.unlink()
    match what:
        case "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        case "stop":
            os.kill(os.getpid(), signal.SIGSTOP)
        case "hang":
            signal.pause()
        case "thread":
            threading.Thread(target=threading.Event().wait, daemon=True).start()


def note_birth() -> None:
    jobs.forked_by = title()


posix.register_at_fork(  # not os: what that is given at an import acts in jobs only
    before=lambda: obey("before"),
    after_in_parent=lambda: obey("after"),
    after_in_child=note_birth,
)


def told(body: str) -> object:
    """Say who has forked this job, then be a job."""
    jobs.write("born", body[:100], jobs.forked_by)
    return job(body)


__all__ = ["told"]
