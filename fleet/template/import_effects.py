"""What importing the app changes in the process that imports it, kept out of fleet's own processes.

    before ──import──▶ what it has changed ──▶ put back here, and so in every dispatcher, a fork
                                └────────────▶ `ImportEffects.redo`: jobs have it

An app may change anything of the process that imports it: limits, directory, environment, functions
of the standard library. Fleet's processes keep leases, and must go on as they were. A change that
cannot be put back, or that would be of no use to a job after a fork, is a reason not to start, and
the reason names it.

docs/decisions/0023 has the reasons.
"""

import _thread
import os
import sys
from dataclasses import dataclass, replace
from types import FunctionType
from typing import Any

from fleet.system import descriptors, namespaces, process_state
from fleet.system.callbacks import Callbacks
from fleet.system.descriptors import StandardDescriptors
from fleet.system.namespaces import Change, Namespaces
from fleet.system.process_state import ProcessState

# What these patch is bound to an event loop that does not survive a fork.
EVENT_LOOPS = ("gevent", "eventlet")


@dataclass(frozen=True, slots=True)
class ImportEffects:
    """What the import has changed: put back here, and done again in each job."""

    standard: list[tuple[int, int]]
    names: list[Change]
    state: process_state.Changes
    callbacks: Callbacks

    def begin_dispatcher(self) -> None:
        """In a dispatcher, which has one thread: its forks need not think of others."""
        self.callbacks.leave_out_threads()

    def begin_forker(self) -> None:
        """In a job forker: do again what its jobs can inherit from it without harm to it."""
        process_state.redo([each for each in self.state if each.setting.for_forkers])

    def without_those_of_forker(self) -> "ImportEffects | None":
        """What is left to do in a job of such a forker; None if it is nothing."""
        state = [each for each in self.state if not each.setting.for_forkers]
        if not (self.standard or self.names or state or self.callbacks.has_any):
            return None
        return replace(self, state=state)

    def redo(self) -> None:
        """Do it again in a job, after all that is fleet's own there.

        The descriptors named in `standard` must be open.
        """
        descriptors.redo(self.standard)
        namespaces.redo(self.names)
        process_state.redo(self.state)
        self.callbacks.redo()


class ProcessBeforeImport:
    """The process as it was before the import. `inherited`: descriptors that are the user's."""

    def __init__(self, standard: StandardDescriptors, inherited: set[int]) -> None:
        self._pid = os.getpid()
        self._standard, self._inherited = standard, inherited
        self._open = descriptors.identities()
        self._state = ProcessState()
        self._names = Namespaces()
        self._callbacks = Callbacks()
        self._effects: ImportEffects | None = None
        self.opened: set[int] = set()  # by the import

    def put_back(self) -> ImportEffects:
        """Have everything as it was.

        Names come first: the import may have replaced what the rest needs.
        """
        self._callbacks.stop()
        names = self._names.put_back()
        state = self._state.put_back()
        silence = _silence_loggers()
        self.opened = {
            fd for fd, which in descriptors.identities().items() if self._open.get(fd) != which
        }
        self._effects = ImportEffects(
            self._standard.put_back(), [*silence, *names], state, self._callbacks
        )
        return self._effects

    @property
    def went_on_in_a_child(self) -> bool:
        """Whether this is a process that the import has forked."""
        return os.getpid() != self._pid

    def lost_descriptors(self) -> set[int]:
        """Descriptors of fleet's own that are not what they were."""
        ours = self._open.keys() - self._inherited - {*descriptors.STANDARD}
        return {fd for fd in ours if descriptors.identity(fd) != self._open[fd]}

    def trouble(self) -> str:
        """Why no pool can be made of this app as it is; empty if one can."""
        if self._effects is None:
            return ""
        for change in self._effects.names:
            library = _top_package(change.theirs)
            if library in EVENT_LOOPS:
                return (
                    f"{library} replaces {change.name} and more by functions of its event loop, "
                    "which survives no fork: "
                    "start with --no-preload, which imports the app in each job"
                )
        limit = self._state.trouble()
        if not limit:
            return ""
        return f"{limit}: lower the soft limit only, do it in the job, or start with --no-preload"

    def warnings(self) -> list[str]:
        """What the import has made that does not survive a fork well."""
        return [*_threads(), *_connections(self.opened - {*descriptors.STANDARD})]


def _top_package(value: object) -> str:
    """The top package of a class or a function; empty for anything else."""
    if not isinstance(value, type | FunctionType):
        return ""
    return str(value.__module__).partition(".")[0]


def _silence_loggers() -> list[Change]:
    """Have no logger log in fleet's own processes, if there is any.

    botocore's loggers would run the app's handlers while a lease is to be kept.
    """
    logging = sys.modules.get("logging")
    if logging is None:
        return []
    logger = logging.Logger
    change = Change(
        vars(logger),
        lambda name, value: setattr(logger, name, value),
        lambda name: delattr(logger, name),
        "isEnabledFor",
        _is_never_enabled,
        logger.isEnabledFor,
    )
    change.undo()
    return [change]


def _is_never_enabled(_logger: Any, _level: int) -> bool:
    return False


def _threads() -> list[str]:
    """Names the threads that run Python.

    The idle threads of a numeric library run none, and are made anew where they are needed.
    """
    threading = sys.modules.get("threading")
    known = {each.ident: each.name for each in threading.enumerate()} if threading else {}
    others = sys._current_frames().keys() - {_thread.get_ident()}
    if not others:
        return []
    names = ", ".join(sorted(known.get(each, "without a name") for each in others))
    count = len(others)
    return [
        f"threads started at import: {count} ({names}); its jobs will be without (--no-preload)"
    ]


def _connections(opened: set[int]) -> list[str]:
    peers = {descriptors.peer_name(fd) for fd in opened}
    return [
        f"it is connected to {peer} since its import: all its jobs share it, and get each other's "
        "answers; connect in the job, or use --no-preload"
        for peer in sorted(peer for peer in peers if peer)
    ]
