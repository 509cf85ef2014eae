"""The end of a job as Python ends a program: threads are waited for, exit functions are run.

In CPython's order (Py_FinalizeEx), the same from 3.11 to 3.14: first what has been registered with
threading (the workers of concurrent.futures end there), then every thread that is no daemon, then
the exit functions, then files. The interpreter itself is not torn down: most of it is memory that a
job shares with its dispatcher.

What was registered or buffered before the fork is not the job's: `forget` takes it away, `finish`
does the standard library's own part of it.

docs/decisions/0013 has the reasons.
"""

import atexit
import sys
import weakref
from collections.abc import Callable, Iterable
from typing import Any

from fleet.job import forked_pools

MOST_NAMED = 3

NoteWait = Callable[[str], None]
Ignore = Callable[[BaseException], None]

# Modules of the standard library that register exit functions of their own when they are loaded.
_WITH_EXIT_FUNCTIONS = ("logging", "multiprocessing.util")
_loaded_before: frozenset[str] = frozenset()  # of these, before the fork
_kept: list[object] = []


def forget() -> None:
    """Forget what others have registered: that is not for this process to do.

    Called in a forked child, before user code.
    """
    global _loaded_before
    _loaded_before = frozenset(name for name in _WITH_EXIT_FUNCTIONS if name in sys.modules)
    atexit._clear()
    finalize: Any = weakref.finalize
    # The registry is kept: objects that only it holds would be finalized here and now.
    _kept.append(finalize._registry)
    finalize._registry, finalize._registered_with_atexit = {}, False
    _forget_records()
    forked_pools.disable()


def begin() -> None:
    """Do what multiprocessing does in a child that it forked itself, if the app uses it.

    Called in a process of user code.
    """
    util = sys.modules.get("multiprocessing.util")
    if util is not None:
        # Else the end of this process would terminate the children of its parent.
        vars(sys.modules["multiprocessing.process"])["_children"] = set()
        util._finalizer_registry.clear()
        util._run_after_forkers()


def is_there_any() -> bool:
    """Whether `finish` has anything to do: most jobs have no threads and no exit functions."""
    return bool(
        _loaded_before
        or atexit._ncallbacks()
        or "threading" in sys.modules
        or "multiprocessing.process" in sys.modules
    )


def finish(note_wait: NoteWait, ignore: Ignore) -> bool:
    """Do all of it but the files.

    False if a signal's handler has put an end to waiting for a thread. `note_wait` is told what is
    waited for, `ignore` what was raised: as in Python that changes nothing.
    """
    is_whole = _end_threads(note_wait, ignore)
    _run_exit_functions(note_wait, ignore)
    return is_whole


def _forget_records() -> None:
    """Forget what a MemoryHandler holds: the process that has put it there writes it."""
    handlers = sys.modules.get("logging.handlers")
    if handlers is None:
        return
    for reference in sys.modules["logging"]._handlerList:
        handler = reference()
        if isinstance(handler, handlers.BufferingHandler):
            handler.buffer = []


# Threads.


def _end_threads(note_wait: NoteWait, ignore: Ignore) -> bool:
    """As threading._shutdown, which does not say what it waits for."""
    threading: Any = sys.modules.get("threading")
    if threading is None:
        return True
    if len(threading._active) == 1 and not threading._threading_atexits:
        return True
    if len(threading._active) > 1:
        note_wait(_list_names("thread", _threads_to_await(threading)))  # before the first wait
    hooks, threading._threading_atexits = threading._threading_atexits, []
    is_whole = True
    for hook in reversed(hooks):
        is_whole = _run(hook, ignore) and is_whole
    while is_whole and (awaited := _threads_to_await(threading)):
        note_wait(_list_names("thread", awaited))
        is_whole = _run(awaited[0].join, ignore)
    return is_whole


def _threads_to_await(threading: Any) -> list[Any]:
    """The threads that are waited for.

    A thread that is just being started is not among them yet, but the thread that starts it is.
    """
    this_thread = threading.current_thread()
    return [
        each
        for each in threading.enumerate()
        if each is not this_thread and not each.daemon and each.ident is not None
    ]


def _list_names(what: str, items: Iterable[Any]) -> str:
    names = [str(each.name) for each in items]
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return f"{what}{'s' if len(names) > 1 else ''} {', '.join(names[:MOST_NAMED])}{more}"


# Exit functions.


def _run_exit_functions(note_wait: NoteWait, ignore: Ignore) -> None:
    """Run the job's own exit functions, the last one first.

    Then the standard library's, if it had registered them before the fork.
    """
    process = sys.modules.get("multiprocessing.process")
    children = [] if process is None else vars(process)["_children"]
    awaited = [each for each in children if not each.daemon]
    if awaited:
        note_wait(_list_names("process", awaited))
    elif atexit._ncallbacks():
        note_wait("its exit functions")
    atexit._run_exitfuncs()
    if "multiprocessing.util" in _loaded_before:
        _run(vars(sys.modules["multiprocessing.util"])["_exit_function"], ignore)
    if "logging" in _loaded_before:
        logging: Any = sys.modules["logging"]
        # The first handler is Python's own: it writes what finds no other handler.
        if len(logging._handlerList) > 1:
            _run(logging.shutdown, ignore)


def _run(call: Callable[[], object], ignore: Ignore) -> bool:
    """Call it. Whether it ran to its end."""
    try:
        call()
    except BaseException as error:  # noqa: BLE001 - as Python does
        ignore(error)
        return False
    return True
