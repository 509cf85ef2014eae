"""What can be seen of a callable before it is called.

That a call would run none of its code, or that it cannot be called like this.
"""

import functools
import inspect
from collections.abc import Callable, Sequence
from typing import Any

_HEAP_TYPE = 1 << 9  # Py_TPFLAGS_HEAPTYPE: a class that was made by a class statement

NO_SELF = "invalid method signature"  # what CPython says of a method without any parameter

Given = tuple[tuple[object, ...], dict[str, object]]


def describe_lazy(call: Callable[..., Any]) -> str | None:
    """What kind of callable it is, if a call runs none of its code; else None."""
    inner: Any = call
    while isinstance(inner, functools.partial | staticmethod):
        inner = inner.func if isinstance(inner, functools.partial) else inner.__func__
    if not inspect.isroutine(inner) and not isinstance(inner, type):
        inner = type(inner).__call__
    if inspect.isasyncgenfunction(inner):
        return "an async generator function"
    if not inspect.isgeneratorfunction(inner):
        return None
    flags = getattr(getattr(inner, "__code__", None), "co_flags", 0)
    is_awaited = flags & inspect.CO_ITERABLE_COROUTINE  # made by types.coroutine
    return None if is_awaited else "a generator function"


def describe_misfit(call: Callable[..., Any], ways: Sequence[Given]) -> str | None:
    """Why it can be called in none of these ways; None if it can, or if nobody can tell.

    What is called is the wrapper, not what it wraps. A `__signature__` says what somebody has
    written there, and counts for nothing.
    """
    if inspect.isbuiltin(call) or hasattr(call, "__signature__"):
        return None
    if isinstance(call, type) and not call.__flags__ & _HEAP_TYPE:
        return None
    try:
        signature = inspect.signature(call, follow_wrapped=False)
    except Exception as error:  # noqa: BLE001 - no signature; the app's own code may make it
        return "it takes no argument, not even self" if str(error) == NO_SELF else None
    why = ""
    for args, named in ways:
        try:
            signature.bind(*args, **named)
        except TypeError as error:
            why = why or str(error)
        else:
            return None
    return why
