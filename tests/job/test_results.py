"""What user code gives back: awaited if it can be, refused if it is not done."""

import asyncio
import concurrent.futures
import contextlib
import functools
import itertools
import multiprocessing.pool
import signal
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import pytest

from fleet.core.outcomes import Exit
from fleet.core.queue import Message
from fleet.job import results
from fleet.job.results import NotDone
from tests.support import jobs

pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")

DONE, FAILED, TERM = Exit(code=0), Exit(code=1), Exit(signal=15)


def say(what: object) -> None:
    print(what, flush=True)  # noqa: T201 - what is tested


async def a_job(body: str) -> str:
    await asyncio.sleep(0)
    say(f"ran with {body}")
    return body


class Caller:
    """A callable object, and a bound method."""

    async def __call__(self, body: str) -> None:
        await a_job(body)

    async def method(self, body: str) -> None:
        await a_job(body)


class Awaitable:
    """Neither a coroutine nor a Future."""

    def __await__(self) -> Generator[Any, None, "Awaitable"]:
        yield from asyncio.sleep(0).__await__()
        say("ran with some body")
        return self


def decorated(call: Callable[[str], Any]) -> Callable[[str], Any]:
    @functools.wraps(call)
    def wrapper(body: str) -> Any:
        return call(body)

    return wrapper


def forgotten_await(body: str) -> Any:
    async def outer() -> Any:
        return a_job(body)

    return outer()


@pytest.mark.parametrize(
    "call",
    [
        a_job,
        Caller(),
        Caller().method,
        functools.partial(a_job),
        decorated(a_job),
        lambda body: a_job(body),
        lambda _body: Awaitable(),
        forgotten_await,
    ],
)
def test_whatever_can_be_awaited_is(call: Callable[[str], Any]) -> None:
    assert jobs.run(call) == (DONE, "ran with some body\n")


def test_an_exception_of_what_is_awaited_is_the_jobs() -> None:
    async def fails(_body: str) -> None:
        raise ValueError("after all")

    forked = jobs.fork(fails)
    assert forked.end() == FAILED
    assert forked.page.read()["error"]["message"] == "after all"
    assert forked.page.read()["error"]["where"].endswith("in fails")
    assert "asyncio" not in forked.page.read()["error"]["traceback"]


def test_transformer_job_and_router_share_one_loop() -> None:
    async def transformer(message: Message) -> list[Any]:
        return [message.body, asyncio.get_running_loop()]

    async def job(body: str, loop: Any) -> None:
        assert loop is asyncio.get_running_loop()
        say(body)

    async def router(message: Message) -> dict[str, Any]:
        return {"_job": job, "_job_args": await transformer(message)}

    assert jobs.run(job, transformer=transformer) == (DONE, "some body\n")
    assert jobs.run(job, router=router) == (DONE, "some body\n")


def test_an_exit_handler_is_awaited() -> None:
    assert jobs.run(lambda _body: None, exit_handler=a_job, handler=True) == (
        DONE,
        "ran with some body\n",
    )


def test_tasks_that_are_left_are_cancelled_and_end_in_order() -> None:
    async def job(_body: str) -> None:
        async def task() -> None:
            try:
                await asyncio.sleep(1000)
            finally:
                say("cleaned up")

        kept.append(asyncio.create_task(task()))
        await asyncio.sleep(0)

    kept: list[Any] = []
    assert jobs.run(job) == (DONE, "cleaned up\n")


async def _waits(_body: str) -> None:
    try:
        say("waiting")
        await asyncio.sleep(1000)
    finally:
        await asyncio.sleep(0)
        say("cleaned up")


def test_sigterm_cancels_and_after_its_clean_up_the_job_ends_by_it() -> None:
    forked = jobs.fork(_waits)
    forked.wait_said("waiting")
    forked.send(signal.SIGTERM)
    forked.wait_said("cleaned up")
    assert forked.end() == TERM
    assert "error" not in forked.page.read()


