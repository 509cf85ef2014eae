"""The user's code: the names that the options give, the callables behind them, and what can be
refused at the start.
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

_X: tuple[object, ...] = (None,)
_ONE: Sequence[Given] = ((_X, {}),)
_NOTHING: Sequence[Given] = (((), {}),)
_HANDLED: Sequence[Given] = ((_X, {}), (_X, {"message": None}), (_X, {"queue_message": None}))


@dataclass(frozen=True, slots=True)
class Loaded:
    """The callables behind the names."""

    job: Callable[..., object]
    transformer: Callable[[Message], Any] | None = None
    router: Callable[[Message], Any] | None = None
    exit_handler: Callable[..., object] | None = None
    job_init: Callable[[], object] | None = None
    job_exit: Callable[[BaseException | None], object] | None = None
    on_failure: Callable[[Failure], object] | None = None


def load_code(app: str, config: Config) -> Loaded:
    """Import the app and all that the options name. Raises AppError, also for what is seen not to
    work.
    """
    plain = config.transformer is None and config.router is None
    if config.router is not None:
        job = loader.load(app)
    else:
        job = _loaded(
            app,
            _ONE if plain else (),
            "a job",
            "one argument, what --body makes of the message",
        )
    found = Loaded(
        job,
        _optional(config.transformer, _ONE, "a transformer", "one argument, the message"),
        _optional(config.router, _ONE, "a router", "one argument, the message"),
        _optional(
            config.exit_handler,
            _HANDLED if plain else (),
            "an exit handler",
            "the job's argument",
        ),
        _optional(config.job_init, _NOTHING, "--job-init", "no argument"),
        _optional(config.job_exit, _ONE, "--job-exit", "one argument, the exception or None"),
        _optional(config.on_failure, _ONE, "an --on-failure hook", "one argument, the failure"),
    )
    results.prepare(*(getattr(found, each) for each in Loaded.__slots__))
    return found


def _optional(
    name: str | None, ways: Sequence[Given], what: str, given: str
) -> Callable[..., Any] | None:
    return _loaded(name, ways, what, given) if name else None


def _loaded(name: str, ways: Sequence[Given], what: str, given: str) -> Callable[..., Any]:
    """Without `ways` nobody can tell how it will be called."""
    found = loader.load(name)
    if kind := callables.lazy(found):
        raise AppError(
            f"{name} is {kind}: calling it runs none of its code; {what} must be a plain or async function"
        )
    if ways and (why := callables.misfit(found, ways)):
        raise AppError(f"{name} cannot be called as {what} is: with {given} ({why})")
    return found
