"""A job's end is a program's end: threads, children, exit functions, whichever way its interpreter
ends by itself.
"""

import atexit
import concurrent.futures
import json
import logging
import logging.handlers
import multiprocessing
import os
import signal
import sys
import tempfile
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from fleet import Reject, Retry
from fleet.core.outcomes import Exit
from fleet.dispatcher.returned import exit_of_job
from tests.support import jobs
from tests.support.eventually import eventually

pytestmark = pytest.mark.filterwarnings(
    "ignore:.*multi-threaded:DeprecationWarning", "ignore::ResourceWarning"
)

DONE, FAILED, TERM = Exit(code=0), Exit(code=1), Exit(signal=15)
FORK = multiprocessing.get_context("fork")


def say(*what: object) -> None:
    """In one write, line by line."""
    os.write(1, (" ".join(map(str, what)) + "\n").encode())


def later(what: str) -> None:
    """Said after the job has returned: not before its main thread waits for this one."""
    while threading.main_thread() in _running():
        time.sleep(0.001)
    say(what)


def _running() -> set[threading.Thread | None]:
    """Threads that run the app's code, not the end of the process."""
    ends = ("_end_threads", "_python_exit", "_run_exit_functions")
    found: set[threading.Thread | None] = set()
    for ident, frame in sys._current_frames().items():
        names: set[str] = set()
        each: FrameType | None = frame
        while each is not None:
            names.add(each.f_code.co_name)
            each = each.f_back
        if not names & set(ends):
            found.add(threading._active.get(ident))  # type: ignore[attr-defined]
    return found


WAYS: list[tuple[Callable[[], object], Exit]] = [
    (lambda: None, DONE),
    (lambda: sys.exit(3), Exit(code=3)),
    (lambda: 1 / 0, FAILED),
    (lambda: _raise(Retry(after=5)), Exit(code=75)),
    (lambda: _raise(Reject("no")), Exit(code=65)),
]


def _raise(error: Exception) -> None:
    raise error


@pytest.mark.parametrize(("leave", "how"), WAYS)
def test_what_the_code_came_to_is_noted_before_exit_functions_run(
    leave: Callable[[], object], how: Exit
) -> None:
    def job(_body: str) -> None:
        atexit.register(os._exit, 0)
        leave()

    forked = jobs.fork(job)
    assert forked.end() == DONE
    assert exit_of_job(DONE, forked.page) == how


@pytest.mark.parametrize(("leave", "how"), WAYS)
def test_a_thread_is_waited_for_however_the_job_ends(
    leave: Callable[[], object], how: Exit
) -> None:
    def job(_body: str) -> None:
        threading.Thread(target=later, args=("the thread is done",)).start()
        leave()

    ended, said = jobs.run(job)
    assert ended == how
    assert "the thread is done\n" in said


def test_a_daemon_is_not() -> None:
    def job(_body: str) -> None:
        threading.Thread(target=threading.Event().wait, daemon=True).start()

    assert jobs.run(job) == (DONE, "")


def test_threads_that_threads_start_are_waited_for_too() -> None:
    def first() -> None:
        later("the first is done")
        threading.Thread(target=later, args=("the second is done",)).start()

    assert jobs.run(lambda _: threading.Thread(target=first).start()) == (
        DONE,
        "the first is done\nthe second is done\n",
    )


def test_work_of_a_thread_pool_that_nobody_has_shut_down() -> None:
    def job(_body: str) -> None:
        pool = concurrent.futures.ThreadPoolExecutor(1)
        for number in range(3):
            pool.submit(later, f"{number} is done")

    assert jobs.run(job) == (DONE, "0 is done\n1 is done\n2 is done\n")


def test_work_of_a_process_pool_that_nobody_has_shut_down() -> None:
    def job(_body: str) -> None:
        pool = concurrent.futures.ProcessPoolExecutor(1, mp_context=FORK)
        pool.submit(say, "done")

    assert jobs.run(job) == (DONE, "done\n")


@pytest.mark.parametrize("leave", [lambda: None, lambda: sys.exit(0)])
def test_a_child_of_multiprocessing(leave: Callable[[], object]) -> None:
    def child() -> None:
        say("the child is done")

    def job(_body: str) -> None:
        FORK.Process(target=child).start()
        leave()

    assert jobs.run(job) == (DONE, "the child is done\n")


