"""Results that stand for work not yet done: what each is, and what would be right.

What is not loaded cannot have been given back, so nothing is loaded to look.
"""

import contextlib
import inspect
import itertools
import sys
import types
from collections.abc import Callable
from typing import Any

_LAZY = (types.GeneratorType, types.AsyncGeneratorType, map, filter, itertools.starmap)
# May be over one of these: good as an argument, which the job will iterate over.
OVER_LAZY = (
    zip,
    enumerate,
    itertools.chain,
    itertools.islice,
    itertools.accumulate,
    itertools.zip_longest,
    itertools.takewhile,
    itertools.dropwhile,
    itertools.filterfalse,
)


def explain_undone(value: object) -> str | None:
    """What a result is and why it will not do; None for a result that is done.

    Raises the exception of a Future that has failed.
    """
    if isinstance(value, _LAZY):
        return explain_lazy(value)
    if is_future(value) or _is_a(value, "concurrent.futures", "Future"):
        return _explain_future(value)
    for module, name, explain in _STAND_INS:
        if _is_a(value, module, name):
            return explain(value)
    return None


def explain_lazy(value: object) -> str:
    """What it is, for a result that computes nothing before it is iterated over."""
    kind = type(value).__name__.replace("_", " ")
    return f"it gave back a {kind}, whose code has not run: return what it makes, as in list(…)"


def explain_undone_member(value: Any) -> str | None:
    """As `explain_undone`, of a member of a result.

    The app has to look at what has failed itself; an executor's work is done at the job's end.
    """
    if value is None or _is_a(value, "concurrent.futures", "Future"):
        return None
    if inspect.iscoroutine(value):
        never = inspect.getcoroutinestate(value) == inspect.CORO_CREATED
        return "a coroutine that was never awaited" if never else None
    if is_future(value):
        return None if value.done() else "a task that is not done, and is cancelled: await it"
    with contextlib.suppress(Exception):
        return explain_undone(value)
    return None


def is_future(value: object) -> bool:
    """Whether it is a Future or a task of asyncio: as asyncio.isfuture, without loading asyncio."""
    return getattr(type(value), "_asyncio_future_blocking", None) is not None


def _is_a(value: object, module: str, name: str) -> bool:
    """Whether it is of that class. Where the module is not loaded it cannot be."""
    kind = getattr(sys.modules.get(module), name, None)
    return isinstance(kind, type) and isinstance(value, kind)


def _explain_future(value: Any) -> str | None:
    if not value.done():
        return "it gave back a Future that is not done: return its result"
    value.result()
    return None


def _explain_async_result(value: Any) -> str | None:
    if not value.ready():
        return "it gave back the result of a pool that is not ready: return what get() gives"
    value.get()
    return None


_RUNS = "it gave back a program that still runs, and what a job leaves is killed: wait for it"


def _explain_program(value: Any) -> str | None:
    return _RUNS if value.poll() is None else None


def _explain_async_program(value: Any) -> str | None:
    return _RUNS if value.returncode is None else None


def _explain_context(_value: Any) -> str:
    return "it gave back a context manager that nobody has entered, so its code has not run"


def _explain_thread(value: Any) -> str | None:
    if value.ident is None:
        return "it gave back a thread that was never started"
    if value.daemon and value.is_alive():
        return "it gave back a daemon thread that still runs, and would end with the job"
    return None


def _explain_process(value: Any) -> str | None:
    if value.ident is None:
        return "it gave back a process that was never started"
    if value.daemon and value.is_alive():
        return "it gave back a daemon process that still runs, and would end with the job"
    return None


_STAND_INS: tuple[tuple[str, str, Callable[[Any], str | None]], ...] = (
    ("multiprocessing.pool", "ApplyResult", _explain_async_result),
    (
        "multiprocessing.pool",
        "IMapIterator",
        lambda _: "it gave back an iterator over a pool's results: take them",
    ),
    ("gevent", "Greenlet", _explain_async_result),
    ("contextlib", "_GeneratorContextManagerBase", _explain_context),
    ("subprocess", "Popen", _explain_program),
    ("asyncio.subprocess", "Process", _explain_async_program),
    ("threading", "Thread", _explain_thread),
    ("multiprocessing.process", "BaseProcess", _explain_process),
)
