"""The stacks that processes of the pool are asked to write, and the log lines of them."""

import os

from fleet.core.pool import Children, Role
from fleet.system import log, processes, procfs, stacks

Whose = int | Role | None  # a dispatcher's by its slot, a helper's, or everybody's


def ask_stacks(children: Children, whose: Whose) -> None:
    """Have processes write their stacks: one that seems to hang, or every one."""
    for pid, _ in _writers(children, whose):
        stacks.clear(pid)
        if whose is None:
            processes.kill(pid, stacks.SHOW)
        elif stacks.is_enabled(pid):
            # Else it would die of the question, and of nothing that anybody knows.
            processes.kill(pid, stacks.INSIST)


def tell_stacks(children: Children, whose: Whose) -> None:
    """Log what they have written, and the master's own stack too if it is everybody's."""
    ours = [(os.getpid(), "the master")] if whose is None else []
    for pid, name in [*ours, *_writers(children, whose)]:
        is_stopped = procfs.is_stopped(pid)
        silent = "nothing: it is stopped" if is_stopped else "nothing written in time"
        log.emit("process.stack", who=name, pid=pid, stack=stacks.read(pid) or silent)
        stacks.clear(pid)


def _writers(children: Children, whose: Whose) -> list[tuple[int, str]]:
    """Pids and names.

    Of one helper also those below it that write stacks: a trial import is such a process.
    """
    helpers = [
        (pid, f"the {role.value}")
        for role, pid in children.helpers.items()
        if whose in (None, role)
    ]
    if isinstance(whose, Role):
        below = [each for pid, _ in helpers for each in procfs.descendants(pid)]
        return helpers + [
            (pid, f"a process of the {whose.value}") for pid in below if stacks.is_enabled(pid)
        ]
    slots = sorted((slot, pid) for pid, slot in children.dispatchers.items())
    dispatchers = [(pid, f"dispatcher {slot}") for slot, pid in slots if whose in (None, slot)]
    return helpers + dispatchers