@pytest.mark.parametrize("where", ["the job", "a task that is left"])
def test_a_second_sigterm_does_not_cut_the_clean_up(where: str, tmp_path: Path) -> None:
    gate = tmp_path / "gate"

    async def work() -> None:
        try:
            say("waiting")
            await asyncio.sleep(1000)
        finally:
            say("cleaning")
            while not gate.exists():
                await asyncio.sleep(0.001)
            say("cleaned up")

    async def job(_body: str) -> None:
        if where == "the job":
            await work()
        task = asyncio.create_task(work())
        await asyncio.shield(task)

    forked = jobs.fork(job)
    forked.wait_said("waiting")
    forked.send(signal.SIGTERM)
    forked.wait_said("cleaning")
    forked.send(signal.SIGTERM)
    gate.touch()
    forked.wait_said("cleaned up")
    assert forked.end() == TERM


def test_a_handler_that_the_app_has_set_before_is_there_again_after() -> None:
    def init() -> None:
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(7))

    async def transformer(message: Message) -> str:
        return message.body

    def job(_body: str) -> None:
        signal.raise_signal(signal.SIGTERM)

    assert jobs.run(job, job_init=init, transformer=transformer)[0] == Exit(code=7)


def test_one_that_catches_the_cancellation_has_succeeded() -> None:
    async def tidy(body: str) -> None:
        try:
            await _waits(body)
        except asyncio.CancelledError:
            say("done early")

    forked = jobs.fork(tidy)
    forked.wait_said("waiting")
    forked.send(signal.SIGTERM)
    assert forked.end() == DONE


def test_a_cancellation_that_nobody_asked_for_is_a_failure() -> None:
    async def cancelled(_body: str) -> None:
        raise asyncio.CancelledError

    assert jobs.run(cancelled)[0] == FAILED


def test_a_job_that_awaits_nothing_has_the_default_signal_even_after_an_async_transformer() -> None:
    async def transformer(message: Message) -> str:
        return message.body

    def job(_body: str) -> None:
        say("waiting")
        while True:
            signal.pause()

    forked = jobs.fork(job, transformer=transformer)
    forked.wait_said("waiting")
    forked.send(signal.SIGTERM)
    assert forked.end() == TERM


# What is not done.


def generates(body: str) -> Iterator[str]:
    say("ran")
    yield body


async def generates_async(body: str) -> AsyncIterator[str]:
    say("ran")
    yield body


def never(_body: object) -> None:
    say("ran")


@pytest.mark.parametrize(
    "call",
    [
        decorated(generates),
        decorated(generates_async),
        lambda body: map(never, [body]),
        lambda body: filter(never, [body]),
        lambda _body: concurrent.futures.Future(),
        lambda body: threading.Thread(target=never, args=(body,)),
        lambda body: multiprocessing.Process(target=never, args=(body,)),
        lambda _body: subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"]),
        contextlib.contextmanager(generates),
        contextlib.asynccontextmanager(generates_async),
        lambda body: itertools.chain(generates(body), [body]),
        lambda body: zip(generates(body), [1], strict=True),
        lambda body: itertools.takewhile(never, [body]),
    ],
)
def test_what_is_not_done_is_a_failure_that_says_so(call: Callable[[str], Any]) -> None:
    how, said = jobs.run(call)
    assert how == FAILED
    assert said.startswith("fleet: it gave back ")
    assert "ran" not in said.split()
    assert said.count("\n") == 1


async def _starts_a_program(_body: str) -> Any:
    return await asyncio.create_subprocess_exec(
        sys.executable, "-c", "import signal; signal.pause()"
    )


async def _leaves_a_task(body: str) -> Any:
    return {"task": asyncio.create_task(a_job(body))}


@pytest.mark.parametrize(
    ("call", "what"),
    [
        (_starts_a_program, "a program that still runs"),
        (_leaves_a_task, "a task that is not done"),
        (lambda body: [a_job(body)], "a coroutine that was never awaited"),
        (lambda body: ({}, generates(body)), "a generator"),
        (
            lambda body: [threading.Thread(target=never, args=(body,))],
            "a thread that was never started",
        ),
    ],
)
@pytest.mark.filterwarnings("ignore:coroutine:RuntimeWarning")
def test_nor_may_what_it_holds_wait_for_somebody(call: Callable[[str], Any], what: str) -> None:
    how, said = jobs.run(call)
    assert (how, what in said, "ran" in said) == (FAILED, True, False)


