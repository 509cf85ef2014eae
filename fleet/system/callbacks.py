"""What an import asks the interpreter to call for good: at each fork, at each audit event.

That cannot be taken back. So while the app is imported it is only remembered, and given to the
interpreter in jobs: in fleet's own processes it would act for ever (start an exporter's thread in
each dispatcher, refuse its connections, end it). What the standard library registers at a fork is
for every process. But some of it is for the other threads and the event loop of the process that
forks, and a dispatcher has neither: its forks, which are the jobs, leave that out.

docs/decisions/0023 and 0032 have the reasons.
"""

import _thread
import os
import sys
import traceback
from collections.abc import Callable, Iterable
from typing import Any

Call = Callable[..., Any]
_AT_FORK = {"before", "after_in_child", "after_in_parent"}
# Packages of the standard library: they make locks anew that another thread may have held, and
# forget threads and loops that are not in the child. Not `random`: each child draws other numbers.
_FOR_THREADS = ("asyncio", "concurrent", "logging", "threading")


class Callbacks:
    """Remembers what is asked for from now on, until `stop`."""

    def __init__(self) -> None:
        self._at_fork: list[dict[str, Call]] = []
        self._for_threads: list[dict[str, Call]] = []
        self._is_alone = False
        self._leaves_out = False  # at the fork that is going on
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

    def leave_out_threads(self) -> None:
        """In a dispatcher: do at its forks nothing that is for other threads, while it has none."""
        self._is_alone = True

    @property
    def has_any(self) -> bool:
        """Whether there is anything to redo."""
        return bool(self._at_fork or self._for_threads or self._audits)

    def redo(self) -> None:
        """In a job: register what is remembered, and call what the fork of the job would have."""
        self._is_alone = False
        for each in self._at_fork:
            self._really_at_fork(**each)
        _call(each["before"] for each in reversed(self._at_fork) if "before" in each)
        _call(each["after_in_child"] for each in self._at_fork if "after_in_child" in each)
        for hook in self._audits:
            self._really_audit(hook)

    def _register_at_fork(self, **when: Call) -> None:
        caller = str(sys._getframe(1).f_globals.get("__name__")).partition(".")[0]
        is_good = when and when.keys() <= _AT_FORK and all(map(callable, when.values()))
        if not (self._listening and is_good):
            self._really_at_fork(**when)
        elif caller in _FOR_THREADS:
            if not self._for_threads:
                self._really_at_fork(
                    before=self._before, after_in_child=self._in_child, after_in_parent=self._after
                )
            self._for_threads.append(when)
        elif caller in sys.stdlib_module_names:
            self._really_at_fork(**when)
        else:
            self._at_fork.append(when)

    # At a fork: what is for threads. It is the same process before and after, so what one has
    # left out the other does.

    def _before(self) -> None:
        leaves_out = self._is_alone and not _thread._count()
        if leaves_out is not self._leaves_out:  # what is written to is copied
            self._leaves_out = leaves_out
        if not leaves_out:
            _call(each["before"] for each in reversed(self._for_threads) if "before" in each)

    def _in_child(self) -> None:
        self._call_after("after_in_child")

    def _after(self) -> None:
        self._call_after("after_in_parent")

    def _call_after(self, when: str) -> None:
        if not self._leaves_out:
            _call(each[when] for each in self._for_threads if when in each)

    def _add_audit_hook(self, hook: Call) -> None:
        if self._listening:
            self._audits.append(hook)
        else:
            self._really_audit(hook)


def _call(calls: Iterable[Call]) -> None:
    for call in calls:
        try:
            call()
        except BaseException:  # noqa: BLE001 - as the interpreter does: said, and nothing else
            traceback.print_exc()
