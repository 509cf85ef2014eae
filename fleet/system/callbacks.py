"""What an import asks the interpreter to call for good: at each fork, at each audit event.

That cannot be taken back. So while the app is imported it is only remembered, and given to the
interpreter in jobs: in fleet's own processes it would act for ever (start an exporter's thread in
each dispatcher, refuse its connections, end it). What the standard library registers at a fork is
for every process.

docs/decisions/0023 has the reasons.
"""

import os
import sys
import traceback
from collections.abc import Callable
from typing import Any

Call = Callable[..., Any]
_AT_FORK = {"before", "after_in_child", "after_in_parent"}


class Callbacks:
    """Remembers what is asked for from now on, until `stop`."""

    def __init__(self) -> None:
        self._at_fork: list[dict[str, Call]] = []
        self._audits: list[Call] = []
        self._listening = True
        self._replaced = [
            (os, "register_at_fork", os.register_at_fork, self._register_at_fork),
            (sys, "addaudithook", sys.addaudithook, self._add_audit_hook),
        ]
        self._really_at_fork, self._really_audit = os.register_at_fork, sys.addaudithook
        for owner, name, _, ours in self._replaced:
            setattr(owner, name, ours)

    def stop(self) -> None:
        """Give the interpreter's functions back; code that has kept ours reaches them, too."""
        self._listening = False
        # Without a builtin: it may be what has been replaced.
        for owner, name, real, ours in self._replaced:
            if owner.__dict__[name] == ours:
                owner.__dict__[name] = real

    def redo(self) -> None:
        """In a job: register what is remembered, and call what the fork of the job would have."""
        for each in self._at_fork:
            self._really_at_fork(**each)
        before = [each["before"] for each in reversed(self._at_fork) if "before" in each]
        after = [each["after_in_child"] for each in self._at_fork if "after_in_child" in each]
        for call in (*before, *after):
            try:
                call()
            except BaseException:  # noqa: BLE001 - as the interpreter does: said, and nothing else
                traceback.print_exc()
        for hook in self._audits:
            self._really_audit(hook)

    def _register_at_fork(self, **when: Call) -> None:
        caller = str(sys._getframe(1).f_globals.get("__name__")).partition(".")[0]
        is_good = when and when.keys() <= _AT_FORK and all(map(callable, when.values()))
        if self._listening and is_good and caller not in sys.stdlib_module_names:
            self._at_fork.append(when)
        else:
            self._really_at_fork(**when)

    def _add_audit_hook(self, hook: Call) -> None:
        if self._listening:
            self._audits.append(hook)
        else:
            self._really_audit(hook)
