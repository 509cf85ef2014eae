"""From a message to the call of its job, by a transformer of the caller's.

Runs in the caller's process.
"""

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from fleet.core.arguments import Call, arguments_of, call_of, merge_arguments
from fleet.core.queue import Message
from fleet.job.results import resolve_in_program

Transformer = Callable[[Message], Any]
Prepare = Callable[[Message], Call]


def for_job(
    job: Callable[..., object],
    transformer: Transformer | None,
    exit_handler: Callable[..., object] | None,
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
) -> Prepare:
    """Calls of `job` with what the transformer (None: the body) makes of a message, then `args` and
    `kwargs`. A call of it raises TypeError for a name given twice, and what the transformer raises.
    """

    def prepare(message: Message) -> Call:
        value: Any = message.body
        if transformer:
            value = resolve_in_program(transformer(message))
        given, named = merge_arguments(*arguments_of(value), args, kwargs)
        return Call(job, given, named, exit_handler)

    return prepare


def by_message(transformer: Transformer, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Prepare:
    """As `for_job`, with a transformer that chooses the job and the exit handler too."""

    def prepare(message: Message) -> Call:
        call = call_of(resolve_in_program(transformer(message)))
        given, named = merge_arguments(call.args, call.kwargs, args, kwargs)
        return Call(call.job, given, named, call.exit_handler)

    return prepare


def that_raises(asked: Exception) -> Call:
    """A call that raises this: the Retry or Reject of a transformer is done as if its job had
    raised it.
    """

    def job() -> None:
        raise asked

    return Call(job)


def name_of(job: Callable[..., object]) -> str:
    """The name of a callable; a partial has the name of what it is of."""
    while isinstance(job, functools.partial):
        job = job.func
    return str(getattr(job, "__name__", type(job).__name__))
