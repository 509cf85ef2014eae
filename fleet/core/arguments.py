"""What a transformer or a router returns → how the job is called.

| returned          | the job is called with                                                       |
|-------------------|------------------------------------------------------------------------------|
| a list or a tuple | its members                                                                  |
| a dict            | named arguments; a router's has `_job`, and may have `_exit_handler` and     |
|                   | `_job_args`                                                                  |
| anything else     | that                                                                         |

`Dispatcher.dispatch` may give more: positional ones follow, named ones are added. A name that both
give is an error.
"""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

Given = tuple[tuple[Any, ...], dict[str, Any]]  # positional and named arguments
JOB, EXIT_HANDLER, JOB_ARGS = "_job", "_exit_handler", "_job_args"


class Call(NamedTuple):
    """A call that has not been made yet."""

    job: Callable[..., object]
    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = MappingProxyType({})
    exit_handler: Callable[..., object] | None = None
    routed: bool = False


def arguments_of(value: Any) -> Given:
    """Positional and named arguments out of what a transformer returned."""
    if isinstance(value, list | tuple):
        return tuple(value), {}
    if isinstance(value, dict):
        return (), dict(value)
    return (value,), {}


def merge_arguments(
    args: Sequence[Any], named: Mapping[str, Any], extra: Sequence[Any], more: Mapping[str, Any]
) -> Given:
    """The message's arguments, then the extra ones. Raises TypeError for a name in both."""
    both = sorted(str(name) for name in named.keys() & more.keys())
    if both:
        raise TypeError(f"both the message and the call give {', '.join(both)}")
    return (*args, *extra), {**named, **more}


def call_of(value: Any) -> Call:
    """The call out of what a router returned.

    Raises TypeError when it is not what a router must return.
    """
    if not isinstance(value, dict) or not callable(value.get(JOB)):
        raise TypeError(f"a router must return a dict with a callable {JOB!r}")
    handler = value.get(EXIT_HANDLER)
    if handler is not None and not callable(handler):
        raise TypeError(f"a router's {EXIT_HANDLER!r} must be callable")
    named = {
        name: each for name, each in value.items() if name not in (JOB, EXIT_HANDLER, JOB_ARGS)
    }
    given = value.get(JOB_ARGS, ())
    args = tuple(given) if isinstance(given, list | tuple) else (given,)
    return Call(value[JOB], args, named, handler, routed=True)