def test_what_is_done_or_will_be_may_be_held() -> None:
    async def job(body: str) -> list[Any]:
        task = asyncio.create_task(a_job(body))
        await task
        failed = asyncio.get_running_loop().create_future()
        failed.set_exception(KeyError(5))
        return [task, failed, concurrent.futures.Future(), None, 5, "a", iter([])]

    how, said = jobs.run(job)
    assert (how, "ran with some body" in said) == (DONE, True)


@pytest.mark.parametrize("what", ["job_init", "transformer", "router"])
def test_what_leaves_with_0_before_the_job_has_not_done_it(what: str) -> None:
    more: dict[str, Any] = {what: lambda *_given: sys.exit(0)}
    forked = jobs.fork(never, **more)
    assert forked.end() == FAILED
    assert "before it was called" in forked.page.read()["error"]["message"]
    assert "test_results.py" in forked.page.read()["error"]["where"]


@pytest.mark.parametrize("what", ["transformer", "router", "exit_handler"])
def test_wherever_user_code_gives_it_back(what: str) -> None:
    more: dict[str, Any] = {
        what: lambda *_given: (each for each in "ab"),
        "handler": what == "exit_handler",
    }
    how, said = jobs.run(lambda _given: say("ran"), **more)
    assert (how, "gave back a generator" in said) == (FAILED, True)


def test_futures_and_tasks_of_a_loop_that_is_over() -> None:
    loop = asyncio.new_event_loop()
    try:
        future = loop.create_future()
        with pytest.raises(NotDone, match="Future that is not done"):
            results.resolve(future)
        future.set_result("done")
        assert results.resolve(future) is future
        failed = loop.create_future()
        failed.set_exception(KeyError(5))
        with pytest.raises(KeyError):
            results.resolve(failed)
    finally:
        loop.close()


def test_the_exception_of_a_future_that_is_done_is_the_jobs() -> None:
    future: concurrent.futures.Future[int] = concurrent.futures.Future()
    future.set_exception(KeyError(5))
    with pytest.raises(KeyError):
        results.resolve(future)


def test_the_result_of_a_pool() -> None:
    with multiprocessing.pool.ThreadPool(1) as pool:
        gate = threading.Event()
        later = pool.apply_async(gate.wait)
        with pytest.raises(NotDone, match="not ready"):
            results.resolve(later)
        with pytest.raises(NotDone, match="iterator over a pool's results"):
            results.resolve(pool.imap(str, [1]))
        gate.set()
        later.wait()
        assert results.resolve(later) is later
        failed = pool.apply_async(int, ("x",))
        failed.wait()
        with pytest.raises(ValueError, match="invalid literal"):
            results.resolve(failed)


@pytest.mark.parametrize(
    "value", [0, False, "", [], {}, ValueError("x"), iter([]), object(), type, len]
)
def test_anything_else_is_a_result(value: object) -> None:
    assert results.resolve(value) is value


def test_a_file_and_a_cursor_are_results_though_they_iterate() -> None:
    import sqlite3

    with sqlite3.connect(":memory:") as connection:
        cursor = connection.execute("create table a (b)")
        assert results.resolve(cursor) is cursor
    connection.close()
    with open(__file__) as file:  # noqa: PTH123 - any file
        assert results.resolve(file) is file


# In somebody's own program.


def test_in_a_program_it_is_awaited() -> None:
    async def value() -> int:
        await asyncio.sleep(0)
        return 5

    assert results.resolve_in_program(value()) == 5


def test_under_a_running_loop_it_is_refused() -> None:
    async def value() -> int:
        return 5

    async def program() -> None:
        with pytest.raises(RuntimeError, match="event loop of this thread runs already"):
            results.resolve_in_program(value())

    asyncio.run(program())
