"""What user code gives back: awaited if it can be, refused if it stands for work not yet done.

Taken for a success such a result would delete a message whose work has not been done. All that is
awaited in one process of user code (--job-init, transformer, job) shares one event loop, so that
the job can use what --job-init has opened there.

docs/decisions/0013 has the reasons.
"""

import inspect
import itertools
import signal
import types
from collections.abc import Callable, Coroutine
from typing import Any

from fleet.job import undone

MOST_MEMBERS = 1000  # members of a result that are looked at

_runner: Any = None


class NotDone(Exception):
    """A result that is not done yet; the text says what it is and what would be right."""


class Stopped(BaseException):
    """SIGTERM has cancelled the coroutine, and its `finally` blocks have run."""


def prepare(*calls: object) -> None:
    """Before the fork: load what awaiting needs, if one of these calls is seen to need it."""
    if any(
        inspect.iscoroutinefunction(call) or inspect.iscoroutinefunction(type(call).__call__)
        for call in calls
    ):
        import asyncio  # noqa: F401


def resolve(value: Any) -> Any:
    """In a process of user code: await the result if it can be, and return it.

    Raises NotDone, Stopped, and what the awaited code raises.
    """
    return _resolve(value, _run)


def resolve_unused(value: Any) -> None:
    """As `resolve`, for a result that is not used: its members may not wait to be used either."""
    value = resolve(value)
    if value is None:
        return
    if isinstance(value, undone.OVER_LAZY):
        raise NotDone(undone.explain_lazy(value))
    if isinstance(value, dict):
        value = value.values()
    elif not isinstance(value, list | tuple | set):
        return
    for each in itertools.islice(value, MOST_MEMBERS):
        if why := undone.explain_undone_member(each):
            raise NotDone(f"in what it gave back: {why}")


def resolve_in_program(value: Any) -> Any:
    """As `resolve`, in the program of a user of the library.

    Raises RuntimeError under a running event loop, which cannot wait for us.
    """
    return _resolve(value, _run_in_program)


def close() -> None:
    """Await nothing more: cancel the tasks that are left, as asyncio.run does at its end."""
    global _runner
    if _runner is not None:
        runner, _runner = _runner, None
        runner.close()


def _resolve(value: Any, run: Callable[[Any], Any]) -> Any:
    if value is None:
        return None
    if _is_awaitable(value):
        value = run(value)
        # `return` where `return await` was meant. Other awaitables may be values.
        while inspect.iscoroutine(value):
            value = run(value)
    if why := undone.explain_undone(value):
        raise NotDone(why)
    return value


def _is_awaitable(value: object) -> bool:
    """Whether it can be awaited.

    Not asked of an abstract class: those walk through all their subclasses, and a job pays for that
    in page faults.
    """
    if isinstance(value, types.GeneratorType):
        return bool(value.gi_code.co_flags & inspect.CO_ITERABLE_COROUTINE)
    return hasattr(type(value), "__await__") and not undone.is_future(value)


def _run(awaitable: Any) -> Any:
    """Await it in the event loop of this process. SIGTERM cancels it.

    A loop that is blocked, or code that catches the cancellation, goes on as a job may. Only the
    first SIGTERM cancels: a stop of everything may send one before fleet does, and `finally` blocks
    must not be cut.
    """
    global _runner
    import asyncio

    is_told, before = False, signal.getsignal(signal.SIGTERM)

    async def main() -> Any:
        loop, task = asyncio.get_running_loop(), asyncio.current_task()

        def stop() -> None:
            nonlocal is_told
            if not is_told and task is not None:
                is_told = True
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
        if not is_told:
            raise
        signal.signal(signal.SIGTERM, _ignore_signal)  # the tasks that are left have clean-up too
        close()
        raise Stopped from None
    finally:
        if before is not None:  # else the handler was not set from Python
            signal.signal(signal.SIGTERM, before)


def _ignore_signal(_number: int, _frame: object) -> None:
    """Do nothing: the signal says nothing new."""


def _run_in_program(awaitable: Any) -> Any:
    import asyncio

    async def main() -> Any:
        return await awaitable

    if asyncio._get_running_loop() is not None:
        if isinstance(awaitable, Coroutine):
            awaitable.close()
        raise RuntimeError(
            "the transformer gave back something to be awaited, "
            "and the event loop of this thread runs already: "
            "give dispatch() a thread of its own, or a transformer that is no coroutine function"
        )
    return asyncio.run(main())
