"""What user code gives back: awaited if it can be, refused if it stands for work that has not been
done.

Taken for a success such a result would delete a message that nobody has worked on. All that is
awaited in one process of user code (--job-init, transformer, job) shares one event loop, so that
what the one opens there the other can use.
"""

import contextlib
import inspect
import itertools
import signal
import sys
import types
from collections.abc import Callable, Coroutine
from typing import Any

_LAZY = (types.GeneratorType, types.AsyncGeneratorType, map, filter, itertools.starmap)
_OVER_LAZY = (  # may be over one of these: good as an argument, which the job will take apart
    *(
        zip,
        enumerate,
        itertools.chain,
        itertools.islice,
        itertools.accumulate,
        itertools.zip_longest,
    ),
    *(itertools.takewhile, itertools.dropwhile, itertools.filterfalse),
)
MOST_MEMBERS = 1000  # of a result, that are looked at

_runner: Any = None


class NotDone(Exception):
    """A result that is not done yet; the text says what it is and what would be right."""


class Stopped(BaseException):
    """SIGTERM has cancelled the coroutine, and its `finally` blocks have run."""


def prepare(*calls: object) -> None:
    """Before the fork: what awaiting needs, if one of these is seen to need it."""
    if any(
        inspect.iscoroutinefunction(call) or inspect.iscoroutinefunction(type(call).__call__)
        for call in calls
    ):
        import asyncio  # noqa: F401


def finished(value: Any) -> Any:
    """In a process of user code: the result itself. Raises NotDone, Stopped, and what the awaited
    code raises.
    """
    return _finished(value, _run)


def all_finished(value: Any) -> None:
    """The same of a result that nobody uses: nor may what it holds wait for somebody. Raises as
    `finished`.
    """
    value = finished(value)
    if isinstance(value, _OVER_LAZY):
        raise NotDone(_lazy(value))
    if isinstance(value, dict):
        value = value.values()
    elif not isinstance(value, list | tuple | set):
        return
    for each in itertools.islice(value, MOST_MEMBERS):
        if why := _left_undone(each):
            raise NotDone(f"in what it gave back: {why}")


def finished_here(value: Any) -> Any:
    """The same in somebody's own program. Raises RuntimeError under a running event loop: it cannot
    wait for us.
    """
    return _finished(value, _run_beside)


def close() -> None:
    """Nothing more is awaited: cancel the tasks that are left, as asyncio.run does at its end."""
    global _runner
    if _runner is not None:
        runner, _runner = _runner, None
        runner.close()


def _finished(value: Any, run: Callable[[Any], Any]) -> Any:
    if value is None:
        return None
    if _is_awaitable(value):
        value = run(value)
        while inspect.iscoroutine(
            value
        ):  # `return` where `return await` was meant; other awaitables may be values
            value = run(value)
    if why := _not_done(value):
        raise NotDone(why)
    return value


def _is_awaitable(value: object) -> bool:
    """Not by an abstract class: those walk through all their subclasses, and a job pays for that in
    page faults.
    """
    if isinstance(value, types.GeneratorType):
        return bool(value.gi_code.co_flags & inspect.CO_ITERABLE_COROUTINE)
    return hasattr(type(value), "__await__") and not _is_future(value)


def _run(awaitable: Any) -> Any:
    """SIGTERM cancels it. A loop that is blocked, or code that catches the cancellation, goes on as
    a job may.

    Only the first one does: a stop of everything may send one before fleet does, and `finally`
    blocks must not be cut.
    """
    global _runner
    import asyncio

    told, before = False, signal.getsignal(signal.SIGTERM)

    async def main() -> Any:
        loop, task = asyncio.get_running_loop(), asyncio.current_task()

        def stop() -> None:
            nonlocal told
            if not told and task is not None:
                told = True
                task.cancel()

        loop.add_signal_handler(signal.SIGTERM, stop)
        try:
            return await awaitable
        finally:
            loop.remove_signal_handler(signal.SIGTERM)

    if _runner is None:
        _runner = asyncio.Runner()
    try:
        return _runner.run(main())
    except asyncio.CancelledError:
        if not told:
            raise
        signal.signal(signal.SIGTERM, _ignored)  # the tasks that are left have clean-up too
        close()
        raise Stopped from None
    finally:
        if before is not None:  # else it is nobody's of Python's
            signal.signal(signal.SIGTERM, before)


