"""What a transformer or a router returns → how the job is called."""

from types import MappingProxyType
from typing import Any

import pytest

from fleet.core.arguments import Call, arguments_of, call_of, merge_arguments


def job() -> None:
    """Not called here."""


def handler() -> None:
    """Not called here."""


@pytest.mark.parametrize(
    ("value", "args", "kwargs"),
    [
        (["a", 2], ("a", 2), {}),
        (("a",), ("a",), {}),
        ([], (), {}),
        ({"name": 1, "_private": 2}, (), {"name": 1, "_private": 2}),
        ({}, (), {}),
        ("text", ("text",), {}),
        (b"bytes", (b"bytes",), {}),
        (0, (0,), {}),
        (None, (None,), {}),
        ([[1, 2]], ([1, 2],), {}),
        ({1, 2}, ({1, 2},), {}),
    ],
)
def test_a_transformers_value_is_the_jobs_arguments(
    value: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> None:
    assert arguments_of(value) == (args, kwargs)


def test_named_arguments_are_a_copy() -> None:
    value = {"name": 1}
    _, kwargs = arguments_of(value)
    kwargs["more"] = 2
    assert value == {"name": 1}


@pytest.mark.parametrize(
    ("value", "call"),
    [
        ({"_job": job}, Call(job)),
        ({"_job": job, "name": 1}, Call(job, (), {"name": 1})),
        ({"_job": job, "_job_args": [1, 2], "name": 3}, Call(job, (1, 2), {"name": 3})),
        ({"_job": job, "_job_args": (1,)}, Call(job, (1,))),
        ({"_job": job, "_job_args": "text"}, Call(job, ("text",))),
        ({"_job": job, "_job_args": None}, Call(job, (None,))),
        ({"_job": job, "_exit_handler": handler}, Call(job, (), {}, handler)),
        ({"_job": job, "_exit_handler": None}, Call(job)),
    ],
)
def test_a_routers_value_is_a_call(value: dict[str, Any], call: Call) -> None:
    assert not call.routed
    assert call_of(value) == call._replace(routed=True)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (None, "_job"),
        ([job], "_job"),
        (job, "_job"),
        ({}, "_job"),
        ({"job": job}, "_job"),
        ({"_job": "app:job"}, "_job"),
        ({"_job": None}, "_job"),
        (MappingProxyType({"_job": job}), "_job"),
        ({"_job": job, "_exit_handler": "app:handler"}, "_exit_handler"),
    ],
)
def test_anything_else_is_the_routers_fault(value: Any, words: str) -> None:
    with pytest.raises(TypeError, match=words):
        call_of(value)


@pytest.mark.parametrize(
    ("args", "named", "extra", "more", "given"),
    [
        ((), {}, (), {}, ((), {})),
        ((1,), {}, (2, 3), {"a": 4}, ((1, 2, 3), {"a": 4})),
        ((), {"a": 1}, (2,), {"b": 3}, ((2,), {"a": 1, "b": 3})),
        ([1], {"a": 1}, [], {}, ((1,), {"a": 1})),
    ],
)
def test_the_messages_arguments_come_first(
    args: Any, named: Any, extra: Any, more: Any, given: Any
) -> None:
    assert merge_arguments(args, named, extra, more) == given


def test_names_given_twice_are_told_all() -> None:
    with pytest.raises(TypeError, match=r"^both the message and the call give a, b$"):
        merge_arguments((), {"b": 1, "a": 2, "c": 3}, (), {"a": 4, "b": 5, "d": 6})
