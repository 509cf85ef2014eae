"""What is refused at the start: code that a call would not run, and calls that cannot be made."""

import functools
import json
import operator
import types
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import pytest

from fleet.core.config import Config
from fleet.job import callables
from fleet.job.loader import AppError
from fleet.job.user_code import UserCode, load_code

ONE: list[callables.Given] = [((None,), {})]


def generates(_body: object) -> Iterator[int]:
    yield 1


async def generates_async(_body: object) -> AsyncIterator[int]:
    yield 1


@types.coroutine
def awaits_as_of_old(_body: object) -> Generator[None, None, None]:
    yield


async def awaits(_body: object) -> None:
    return None


def plain(_body: object) -> None:
    return None


def nothing() -> None:
    return None


def two(_body: object, _more: object) -> None:
    return None


def named(*, body: object) -> object:
    return body


class Works:
    """Made by a call, called itself, and with methods."""

    def __init__(self, body: object = None) -> None:
        self.body = body

    def __call__(self, body: object) -> Iterator[object]:
        yield body

    def method(self, body: object) -> Iterator[object]:
        yield body

    def plain(self, body: object) -> object:
        return body

    def without_self() -> None:  # type: ignore[misc]
        """Forgotten."""

    @staticmethod
    def static(body: object) -> Iterator[object]:
        yield body

    @classmethod
    def of_class(cls, body: object) -> object:
        return body


WITHOUT_SELF: Callable[..., Any] = vars(Works)["without_self"].__get__(Works())


def wraps(call: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(call)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return call(*args, **kwargs)

    return wrapper


def injected(call: Callable[..., Any]) -> Callable[..., Any]:
    """A decorator whose wrapper takes what the wrapped one does not say."""

    @functools.wraps(call)
    def wrapper(body: object) -> Any:
        return call(body, "injected")

    return wrapper


@pytest.mark.parametrize(
    "call",
    [
        generates,
        functools.partial(generates),
        functools.partial(functools.partial(generates)),
        Works(),
        Works().method,
        Works.static,
        staticmethod(generates),
    ],
)
def test_generators(call: Callable[..., Any]) -> None:
    assert callables.describe_lazy(call) == "a generator function"
    assert callables.describe_lazy(generates_async) == "an async generator function"


@pytest.mark.parametrize(
    "call",
    [
        plain,
        awaits,
        awaits_as_of_old,
        Works,
        Works().plain,
        wraps(generates),
        print,
        MagicMock(),
        functools.partial(plain),
    ],
)
def test_no_generators(call: Callable[..., Any]) -> None:
    assert callables.describe_lazy(call) is None


@pytest.mark.parametrize(
    "call",
    [
        nothing,
        two,
        named,
        Works.method,
        WITHOUT_SELF,
        functools.partial(WITHOUT_SELF),
        functools.partial(plain, 1),
        functools.partial(two, 1, 2),
        lambda: None,
    ],
)
def test_what_cannot_be_called_with_one_argument(call: Callable[..., Any]) -> None:
    assert callables.describe_misfit(call, ONE)


@pytest.mark.parametrize(
    "call",
    [
        plain,
        awaits,
        Works,
        Works(),
        Works().plain,
        Works.of_class,
        wraps(nothing),
        injected(two),
        functools.partial(two, 1),
        lambda *_all: None,
        print,
        len,
        int,
        dict,
        json.dumps,
        str.upper,
        operator.methodcaller("upper"),
        MagicMock(),
    ],
)
def test_what_can_or_what_nobody_can_tell(call: Callable[..., Any]) -> None:
    assert callables.describe_misfit(call, ONE) is None


def test_a_signature_that_somebody_has_set_counts_for_nothing() -> None:
    def shown() -> None:
        return None

    shown.__signature__ = 7  # type: ignore[attr-defined]
    assert callables.describe_misfit(shown, ONE) is None


# As a whole.


def load(module: str, names: dict[str, str]) -> UserCode:
    given: dict[str, Any] = {what: f"{module}:{name}" for what, name in names.items()}
    return load_code(given.pop("app"), Config(**given))


@pytest.fixture
def app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "fitting.py").write_text(
        """
def job(body): ...
def bare(): ...
def generates(body): yield body
async def generates_async(body): yield body
def clean(body): ...
def clean_named(*, message): ...
def clean_more(body, message): ...
async def awaits(body): ...
"""
    )
    monkeypatch.syspath_prepend(tmp_path)
    return "fitting"


@pytest.mark.parametrize(
    ("names", "why"),
    [
        (
            {"app": "generates"},
            "fitting:generates is a generator function: calling it runs none of its code",
        ),
        ({"app": "generates_async"}, "is an async generator function"),
        ({"app": "bare"}, "fitting:bare cannot be called as a job is: with one argument"),
        (
            {"app": "job", "transformer": "bare"},
            "fitting:bare cannot be called as a transformer is",
        ),
        ({"app": "bare", "router": "bare"}, "fitting:bare cannot be called as a router is"),
        ({"app": "job", "router": "generates"}, "a router must be a plain or async function"),
        (
            {"app": "job", "exit_handler": "bare"},
            "fitting:bare cannot be called as an exit handler is",
        ),
        ({"app": "job", "exit_handler": "clean_named"}, "cannot be called as an exit handler is"),
        (
            {"app": "bare", "transformer": "job", "exit_handler": "generates"},
            "an exit handler must be",
        ),
    ],
)
def test_it_is_refused_by_name_with_what_would_be_right(
    app: str, names: dict[str, str], why: str
) -> None:
    with pytest.raises(AppError, match=why) as raised:
        load(app, names)
    assert raised.value.trace == ""


@pytest.mark.parametrize(
    "names",
    [
        {"app": "job"},
        {"app": "awaits"},
        {"app": "bare", "transformer": "job"},
        {"app": "bare", "router": "job"},
        {"app": "job", "exit_handler": "clean"},
        {"app": "job", "exit_handler": "clean_more"},
        {"app": "bare", "transformer": "awaits", "exit_handler": "bare"},
    ],
)
def test_what_fits_is_loaded(app: str, names: dict[str, str]) -> None:
    loaded = load(app, names)
    assert loaded.job.__name__ == names["app"]
