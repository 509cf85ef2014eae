"""Import the app, and keep what that leaves behind out of fleet's own processes.

    before ──import──▶ what it has changed ──▶ put back here, and so in every dispatcher, a fork of us
                                └───────────▶ `Left.redo`: jobs have it

An app may change anything of the process that imports it: limits, directory, environment, functions
of the standard library. Fleet's processes keep leases, and must go on as they were. What cannot be
put back, or would be of no use to a job after a fork, is a reason not to start, said by name.
"""

import logging
import os
import sys
import threading
from dataclasses import dataclass
from types import FunctionType
from typing import Any

from fleet.system import descriptors, namespaces, process_state
from fleet.system.callbacks import Callbacks
from fleet.system.descriptors import StandardDescriptors
from fleet.system.namespaces import Change, Namespaces
from fleet.system.process_state import ProcessState

EVENT_LOOPS = (
    "gevent",
    "eventlet",
)  # what they patch is bound to a loop that does not survive a fork


@dataclass(frozen=True, slots=True)
class Left:
    """What the import has left, for jobs."""

    standard: list[tuple[int, int]]
    names: list[Change]
    state: process_state.Changes
    callbacks: Callbacks

    def redo(self) -> None:
        """In a job, when all that is fleet's is done there. The descriptors named in `standard`
        must be open.
        """
        descriptors.redo(self.standard)
        namespaces.redo(self.names)
        process_state.redo(self.state)
        self.callbacks.redo()


class Before:
    """The process before the import. `inherited`: descriptors that are the user's."""

    def __init__(self, standard: StandardDescriptors, inherited: set[int]) -> None:
        self._pid = os.getpid()
        self._standard, self._inherited = standard, inherited
        self._open = descriptors.identities()
        self._state = ProcessState()
        self._names = Namespaces()
        self._callbacks = Callbacks()
        self._left: Left | None = None
        self.opened: set[int] = set()  # by the import

    def put_back(self) -> Left:
        """Have everything as it was. Names come first: what the rest needs may be what was
        replaced.
        """
        self._callbacks.stop()
        names = self._names.put_back()
        state = self._state.put_back()
        silence = _silence()
        self.opened = {
            fd for fd, which in descriptors.identities().items() if self._open.get(fd) != which
        }
        self._left = Left(self._standard.put_back(), [silence, *names], state, self._callbacks)
        return self._left

    @property
    def went_on_in_a_child(self) -> bool:
        """Whether we are a process that the import has forked."""
        return os.getpid() != self._pid

    def lost(self) -> set[int]:
        """Descriptors of fleet's own that are not what they were."""
        ours = self._open.keys() - self._inherited - {*descriptors.STANDARD}
        return {fd for fd in ours if descriptors.identity(fd) != self._open[fd]}

    def trouble(self) -> str:
        """Why no pool can be made of this app as it is; or nothing."""
        if self._left is None:
            return ""
        for change in self._left.names:
            if (
                isinstance(change.theirs, type | FunctionType)
                and _root(change.theirs) in EVENT_LOOPS
            ):
                what = f"{_root(change.theirs)} replaces {change.name} and more by functions of its event loop"
                return f"{what}, which survives no fork: start with --no-preload, which imports the app in each job"
        limit = self._state.trouble()
        return (
            limit
            and f"{limit}: lower the soft limit only, do it in the job, or start with --no-preload"
        )

    def dangers(self) -> list[str]:
        """What the import has made that does not survive a fork well."""
        return [*_threads(), *_connections(self.opened - {*descriptors.STANDARD})]


def _root(value: type | FunctionType) -> str:
    return str(value.__module__).partition(".")[0]


def _silence() -> Change:
    """No logger logs in fleet's own processes: botocore's would run the app's handlers, with a
    lease to be kept.
    """
    logger = logging.Logger
    change = Change(
        vars(logger),
        lambda name, value: setattr(logger, name, value),
        lambda name: delattr(logger, name),
        "isEnabledFor",
        _never,
        logger.isEnabledFor,
    )
    change.undo()
    return change


def _never(_logger: Any, _level: int) -> bool:
    return False


def _threads() -> list[str]:
    """Those that run Python. The idle ones of a numeric library run none, and are made anew where
    they are needed.
    """
    known = {each.ident: each.name for each in threading.enumerate()}
    others = sys._current_frames().keys() - {threading.get_ident()}
    if not others:
        return []
    names = ", ".join(sorted(known.get(each, "without a name") for each in others))
    return [
        f"threads started at import: {len(others)} ({names}); its jobs will be without (--no-preload)"
    ]


def _connections(opened: set[int]) -> list[str]:
    found = sorted({peer for fd in opened if (peer := descriptors.connected_to(fd))})
    why = "all its jobs share it, and get each other's answers; connect in the job, or use --no-preload"
    return [f"it is connected to {peer} since its import: {why}" for peer in found]
