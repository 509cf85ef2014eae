"""The user's code: the callables behind the names that the options give.

And what of it can be refused at the start.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from fleet.core.config import Config
from fleet.core.failure import Failure
from fleet.core.queue import Message
from fleet.job import callables, loader, results
from fleet.job.callables import Given
from fleet.job.loader import AppError

# Ways to call something, each with a None for every value.
_ONE: Sequence[Given] = (((None,), {}),)
_NOTHING: Sequence[Given] = (((), {}),)
_ONE_AND_MESSAGE: Sequence[Given] = (
    ((None,), {}),
    ((None,), {"message": None}),
    ((None,), {"queue_message": None}),
)


@dataclass(frozen=True, slots=True)
class UserCode:
    """The callables behind the names."""

    job: Callable[..., object]
    transformer: Callable[[Message], Any] | None = None
    router: Callable[[Message], Any] | None = None
    exit_handler: Callable[..., object] | None = None
    job_init: Callable[[], object] | None = None
    job_exit: Callable[[BaseException | None], object] | None = None
    on_failure: Callable[[Failure], object] | None = None


def load_code(app: str, config: Config) -> UserCode:
    """Import the app and all that the options name.

    Raises AppError, also for what is seen not to work.
    """
    plain = config.transformer is None and config.router is None
    if config.router is not None:
        job = loader.load(app)
    else:
        given = "one argument, what --body makes of the message"
        job = _load(app, _ONE if plain else (), "a job", given)
    code = UserCode(
        job,
        _load_optional(config.transformer, _ONE, "a transformer", "one argument, the message"),
        _load_optional(config.router, _ONE, "a router", "one argument, the message"),
        _load_optional(
            config.exit_handler,
            _ONE_AND_MESSAGE if plain else (),
            "an exit handler",
            "the job's argument",
        ),
        _load_optional(config.job_init, _NOTHING, "--job-init", "no argument"),
        _load_optional(config.job_exit, _ONE, "--job-exit", "one argument, the exception or None"),
        _load_optional(
            config.on_failure, _ONE, "an --on-failure hook", "one argument, the failure"
        ),
    )
    results.prepare(*(getattr(code, each) for each in UserCode.__slots__))
    return code


def _load_optional(
    name: str | None, ways: Sequence[Given], what: str, given: str
) -> Callable[..., Any] | None:
    return _load(name, ways, what, given) if name else None


def _load(name: str, ways: Sequence[Given], what: str, given: str) -> Callable[..., Any]:
    """Import one callable. Without `ways` it is not known how it will be called."""
    call = loader.load(name)
    if kind := callables.describe_lazy(call):
        raise AppError(
            f"{name} is {kind}: calling it runs none of its code; "
            f"{what} must be a plain or async function"
        )
    if ways and (why := callables.describe_misfit(call, ways)):
        raise AppError(f"{name} cannot be called as {what} is: with {given} ({why})")
    return call
