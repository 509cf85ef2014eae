"""What a forked child becomes before user code runs in it: a process of its own, with nothing of
fleet's.
"""

import os
import signal
from collections.abc import Sequence

from fleet.core.queue import Message
from fleet.ipc.shared_page import SharedPage
from fleet.job import api, end, outputs, randomness
from fleet.system import descriptors, processes, signals, stacks, titles

OOM_SCORE = b"500"  # under memory pressure the kernel ends jobs before dispatchers


def become(dispatcher: int, keep_fds: Sequence[int] | None) -> None:
    """Own session and group, default handlers, no descriptor but the sorted `keep_fds` (None: all);
    dies with us.
    """
    os.setsid()
    signals.forget_wakeup()
    signals.reset_group_signals()
    stacks.disable()
    signals.set_handlers_for_jobs()
    if not processes.die_with_parent(
        dispatcher, signal.SIGKILL
    ):  # the dispatcher is dead: as if it had been in time
        processes.kill(os.getpid(), signal.SIGKILL)
    if keep_fds is not None:
        descriptors.close_all_but(keep_fds)
    _offer_to_oom_killer()


def introduce(message: Message, queue: str, slot: int, title: str) -> None:
    """What user code finds about its message."""
    # One by one: update() walks through all subclasses of Mapping, 0.5 ms of page faults in every
    # job.
    os.environ["FLEET_JOB_QUEUE"] = queue
    os.environ["FLEET_JOB_ID"] = message.id
    os.environ["FLEET_JOB_ATTEMPT"] = str(message.attempt)
    os.environ["FLEET_JOB_SLOT"] = str(slot)
    api.begin(message)
    titles.show(f"fleet: {title} {message.id} attempt {message.attempt}")


def forget_the_parents(keep_fds: Sequence[int] | None) -> None:
    """What was registered, buffered or drawn before the fork is not this process's.

    A pool's dispatcher, which runs no user code, has done what can be done once: it would cost
    every job page faults.
    """
    if keep_fds is None:
        end.forget()
        outputs.line_buffer()
    outputs.begin(keep_fds)
    end.begin()
    randomness.reseed()


def heed_signals(page: SharedPage) -> None:
    """From now on they reach us."""
    signals.unblock_all()
    if page.stop_asked:  # before our handlers were the defaults: what was sent then may be lost
        processes.kill(os.getpid(), signal.SIGTERM)


def _offer_to_oom_killer() -> None:
    try:  # contextlib.suppress costs as much again as what it would guard, 45 us in every job
        fd = os.open("/proc/self/oom_score_adj", os.O_WRONLY)
        os.write(fd, OOM_SCORE)
        os.close(fd)
    except OSError:  # not Linux, or /proc is not there
        pass
