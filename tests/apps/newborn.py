"""An app whose jobs wait at a chosen step of their start: a stop that comes then is not lost."""

import os
import posix
from collections.abc import Callable
from typing import Any

from jobs import job, pass_gate, write

from fleet.system import signals

__all__ = ["job"]


def _waits_before(step: str, original: Callable[..., Any]) -> Callable[..., Any]:
    def waiting(*arguments: Any) -> Any:
        is_a_job = step == "session" or os.getsid(0) == os.getpid()
        if is_a_job and os.environ.get("BIRTH_STEP") == step:
            write("newborn", step)
            pass_gate("birth")
        return original(*arguments)

    return waiting


def _in_each_fork() -> None:
    """Not at the import: what that replaces of the standard library is put back."""
    os.setsid = _waits_before("session", setsid)


setsid = os.setsid
posix.register_at_fork(  # not os: what that is given at an import acts in jobs only
    after_in_child=_in_each_fork
)
signals.reset_group_signals = _waits_before("handlers", signals.reset_group_signals)
signals.unblock_all = _waits_before("signals", signals.unblock_all)
