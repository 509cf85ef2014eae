"""What belongs to the process and to no name: limits, directory, masks, timers, settings of Python.

One table says how each is read and how it is set. An import may set any of them; the processes of
fleet go on as they were, and jobs have what the import has left.

docs/decisions/0023 has the reasons.
"""

import _locale
import contextlib
import ctypes
import faulthandler
import gc
import os
import resource
import signal
import socket
import sys
import warnings
from collections.abc import Callable
from math import inf
from typing import Any, NamedTuple

from fleet.system import pseudo_files

_PR_GET_DUMPABLE, _PR_SET_DUMPABLE, _PR_SET_CHILD_SUBREAPER, _PR_GET_CHILD_SUBREAPER = 3, 4, 36, 37
_libc = ctypes.CDLL(None, use_errno=True)
_PAGE, _MIB = os.sysconf("SC_PAGE_SIZE"), 1 << 20

# And the least that a dispatcher can work with; of memory, beyond what is in use.
LIMITS: dict[str, float] = {
    "RLIMIT_NOFILE": 256,
    "RLIMIT_NPROC": 1024,
    "RLIMIT_AS": 256 * _MIB,
    "RLIMIT_DATA": 256 * _MIB,
    "RLIMIT_STACK": _MIB,
    "RLIMIT_CPU": inf,  # a dispatcher lives as long as the pool
    "RLIMIT_FSIZE": inf,  # the log may be a file
}


class Setting(NamedTuple):
    """How one thing is read and set.

    `for_jobs`: jobs get what the import has set. Not so what a fork's child does not inherit, nor
    what jobs are promised. `for_forkers`: it may be set in a job forker already, which its jobs
    inherit it from: it acts on nothing but imports and user code.
    """

    read: Callable[[], Any]
    put: Callable[[Any], object]
    for_jobs: bool = True
    for_forkers: bool = False


class Change(NamedTuple):
    """What a job has to set, and to what."""

    setting: Setting
    theirs: Any


Changes = list[Change]


class ProcessState:
    """All that the table lists, as it is now."""

    def __init__(self) -> None:
        self._before = [(setting, setting.read()) for setting in _settings()]
        self._hard = {name: _hard_limit(name) for name in LIMITS}

    def put_back(self) -> Changes:
        """Have everything as it was; returns what the import had made of it.

        What cannot be put back is told by `trouble`.
        """
        faulthandler.cancel_dump_traceback_later()
        signal.set_wakeup_fd(-1)
        changes: Changes = []
        for setting, ours in self._before:
            theirs = setting.read()
            if theirs != ours:
                with contextlib.suppress(OSError):
                    setting.put(ours)
                if setting.for_jobs:
                    changes.append(Change(setting, theirs))
        return changes

    def trouble(self) -> str:
        """A limit that is too low for fleet's own processes, and has been lowered for good.

        Empty if there is none.
        """
        for name, least in LIMITS.items():
            enough = (
                least + _address_space_in_use() if name in ("RLIMIT_AS", "RLIMIT_DATA") else least
            )
            if (hard := _hard_limit(name)) < min(self._hard[name], enough):
                return (
                    f"it lowers {name} to {hard:g} for good, "
                    "and fleet's own processes cannot work within that"
                )
        return ""


def redo(changes: Changes) -> None:
    """In a job, or in a job forker what is for forkers: have it as the import has left it."""
    for setting, theirs in changes:
        setting.put(theirs)


