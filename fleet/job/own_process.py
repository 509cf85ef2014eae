"""What a forked child becomes before user code runs in it.

A process of its own, without fleet's handlers, descriptors and random numbers.
"""

import contextlib
import os
import signal
import sys
from collections.abc import Callable, Sequence

from fleet.core.queue import Message
from fleet.ipc.shared_page import SharedPage
from fleet.job import api, end, outputs
from fleet.job.message_variables import NAMES, values_of
from fleet.system import descriptors, processes, signals, stacks, titles

OOM_SCORE = b"500"  # under memory pressure the kernel ends jobs before dispatchers
# Global random generators; without an argument these functions seed them from the system.
_SEEDS = (("numpy.random", "seed"), ("torch", "seed"))


def become(dispatcher: int, keep_fds: Sequence[int] | None) -> None:
    """Have an own session and group, and default handlers; die with the dispatcher of that pid.

    No descriptor stays open but the sorted `keep_fds` (None: all).
    """
    os.setsid()
    forget_dispatcher(keep_fds)
    _die_with(dispatcher)


def become_from_forker(dispatcher: int) -> None:
    """As `become`, in a child of a job forker.

    That has forgotten the dispatcher already, and has a session to which nobody sends signals.
    """
    os.setsid()
    _die_with(dispatcher)


def forget_dispatcher(keep_fds: Sequence[int] | None) -> None:
    """Have default handlers, and no descriptor but the sorted `keep_fds` (None: all).

    It is inherited: a job forker does it once for all its jobs.
    """
    signals.forget_wakeup()
    signals.reset_group_signals()
    stacks.disable()
    signals.set_handlers_for_jobs()
    if keep_fds is not None:
        descriptors.close_all_but(keep_fds)
    _offer_to_oom_killer()


def _die_with(dispatcher: int) -> None:
    if not processes.die_with_parent(dispatcher, signal.SIGKILL):
        # The dispatcher is dead already, as if it had died a moment later. Or it is not our parent,
        # since the kernel knows no siblings: then nobody would look after us.
        processes.kill(os.getpid(), signal.SIGKILL)


def introduce_slot(queue: str, slot: int) -> None:
    """Tell user code by the environment where it runs: it is inherited."""
    os.environ["FLEET_JOB_QUEUE"] = queue
    os.environ["FLEET_JOB_SLOT"] = str(slot)


def introduce_message(message: Message) -> None:
    """Tell user code about its message, by the environment and `fleet.message()`.

    Not in a job forker, which has MessageVariables: glibc's setenv(3) frees no value that it
    replaces.
    """
    # One by one: update() walks through all subclasses of Mapping, 0.5 ms of page faults.
    for name, value in zip(NAMES, values_of(message), strict=True):
        os.environ[name] = value
    api.set_message(message)


def title_for(purpose: str, app: str, message: Message) -> str:
    """What `ps` shows of a process that does this for that message."""
    return titles.clean(f"fleet: {purpose} {app} {message.id} attempt {message.attempt}")


def is_there_any_to_tell() -> bool:
    """In a job forker: whether the import has loaded anything that has to be told of a fork.

    If not, and if what is open is noted (outputs.begin), no job needs `forget_the_parents`.
    """
    return any(name in sys.modules for name in ("multiprocessing.util", *dict(_SEEDS)))


def forget_the_parents(keep_fds: Sequence[int] | None) -> None:
    """Forget what was registered, buffered or drawn before the fork: it is not this process's.

    A pool's dispatcher, which runs no user code, has done what can be done once for all its jobs:
    it would cost every job page faults. A program that uses the library has not (`keep_fds` is
    None).
    """
    if keep_fds is None:
        end.forget()
        outputs.line_buffer()
    outputs.begin(keep_fds)
    end.begin()
    _reseed()


def heed_signals(page: SharedPage, unblock: Callable[[], object]) -> None:
    """Let signals reach this process from now on: `unblock` does."""
    unblock()
    if page.stop_asked:  # before our handlers were the defaults: what was sent then may be lost
        processes.kill(os.getpid(), signal.SIGTERM)


def _reseed() -> None:
    """Seed the global random generators of what is loaded: else all jobs would draw the same.

    Python's own `random` sees to that by itself. Generator objects that the app has made at its
    import are the app's: it has to make them in the job.
    """
    for name, function in _SEEDS:
        module = sys.modules.get(name)
        if module is not None:
            # It may be half imported, or have a generator that cannot be seeded like that.
            with contextlib.suppress(Exception):
                getattr(module, function)()


def _offer_to_oom_killer() -> None:
    try:  # contextlib.suppress costs as much again as what it would guard, 45 us in every job
        fd = os.open("/proc/self/oom_score_adj", os.O_WRONLY)
        os.write(fd, OOM_SCORE)
        os.close(fd)
    except OSError:  # not Linux, or /proc is not there
        pass
