"""The end of a job as Python ends a program: what was left running is waited for, what was
registered is run.

In CPython's order (Py_FinalizeEx), the same from 3.11 to 3.14: first what has been registered with
threading (the workers of concurrent.futures end there), then every thread that is no daemon, then
the exit functions, then files. The interpreter itself is not torn down: most of it is memory that a
job shares with its dispatcher.

What was registered or buffered before the fork is not the job's: `forget` takes it away, `finish`
does the standard library's own part of it.
"""

import atexit
import sys
import weakref
from collections.abc import Callable, Iterable
from typing import Any

from fleet.job import forked_pools

MOST_NAMED = 3

Note = Callable[[str], None]
Ignored = Callable[[BaseException], None]

_loaded_before: frozenset[str] = frozenset()
_kept: list[object] = []
_OF_THE_LIBRARY = ("logging", "multiprocessing.util")  # have registered exit functions of their own


def forget() -> None:
    """In a fork child, before user code: nothing that others have registered is this process's to
    do.
    """
    global _loaded_before
    _loaded_before = frozenset(name for name in _OF_THE_LIBRARY if name in sys.modules)
    atexit._clear()
    finalize: Any = weakref.finalize
    _kept.append(
        finalize._registry
    )  # not given up: what only it holds would be finalized here and now
    finalize._registry, finalize._registered_with_atexit = {}, False
    _forget_records()
    forked_pools.begin()


def begin() -> None:
    """In a process of user code: what multiprocessing does in a child that it forked itself, if the
    app uses it.
    """
    util = sys.modules.get("multiprocessing.util")
    if util is not None:
        vars(sys.modules["multiprocessing.process"])["_children"] = (
            set()
        )  # else its end terminates the parent's
        util._finalizer_registry.clear()
        util._run_after_forkers()


def finish(note: Note, ignored: Ignored) -> bool:
    """All of it but the files. False if a signal's handler has put an end to waiting for a thread.

    `note` is told what is waited for, `ignored` what was raised: as in Python that changes nothing.
    """
    whole = _end_threads(note, ignored)
    _run_exit_functions(note, ignored)
    return whole


def _forget_records() -> None:
    """What a MemoryHandler holds is told by the process that has put it there."""
    handlers = sys.modules.get("logging.handlers")
    if handlers is None:
        return
    for reference in sys.modules["logging"]._handlerList:
        handler = reference()
        if isinstance(handler, handlers.BufferingHandler):
            handler.buffer = []


# Threads.


def _end_threads(note: Note, ignored: Ignored) -> bool:
    """As threading._shutdown, which does not say what it waits for."""
    threading: Any = sys.modules.get("threading")
    if threading is None:
        return True
    if len(threading._active) == 1 and not threading._threading_atexits:
        return True
    if len(threading._active) > 1:
        note(_named("thread", _left(threading)))  # before the first that may wait
    hooks, threading._threading_atexits = threading._threading_atexits, []
    whole = True
    for hook in reversed(hooks):
        whole = _done(hook, ignored) and whole
    while whole and (left := _left(threading)):
        note(_named("thread", left))
        whole = _done(left[0].join, ignored)
    return whole


def _left(threading: Any) -> list[Any]:
    """Those that are waited for. One that is just being started is not there yet: its starter is."""
    us = threading.current_thread()
    return [
        each
        for each in threading.enumerate()
        if each is not us and not each.daemon and each.ident is not None
    ]


def _named(what: str, left: Iterable[Any]) -> str:
    names = [str(each.name) for each in left]
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return f"{what}{'s' if len(names) > 1 else ''} {', '.join(names[:MOST_NAMED])}{more}"


# Exit functions.


def _run_exit_functions(note: Note, ignored: Ignored) -> None:
    """The job's own, the last one first; then the standard library's, if it had registered them
    before the fork.
    """
    process = sys.modules.get("multiprocessing.process")
    children = (
        [] if process is None else [each for each in vars(process)["_children"] if not each.daemon]
    )
    if children:
        note(_named("process", children))
    elif atexit._ncallbacks():
        note("its exit functions")
    atexit._run_exitfuncs()
    if "multiprocessing.util" in _loaded_before:
        _done(vars(sys.modules["multiprocessing.util"])["_exit_function"], ignored)
    if "logging" in _loaded_before:
        logging: Any = sys.modules["logging"]
        if (
            len(logging._handlerList) > 1
        ):  # the first one is nobody's: it writes what finds no handler
            _done(logging.shutdown, ignored)


def _done(call: Callable[[], object], ignored: Ignored) -> bool:
    """Whether it ran to its end."""
    try:
        call()
    except BaseException as error:  # noqa: BLE001 - as Python does
        ignored(error)
        return False
    return True