def _settings() -> list[Setting]:
    lists: list[list[Any]] = [
        sys.path,
        sys.argv,
        sys.meta_path,
        sys.path_hooks,
        warnings.filters,  # type: ignore[list-item]
    ]
    return [
        *(_limit_setting(getattr(resource, name)) for name in LIMITS),
        Setting(_dumpable, lambda wanted: _libc.prctl(_PR_SET_DUMPABLE, wanted, 0, 0, 0)),
        Setting(
            _is_subreaper,
            lambda wanted: _libc.prctl(_PR_SET_CHILD_SUBREAPER, wanted, 0, 0, 0),
            for_jobs=False,
        ),
        *(
            _timer_setting(which)
            for which in (signal.ITIMER_REAL, signal.ITIMER_VIRTUAL, signal.ITIMER_PROF)
        ),
        Setting(
            _blocked_signals,
            lambda wanted: signal.pthread_sigmask(signal.SIG_SETMASK, wanted),
            for_jobs=False,
        ),
        Setting(_current_directory, _change_directory),
        Setting(_umask, os.umask),
        *(_contents_setting(each, for_forkers=True) for each in lists),
        _contents_setting(gc.callbacks),
        Setting(socket.getdefaulttimeout, socket.setdefaulttimeout),
        Setting(
            lambda: _locale.setlocale(_locale.LC_ALL),
            lambda wanted: _locale.setlocale(_locale.LC_ALL, wanted),
        ),
        Setting(sys.getrecursionlimit, _set_recursion_limit),
        Setting(sys.getswitchinterval, sys.setswitchinterval),
        Setting(gc.isenabled, lambda wanted: gc.enable() if wanted else gc.disable()),
        Setting(gc.get_debug, gc.set_debug),
        Setting(gc.get_threshold, lambda wanted: gc.set_threshold(*wanted)),
        Setting(sys.getprofile, _hook_setter(sys.setprofile)),
        Setting(sys.gettrace, _hook_setter(sys.settrace)),
    ]


def _hook_setter(put: Callable[[Any], object]) -> Callable[[Any], object]:
    """How a hook is set. A hook made in C (cProfile's, until Python 3.11) cannot be set again."""
    return lambda wanted: put(wanted if callable(wanted) else None)


def _contents_setting(items: list[Any], *, for_forkers: bool = False) -> Setting:
    def put(wanted: list[Any]) -> None:
        items[:] = wanted

    return Setting(lambda: [*items], put, for_forkers=for_forkers)


def _limit_setting(what: int) -> Setting:
    def put(wanted: tuple[int, int]) -> None:
        try:
            resource.setrlimit(what, wanted)
        except (ValueError, OSError):  # it has been lowered for good: as much as is left
            hard = resource.getrlimit(what)[1]
            resource.setrlimit(what, (hard, hard))

    return Setting(lambda: resource.getrlimit(what), put)


def _timer_setting(which: int) -> Setting:
    return Setting(
        lambda: signal.getitimer(which),
        lambda wanted: signal.setitimer(which, *wanted),
        for_jobs=False,
    )


def _hard_limit(name: str) -> float:
    hard = resource.getrlimit(getattr(resource, name))[1]
    return inf if hard == resource.RLIM_INFINITY else hard


def _address_space_in_use() -> int:
    """The bytes of address space that are in use."""
    return int(pseudo_files.read("/proc/self/statm").split()[0]) * _PAGE


def _dumpable() -> int:
    """0 after an import that has given up root: then not even our own /proc is ours."""
    dumpable: int = _libc.prctl(_PR_GET_DUMPABLE, 0, 0, 0, 0)
    return dumpable


def _is_subreaper() -> int:
    flag = ctypes.c_int(0)
    _libc.prctl(_PR_GET_CHILD_SUBREAPER, ctypes.byref(flag), 0, 0, 0)
    return flag.value


def _blocked_signals() -> set[int]:
    return {int(each) for each in signal.pthread_sigmask(signal.SIG_BLOCK, ())}


def _current_directory() -> str | None:
    try:
        return os.getcwd()
    except OSError:  # it has been removed
        return None


def _change_directory(where: str | None) -> None:
    if where is not None:
        os.chdir(where)


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def _set_recursion_limit(limit: int) -> None:
    # We may be deeper than that already: then it stays as it is.
    with contextlib.suppress(RecursionError):
        sys.setrecursionlimit(limit)
