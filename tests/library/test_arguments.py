"""What a job is called with: the message's arguments, and those that the call adds."""

import asyncio
import functools
import multiprocessing
import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from fleet import Dispatcher, Message, Reject, Retry
from fleet.job.results import NotDone
from tests.library.conftest import Words
from tests.support.memory import MemoryQueue


def dispatcher(queue: MemoryQueue, **options: Any) -> Dispatcher:
    return Dispatcher(queue, **({"wait_time": 0} | options))


@pytest.fixture
def job(words: Words) -> Callable[..., None]:
    """Tells what it was called with."""
    return lambda *args, **kwargs: words.say("called", list(args), kwargs)


@pytest.mark.parametrize(
    ("value", "args", "kwargs"),
    [
        (["a", 2], ["a", 2, "extra", 0], {"named": 1}),
        (("a",), ["a", "extra", 0], {"named": 1}),
        ([], ["extra", 0], {"named": 1}),
        ({"given": 2}, ["extra", 0], {"given": 2, "named": 1}),
        ({}, ["extra", 0], {"named": 1}),
        ("text", ["text", "extra", 0], {"named": 1}),
        (None, [None, "extra", 0], {"named": 1}),
    ],
)
def test_the_transformers_value_and_the_extra_arguments_are_merged(
    words: Words, job: Callable[..., None], value: Any, args: list[Any], kwargs: dict[str, Any]
) -> None:
    assert dispatcher(MemoryQueue("x")).dispatch(
        job, "extra", 0, message_transformer=lambda _: value, named=1
    )
    assert words.of("called") == [[args, kwargs]]


def test_without_a_transformer_the_body_is_the_argument(
    words: Words, job: Callable[..., None]
) -> None:
    assert dispatcher(MemoryQueue("the body")).dispatch(job, 1, named=2)
    assert words.of("called") == [[["the body", 1], {"named": 2}]]


def test_the_transformer_sees_the_message_and_runs_once_in_its_caller(
    job: Callable[..., None],
) -> None:
    seen: list[Message] = []

    def transformer(message: Message) -> str:
        seen.append(message)
        return "x"

    dispatcher(MemoryQueue("body")).dispatch(job, message_transformer=transformer)
    assert [(message.id, message.body, message.attempt) for message in seen] == [("m1", "body", 1)]


def test_names_that_both_give_are_an_error_that_names_them(
    words: Words, job: Callable[..., None]
) -> None:
    """The message is released first, then the error raised; nothing has run."""
    queue = MemoryQueue("secret")
    lone = dispatcher(queue)
    with pytest.raises(TypeError, match="both the message and the call give a, b") as caught:
        lone.dispatch(job, message_transformer=lambda _: {"b": 1, "a": 2, "c": 3}, a=1, b=2)
    assert [call[0] for call in queue.calls] == ["receive", "release"]
    assert queue.asked("release") == [("m1", 5)]
    assert "secret" not in str(caught.value)
    assert lone.last is not None
    assert lone.last.settlement == "released"
    assert not words.all()


@pytest.mark.parametrize("error", [ValueError("not mine"), SystemExit(3)])
def test_a_transformer_that_raises_costs_nothing_but_a_release(
    job: Callable[..., None], error: BaseException
) -> None:
    def transformer(_message: Message) -> str:
        raise error

    queue = MemoryQueue("x")
    with pytest.raises(type(error)):
        dispatcher(queue).dispatch(job, message_transformer=transformer)
    assert queue.asked("release") == [("m1", 5)]


