"""An app that makes its dispatchers meet what a test cannot bring about on any machine.

Jobs are those of endings.py.

It is imported in the template, so what it replaces is replaced in every dispatcher, and in nobody
else.
"""

import errno
import os
import signal
from collections.abc import Iterable
from typing import Any

import endings
from jobs import SHARED, VERBS, die, orphan, write

from fleet.core.config import LONGEST_VISIBILITY
from fleet.core.delivery import lease, retries, state
from fleet.dispatcher.user_processes import UserProcesses
from fleet.system import cgroup, processes, signals

EVENTS = SHARED / "memory.events"
SLEEPER = SHARED / "sleeper"


# Out of memory: the count is a file that a job can write to.

EVENTS.write_text("oom_kill 0\n")
cgroup.oom_files = lambda own_groups: iter((str(EVENTS),))  # noqa: ARG005


def run_out_of_memory(name: str) -> None:
    """Be counted as killed by the OOM killer, and die of that signal."""
    EVENTS.write_text(f"oom_kill {int(EVENTS.read_text().split()[1]) + 1}\n")
    die(name)


# Five minutes take less, and so does one.

retries.LATE_DELETE = float(os.environ.get("LATE_DELETE", retries.LATE_DELETE))
retries.DENIED_FOR = float(os.environ.get("DENIED_FOR", retries.DENIED_FOR))
lease.KEPT_FOR = float(os.environ.get("KEPT_FOR", lease.KEPT_FOR))


# And so do twelve hours.

vars(state)["LONGEST_VISIBILITY"] = float(os.environ.get("LONGEST", LONGEST_VISIBILITY))


# A host that has no process for the first exit handler.

_start_handler, _real_fork = UserProcesses.start_handler, processes.fork_with_signals_blocked
_starting_handler = False


def start_handler(self: UserProcesses, tries: int) -> Any:
    """Let `fork_with_signals_blocked` know what for."""
    global _starting_handler
    _starting_handler = True
    try:
        return _start_handler(self, tries)
    finally:
        _starting_handler = False


def fork_with_signals_blocked(blocked: Iterable[int] = signals.BLOCKED_AT_FORK) -> int:
    """Fail as fork(2) does, once and for a handler only."""
    try:
        if _starting_handler and os.environ.get("NO_HANDLER"):
            os.close(os.open(SHARED / "refused", os.O_CREAT | os.O_EXCL))
            raise BlockingIOError(errno.EAGAIN, "no process")
    except FileExistsError:
        pass
    return _real_fork(blocked)


UserProcesses.start_handler = start_handler  # type: ignore[method-assign]
processes.fork_with_signals_blocked = fork_with_signals_blocked


# A process in uninterruptible sleep: its dispatcher's SIGKILL changes nothing.

_kill = processes.kill


def kill(pid: int, number: int) -> None:
    """Spare the sleeper."""
    if number == signal.SIGKILL and SLEEPER.exists() and int(SLEEPER.read_text()) == pid:
        return
    _kill(pid, number)


processes.kill = kill


def sleeper(_argument: str) -> None:
    """Leave such a process behind, in a session of its own."""
    orphan("")
    (line,) = (line for line in endings._trace() if line["what"] == "orphan")
    SLEEPER.write_text(str(line["pid"]))
    write("left", "sleeper")


VERBS |= {"run-out-of-memory": run_out_of_memory, "sleeper": sleeper}

job, split, handler = endings.job, endings.split, endings.handler
