"""Inside the job process: become a process of its own, call the job, turn what it does into an exit status.

Runs in the fork child of a dispatcher, from `run` on, and never returns from it. Nothing here talks to the
queue or the master.
"""

import contextlib
import os
import signal
import sys
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NoReturn

import setproctitle

from fleet.app import AppError, Job, load
from fleet.core.queue import Message
from fleet.system import processes, signals

FAILED = 1


@dataclass(frozen=True, slots=True)
class Work:
    """What a job process needs to know. `job` is None with --no-preload: it is imported here then."""

    app: str
    job: Job | None
    queue: str
    slot: int
    message: Message
    keep_fds: Sequence[int]


def run(work: Work, dispatcher: int) -> NoReturn:
    """Be the job. Signals are blocked when this begins."""
    code = FAILED
    try:
        _become_own_process(work, dispatcher)
        code = _called(work)
    except BaseException:  # noqa: BLE001 - a fault of ours before the job began; it must not end in silence
        _complain(f"fleet: the job process could not be set up\n{traceback.format_exc()}")
        _flushed()
    finally:
        processes.leave(code)


def _become_own_process(work: Work, dispatcher: int) -> None:
    """Own session and group, default handlers, no descriptor of fleet's; dies with the dispatcher."""
    os.setsid()
    signals.forget_wakeup()
    processes.default_group_signals()
    if not processes.die_with_parent(dispatcher, signal.SIGKILL):
        processes.leave(FAILED)
    _close_all_but(work.keep_fds)
    message = work.message
    # One by one: update() walks through all subclasses of Mapping, 0.5 ms of page faults in every job.
    os.environ["FLEET_JOB_QUEUE"] = work.queue
    os.environ["FLEET_JOB_ID"] = message.id
    os.environ["FLEET_JOB_ATTEMPT"] = str(message.attempt)
    os.environ["FLEET_JOB_SLOT"] = str(work.slot)
    setproctitle.setproctitle(f"fleet: job {work.app} {message.id} attempt {message.attempt}")
    processes.unblock_signals()


def _close_all_but(keep: Sequence[int]) -> None:
    """Close every descriptor that is not in the sorted `keep`."""
    low = 0
    for fd in keep:
        if low < fd:  # CPython hands an empty range to close_range(2) as "all"
            os.closerange(low, fd)
        low = fd + 1
    os.closerange(low, 1 << 20)


def _called(work: Work) -> int:
    """Call the job and give its exit status: 0 for a return, SystemExit's own, 1 for any other exception."""
    try:
        job: Callable[[str], object] = work.job or load(work.app)
        job(work.message.body)
        code = 0
    except SystemExit as leaving:
        code = _status(leaving)
    except AppError as error:
        _complain(f"{error.trace}fleet: {error}\n")
        code = FAILED
    except BaseException as error:  # noqa: BLE001 - nothing that user code raises may pass this line
        _complain(_trace(error))
        code = FAILED
    return code if _flushed() else code or FAILED


def _status(leaving: SystemExit) -> int:
    if leaving.code is None:
        return 0
    if isinstance(leaving.code, int):
        return leaving.code & 0xFF
    _complain(f"{leaving.code}\n")
    return FAILED


def _trace(error: BaseException) -> str:
    """The job's own part of the traceback: the first frame is ours."""
    own = error.__traceback__ and error.__traceback__.tb_next
    return "".join(traceback.format_exception(type(error), error, own))


def _complain(text: str) -> None:
    """To standard error, if there is one."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        sys.stderr.write(text)


def _flushed() -> bool:
    """Write out what the job printed. False if it could not be: then the job has not done what it thinks."""
    done = True
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None:
                stream.flush()
        except (OSError, ValueError):
            done = stream is sys.stderr and done
    return done