@pytest.mark.parametrize(
    ("attempt", "delays", "delay"),
    [(1, (), 5), (2, (), 10), (3, (), 20), (9, (), 60), (1, (100,), 100), (2, (100, 300), 300)],
)
def test_the_message_of_a_transformer_that_raises_comes_back_later_and_later(
    job: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
    attempt: int,
    delays: tuple[float, ...],
    delay: int,
) -> None:
    """Or by the delays that are given: a loop around it must not spin."""
    monkeypatch.setattr("fleet.system.jitter.draw", lambda: 0.5)
    queue = MemoryQueue("x")
    queue.attempts["m1"] = attempt - 1
    lone = Dispatcher(queue, wait_time=0, visibility_timeout=60, retry_delay=delays)
    with pytest.raises(ZeroDivisionError):
        lone.dispatch(job, message_transformer=lambda _: 1 // 0)
    assert queue.asked("release") == [("m1", delay)]
    assert lone.last is not None
    assert lone.last.delay == delay


@pytest.mark.parametrize(
    ("asked", "verb", "argument"),
    [(Retry(after=7), "release", 7), (Reject("bad"), "dead_letter", ["FleetDeath"])],
)
def test_a_transformer_may_ask_for_what_a_job_may_ask_for(
    job: Callable[..., None], asked: Exception, verb: str, argument: Any
) -> None:
    def transformer(_message: Message) -> str:
        raise asked

    queue = MemoryQueue("x")
    assert not dispatcher(queue).dispatch(job, message_transformer=transformer)
    assert queue.asked(verb) == [("m1", argument)]


def test_a_router_chooses_job_handler_and_arguments(words: Words, job: Callable[..., None]) -> None:
    def router(message: Message) -> dict[str, Any]:
        return {"_job": job, "_job_args": [message.body, 1], "given": 2}

    assert dispatcher(MemoryQueue("x")).dispatch_by_message_attribute(router, "extra", named=3)
    assert words.of("called") == [[["x", 1, "extra"], {"given": 2, "named": 3}]]


@pytest.mark.parametrize("single", ["text", None, 5])
def test_a_single_value_of_a_router_is_one_argument(
    words: Words, job: Callable[..., None], single: Any
) -> None:
    dispatcher(MemoryQueue("x")).dispatch_by_message_attribute(
        lambda _: {"_job": job, "_job_args": single}
    )
    assert words.of("called") == [[[single], {}]]


def test_a_routers_exit_handler_is_the_jobs(words: Words) -> None:
    def dies(*_args: Any) -> None:
        os.kill(os.getpid(), 9)

    def handler(*args: Any, message: Message) -> None:
        words.say("handled", list(args), message.id)

    def router(_message: Message) -> dict[str, Any]:
        return {"_job": dies, "_exit_handler": handler, "_job_args": ("a",)}

    with pytest.raises(Exception, match="was killed"):
        dispatcher(MemoryQueue("x")).dispatch_by_message_attribute(router, "extra")
    assert words.of("handled") == [[["a", "extra"], "m1"]]


@pytest.mark.parametrize(
    ("value", "text"),
    [({}, "_job"), ("job", "_job"), ({"_job": print, "_exit_handler": 1}, "_exit_handler")],
)
def test_what_is_no_route_is_released_and_raised(value: Any, text: str) -> None:
    queue = MemoryQueue("x")
    with pytest.raises(TypeError, match=text):
        dispatcher(queue).dispatch_by_message_attribute(lambda _: value)
    assert queue.asked("release") == [("m1", 5)]


def test_a_routers_names_may_not_overlap_either(job: Callable[..., None]) -> None:
    queue = MemoryQueue("x")
    with pytest.raises(TypeError, match="named"):
        dispatcher(queue).dispatch_by_message_attribute(
            lambda _: {"_job": job, "named": 1}, named=2
        )
    assert queue.asked("release") == [("m1", 5)]


class Worker:
    """An object whose method is a job, and which is one itself."""

    def __init__(self, words: Words) -> None:
        self._words = words

    def work(self, body: str) -> None:
        """A bound method."""
        self._words.say("called", body, multiprocessing.current_process().name)

    def __call__(self, body: str) -> None:
        self._words.say("called", body, "object")


def test_jobs_transformers_and_handlers_may_be_any_callable(words: Words) -> None:
    worker, told = Worker(words), Words(words.directory)

    def closure(body: str) -> None:
        told.say("called", body, "closure")

    def transformer(prefix: str, message: Message) -> str:
        return prefix + message.body

    partial: Callable[[Message], str] = functools.partial(transformer, "partly ")
    jobs: list[Callable[..., object]] = [
        closure,
        functools.partial(told.say, "called"),
        worker.work,
        worker,
    ]
    lone = dispatcher(MemoryQueue("a", "b", "c", "d"))
    for job in jobs:
        assert lone.dispatch(job, message_transformer=partial)
    assert [said[0] for said in words.of("called")] == [
        "partly a",
        "partly b",
        "partly c",
        "partly d",
    ]


@pytest.mark.parametrize(
    ("own", "call", "title"),
    [
        (None, None, "work"),
        ("whole", None, "whole"),
        ("whole", "this", "this"),
        (None, "this", "this"),
    ],
)
def test_a_job_has_a_title(words: Words, own: str | None, call: str | None, title: str) -> None:
    """The name given, else the callable's own, also of a partial."""

    def work(_body: str, _one: int) -> None:
        with open("/proc/self/cmdline", "rb") as line:  # noqa: PTH123 - as ps reads it
            words.say("title", line.read().rstrip(b"\0").decode())

    job = functools.partial(work, _one=1)
    dispatcher(MemoryQueue("x"), worker_process_name=own).dispatch(job, worker_process_name=call)
    assert words.of("title") == [[f"fleet: job {title} m1 attempt 1"]]


def test_an_object_that_is_a_job_is_titled_with_its_class(words: Words) -> None:
    class Titled(Worker):
        """Tells its title."""

        def __call__(self, _body: str) -> None:
            with open("/proc/self/cmdline", "rb") as line:  # noqa: PTH123 - as ps reads it
                self._words.say("title", line.read().rstrip(b"\0").decode())

    dispatcher(MemoryQueue("x")).dispatch(Titled(words))
    assert words.of("title") == [["fleet: job Titled m1 attempt 1"]]


# What is awaited, and what will not do.


async def awaited(value: Any) -> Any:
    await asyncio.sleep(0)
    return value


def test_a_transformer_and_a_router_may_be_awaited(words: Words, job: Callable[..., None]) -> None:
    async def transformer(message: Message) -> Any:
        return await awaited([message.body, 1])

    async def router(message: Message) -> Any:
        return await awaited({"_job": job, "_job_args": [message.body, 2]})

    assert dispatcher(MemoryQueue("x")).dispatch(job, message_transformer=transformer)
    assert dispatcher(MemoryQueue("x")).dispatch_by_message_attribute(router)
    assert words.of("called") == [[["x", 1], {}], [["x", 2], {}]]


def test_a_coroutine_function_is_a_job_also_under_a_running_loop(words: Words) -> None:
    """It runs in a process of its own, with a loop of its own."""

    async def job(body: str) -> None:
        words.say("called", await awaited(body))

    async def program() -> None:
        assert dispatcher(MemoryQueue("x")).dispatch(job)

    asyncio.run(program())
    assert dispatcher(MemoryQueue("y")).dispatch(job)
    assert words.of("called") == [["x"], ["y"]]


def test_a_transformer_that_must_be_awaited_is_refused_under_a_running_loop(
    job: Callable[..., None],
) -> None:
    queue = MemoryQueue("x")

    async def program() -> None:
        with pytest.raises(RuntimeError, match="event loop of this thread runs already"):
            dispatcher(queue).dispatch(job, message_transformer=awaited)

    asyncio.run(program())
    assert queue.asked("release") == [("m1", 5)]


def test_a_transformer_that_gives_back_a_generator_is_an_error(job: Callable[..., None]) -> None:
    queue = MemoryQueue("x")
    with pytest.raises(NotDone, match="gave back a generator"):
        dispatcher(queue).dispatch(
            job, message_transformer=lambda message: (each for each in message.body)
        )
    assert queue.asked("release") == [("m1", 5)]


def generates(*_given: Any) -> Iterator[int]:
    yield 1


@pytest.mark.parametrize(
    ("call", "why"),
    [
        (lambda lone: lone.dispatch(generates), "job is a generator function"),
        (
            lambda lone: lone.dispatch(print, message_transformer=generates),
            "message_transformer is a generator",
        ),
        (
            lambda lone: lone.dispatch(print, exit_handler=generates),
            "exit_handler is a generator function",
        ),
        (
            lambda lone: lone.dispatch_by_message_attribute(generates),
            "message_transformer is a generator",
        ),
        (lambda lone: lone.dispatch(lambda: None), "too many positional arguments"),
        (lambda lone: lone.dispatch(lambda body: body, 1), "too many positional arguments"),
        (lambda lone: lone.dispatch(lambda body, /: body, more=1), "more"),
    ],
)
def test_what_can_be_seen_is_refused_before_a_message_is_taken(
    call: Callable[[Dispatcher], object], why: str
) -> None:
    queue = MemoryQueue("x")
    with pytest.raises(TypeError, match=why):
        call(dispatcher(queue))
    assert not queue.calls
