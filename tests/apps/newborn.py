"""An app whose jobs wait at a chosen step of their start: a stop that comes then is not lost.

With NO_FORKER it is the dispatcher that forks them.
"""

import os
import posix
from collections.abc import Callable
from typing import Any

from jobs import job, pass_gate, write

from fleet.system import fork_handlers, processes, signals
from fleet.system.sibling_fork import SiblingFork

__all__ = ["job"]


# Forks away from the template: between, dispatcher, forker, job; or between, dispatcher, job.
OF_A_JOB = 3 if os.environ.get("NO_FORKER") else 4
forks = 0


def _waits_before(step: str, original: Callable[..., Any]) -> Callable[..., Any]:
    def waiting(*arguments: Any) -> Any:
        if forks == OF_A_JOB and os.environ.get("BIRTH_STEP") == step:
            write("newborn", step)
            pass_gate("birth")
        return original(*arguments)

    return waiting


def _in_each_fork() -> None:
    """Not at the import: what that replaces of the standard library is put back."""
    global forks
    forks += 1
    os.setsid = _waits_before("session", setsid)


setsid = os.setsid
posix.register_at_fork(  # not os: what that is given at an import acts in jobs only
    after_in_child=_in_each_fork
)
if OF_A_JOB == 3:
    fork_handlers.find = lambda: ["a library that has some"]
    signals.reset_group_signals = _waits_before("handlers", signals.reset_group_signals)
else:  # a forker's job inherits its handlers
    processes.die_with_parent = _waits_before("handlers", processes.die_with_parent)
    SiblingFork.unblock_signals = _waits_before(  # type: ignore[method-assign]
        "signals", SiblingFork.unblock_signals
    )
signals.unblock_all = _waits_before("signals", signals.unblock_all)