def test_asyncios_threads() -> None:
    import asyncio

    async def job(_body: str) -> None:
        asyncio.get_running_loop().run_in_executor(None, say, "done")

    assert jobs.run(job) == (DONE, "done\n")


def test_a_threads_own_exception_is_said_and_is_not_the_jobs() -> None:
    ended, said = jobs.run(
        lambda _: threading.Thread(target=_raise, args=(KeyError("mine"),)).start()
    )
    assert ended == DONE
    assert "Exception in thread" in said
    assert "KeyError: 'mine'" in said


def test_neither_is_its_sys_exit() -> None:
    assert jobs.run(lambda _: threading.Thread(target=sys.exit, args=(5,)).start()) == (DONE, "")


def test_os_exit_is_the_end() -> None:
    def job(_body: str) -> None:
        threading.Thread(target=threading.Event().wait).start()
        atexit.register(say, "not run")
        os._exit(7)

    assert jobs.run(job) == (Exit(code=7), "")


def test_the_order_is_cpythons() -> None:
    """Threads; the job's own exit functions, the last one first; logging; what is buffered."""

    class Handler(logging.Handler):
        def close(self) -> None:
            say("logging is shut down")
            super().close()

    def job(_body: str) -> None:
        handlers.append(Handler())
        atexit.register(say, "first exit function")
        atexit.register(print, "printed in an exit function")
        atexit.register(say, "second exit function")
        threading.Thread(target=later, args=("the thread is done",)).start()

    handlers: list[logging.Handler] = []
    assert jobs.run(job)[1].splitlines() == [
        "the thread is done",
        "second exit function",
        "printed in an exit function",
        "first exit function",
        "logging is shut down",
    ]


def test_an_exit_function_that_raises_changes_nothing() -> None:
    def job(_body: str) -> None:
        atexit.register(say, "run all the same")
        atexit.register(sys.exit, 5)
        atexit.register(_raise, KeyError("mine"))

    ended, said = jobs.run(job)
    assert ended == DONE
    assert "KeyError: 'mine'" in said
    assert said.endswith("run all the same\n")


def test_a_temporary_directory_of_the_jobs_is_removed() -> None:
    def job(_body: str) -> None:
        kept.append(tempfile.TemporaryDirectory())
        say(kept[0].name)

    kept: list[Any] = []
    ended, said = jobs.run(job)
    assert ended == DONE
    assert not Path(said.splitlines()[0]).exists()


# What others have registered before the fork.


class Something:
    """May be finalized."""


@pytest.fixture
def registered() -> Iterator[list[object]]:
    """By the process that jobs are forked from."""
    something = Something()
    directory = tempfile.TemporaryDirectory()
    finalizer = weakref.finalize(something, say, "a finalizer of before the fork")
    atexit.register(say, "an exit function of before the fork")
    memory = logging.handlers.MemoryHandler(9, target=logging.StreamHandler(sys.stdout))
    memory.buffer.append(logging.makeLogRecord({"msg": "a record of before the fork"}))
    yield [something, directory, memory]
    atexit.unregister(say)
    finalizer.detach()
    memory.buffer.clear()
    memory.close()
    directory.cleanup()


def test_it_is_not_the_jobs(registered: list[object]) -> None:
    assert jobs.run(lambda _: None) == (DONE, "")
    directory = registered[1]
    assert isinstance(directory, tempfile.TemporaryDirectory)
    assert Path(directory.name).exists()


def test_not_even_when_the_job_lets_it_go(registered: list[object]) -> None:
    name = registered[1].name  # type: ignore[attr-defined]
    assert jobs.run(lambda _: registered.clear()) == (DONE, "")
    assert Path(name).exists()


def test_the_job_registers_on_top_of_it(registered: list[object]) -> None:
    def job(_body: str) -> None:
        weakref.finalize(registered[0], say, "a finalizer of the job's")
        atexit.register(say, "an exit function of the job's")

    assert jobs.run(job) == (DONE, "an exit function of the job's\na finalizer of the job's\n")