def _ignored(_number: int, _frame: object) -> None:
    """A signal that says nothing new."""


def _run_beside(awaitable: Any) -> Any:
    import asyncio

    async def main() -> Any:
        return await awaitable

    if asyncio._get_running_loop() is not None:
        if isinstance(awaitable, Coroutine):
            awaitable.close()
        raise RuntimeError(
            "the transformer gave back something to be awaited, and the event loop of this thread runs already: "
            "give dispatch() a thread of its own, or a transformer that is no coroutine function"
        )
    return asyncio.run(main())


def _not_done(value: object) -> str | None:
    """What it is and why it will not do; None for what is done. Raises what a Future that is done
    has to raise.
    """
    if isinstance(value, _LAZY):
        return _lazy(value)
    if _is_future(value) or _is_a(value, "concurrent.futures", "Future"):
        return _of_future(value)
    for module, name, not_done in _STAND_INS:
        if _is_a(value, module, name):
            return not_done(value)
    return None


def _lazy(value: object) -> str:
    kind = type(value).__name__.replace("_", " ")
    return f"it gave back a {kind}, whose code has not run: return what it makes, as in list(…)"


def _left_undone(value: Any) -> str | None:
    """Of a member of a result. What has failed is the app's to look at; an executor's work is done
    at the job's end.
    """
    if value is None or _is_a(value, "concurrent.futures", "Future"):
        return None
    if inspect.iscoroutine(value):
        never = inspect.getcoroutinestate(value) == inspect.CORO_CREATED
        return "a coroutine that was never awaited" if never else None
    if _is_future(value):
        return None if value.done() else "a task that is not done, and is cancelled: await it"
    with contextlib.suppress(Exception):
        return _not_done(value)
    return None


def _is_future(value: object) -> bool:
    """As asyncio.isfuture, which need not be loaded."""
    return getattr(type(value), "_asyncio_future_blocking", None) is not None


def _is_a(value: object, module: str, name: str) -> bool:
    """Whether it is of that class; where the module is not loaded there is none."""
    found = getattr(sys.modules.get(module), name, None)
    return isinstance(found, type) and isinstance(value, found)


def _of_future(value: Any) -> str | None:
    if not value.done():
        return "it gave back a Future that is not done: return its result"
    value.result()
    return None


def _of_async_result(value: Any) -> str | None:
    if not value.ready():
        return "it gave back the result of a pool that is not ready: return what get() gives"
    value.get()
    return None


def _of_program(value: Any) -> str | None:
    running = "it gave back a program that still runs, and what a job leaves is killed: wait for it"
    return running if value.poll() is None else None


def _of_async_program(value: Any) -> str | None:
    running = "it gave back a program that still runs, and what a job leaves is killed: wait for it"
    return running if value.returncode is None else None


def _of_context(_value: Any) -> str:
    return "it gave back a context manager that nobody has entered, so its code has not run"


def _of_thread(value: Any) -> str | None:
    if value.ident is None:
        return "it gave back a thread that was never started"
    return (
        "it gave back a daemon thread that still runs, and would end with the job"
        if _is_cut_off(value)
        else None
    )


def _of_process(value: Any) -> str | None:
    if value.ident is None:
        return "it gave back a process that was never started"
    return (
        "it gave back a daemon process that still runs, and would end with the job"
        if _is_cut_off(value)
        else None
    )


def _is_cut_off(value: Any) -> bool:
    return bool(value.daemon and value.is_alive())


_STAND_INS: tuple[tuple[str, str, Callable[[Any], str | None]], ...] = (
    ("multiprocessing.pool", "ApplyResult", _of_async_result),
    (
        "multiprocessing.pool",
        "IMapIterator",
        lambda _: "it gave back an iterator over a pool's results: take them",
    ),
    ("gevent", "Greenlet", _of_async_result),
    ("contextlib", "_GeneratorContextManagerBase", _of_context),
    ("subprocess", "Popen", _of_program),
    ("asyncio.subprocess", "Process", _of_async_program),
    ("threading", "Thread", _of_thread),
    ("multiprocessing.process", "BaseProcess", _of_process),
)