def test_a_thread_pool_of_before_the_fork_works() -> None:
    """With workers that were idle, and work that was waiting: that is not the job's."""

    def job(_body: str) -> None:
        assert pool.submit(int, "5").result() == 5
        pool.submit(later, "done")

    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        pool.submit(int).result()
        assert jobs.run(job) == (DONE, "done\n")
        gate = threading.Event()
        pool.submit(gate.wait)
        pool.submit(say, "not the job's")
        try:
            assert jobs.run(job) == (DONE, "done\n")
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
            gate.set()


def test_a_process_pool_of_before_the_fork_says_what_is_wrong() -> None:
    with concurrent.futures.ProcessPoolExecutor(1, mp_context=FORK) as pool:
        pool.submit(int).result()
        ended, said = jobs.run(lambda _: pool.submit(say, "never"))
    assert ended == FAILED
    assert "RuntimeError: this pool was made before the job's process was forked" in said
    with FORK.Pool(1) as another:
        ended, said = jobs.run(lambda _: another.apply_async(say, ("never",)))
    assert ended == FAILED
    assert "RuntimeError: this pool was made before the job's process was forked" in said


# What is waited for is said, and bounded.


def test_what_is_waited_for_is_on_the_shared_page() -> None:
    def job(_body: str) -> None:
        for name in ("quick", "slow"):
            threading.Thread(target=gates[name].wait, name=name).start()
        say("returned")
        signal.signal(signal.SIGUSR1, lambda *_: gates["quick"].set())
        signal.signal(signal.SIGUSR2, lambda *_: gates["slow"].set())

    gates = {name: threading.Event() for name in ("quick", "slow")}
    forked = jobs.fork(job)
    eventually(lambda: forked.page.read().get("waits") == "threads quick, slow", what="both named")
    assert forked.page.read()["result"] == 0
    forked.send(signal.SIGUSR1)
    eventually(lambda: forked.page.read().get("waits") == "thread slow", what="the other one named")
    forked.send(signal.SIGUSR2)
    assert forked.end() == DONE


def test_a_child_process_is_named_too() -> None:
    def job(_body: str) -> None:
        FORK.Process(target=signal.pause, name="mine").start()

    forked = jobs.fork(job)
    eventually(lambda: forked.page.read().get("waits") == "process mine", what="named")
    forked.send(signal.SIGTERM)
    assert forked.end() == TERM


def test_sigterm_ends_the_wait_and_the_job_with_it() -> None:
    forked = jobs.fork(
        lambda _: threading.Thread(target=threading.Event().wait, name="endless").start()
    )
    eventually(lambda: forked.page.read().get("waits") == "thread endless", what="named")
    forked.send(signal.SIGTERM)
    assert forked.end() == TERM


def test_a_handler_that_ends_the_wait_does_not_make_a_success_of_it() -> None:
    """The thread's work is not done."""

    def job(_body: str) -> None:
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
        threading.Thread(target=threading.Event().wait, name="endless").start()

    forked = jobs.fork(job)
    eventually(lambda: forked.page.read().get("waits") == "thread endless", what="named")
    forked.send(signal.SIGTERM)
    assert forked.end() == FAILED


def test_in_a_log_of_objects_what_is_ignored_is_one() -> None:
    class Handler(logging.Handler):
        def close(self) -> None:
            raise KeyError(5)

    handlers: list[logging.Handler] = []
    ended, said = jobs.run(lambda _: handlers.append(Handler()), json=True)
    (event,) = map(json.loads, said.splitlines())
    assert ended == DONE
    assert (event["event"], event["error_type"], event["message_id"]) == (
        "job.ignored",
        "KeyError",
        "message-1",
    )


def test_a_job_with_nothing_to_wait_for_writes_nothing() -> None:
    forked = jobs.fork(lambda _: None)
    assert forked.end() == DONE
    assert forked.page.read() == {}


def test_a_fork_of_the_jobs_writes_nothing_for_it() -> None:
    def job(_body: str) -> None:
        if os.fork() == 0:
            raise ValueError("in a child of the job's")
        os.wait()

    forked = jobs.fork(job, job_exit=lambda _: say("last word"))
    forked.wait_said("last word")
    assert forked.end() == DONE
    assert set(forked.page.read()) == {"done", "since"}
