"""job_init and job_exit of the library, and what a job of it leaves running."""

import os
import threading
from collections.abc import Callable
from typing import Any

import pytest

from fleet import Dispatcher, JobError
from fleet.core.outcomes import Exit
from tests.library.conftest import Words
from tests.support.memory import MemoryQueue


def dispatcher(queue: MemoryQueue, **options: Any) -> Dispatcher:
    return Dispatcher(queue, **({"wait_time": 0} | options))


@pytest.fixture
def hooks(words: Words) -> dict[str, Callable[..., None]]:
    return {
        "job_init": lambda: words.say("init", os.getpid()),
        "job_exit": lambda error: words.say("exit", os.getpid(), repr(error)),
    }


def test_they_are_called_around_the_job_in_its_process(words: Words, hooks: dict[str, Any]) -> None:
    assert dispatcher(MemoryQueue("x"), **hooks).dispatch(lambda _: words.say("job", os.getpid()))
    said = words.all()
    pid = said[0][1]
    assert said == [["init", pid], ["job", pid], ["exit", pid, "None"]]
    assert pid != os.getpid()


def test_job_exit_is_given_the_exception(words: Words, hooks: dict[str, Any]) -> None:
    def fails(_body: str) -> None:
        raise KeyError(5)

    with pytest.raises(JobError):
        dispatcher(MemoryQueue("x"), **hooks).dispatch(fails)
    assert words.of("exit")[0][1] == "KeyError(5)"


def test_one_that_hangs_is_cut_off_and_its_job_has_succeeded(words: Words) -> None:
    def hangs(_error: BaseException | None) -> None:
        words.say("hangs")
        threading.Event().wait()

    queue = MemoryQueue("x")
    assert dispatcher(queue, job_exit=hangs, exit_timeout=0.2).dispatch(lambda _: None)
    assert words.of("hangs")
    assert [call[0] for call in queue.calls] == ["receive", "delete"]


def test_one_that_dies_changes_nothing() -> None:
    lone = dispatcher(MemoryQueue("x"), job_exit=lambda _: os._exit(3))
    with pytest.raises(JobError):
        lone.dispatch(lambda _: os._exit(7))
    assert lone.last is not None
    assert lone.last.exit == Exit(code=7), "it is not called then"
    lone = dispatcher(MemoryQueue("x"), job_exit=lambda _: os._exit(3))
    assert lone.dispatch(lambda _: None)


def test_a_failing_job_init_is_the_jobs_failure(words: Words) -> None:
    def fails() -> None:
        raise KeyError(5)

    with pytest.raises(JobError):
        dispatcher(MemoryQueue("x"), job_init=fails).dispatch(lambda _: words.say("job"))
    assert not words.all()


@pytest.mark.parametrize(
    ("options", "error", "why"),
    [
        ({"job_init": 5}, TypeError, "job_init is of type int"),
        ({"job_exit": "x"}, TypeError, "job_exit is of type str"),
        (
            {"job_exit": print, "exit_timeout": 0},
            ValueError,
            "job_exit would never have time to run",
        ),
    ],
)
def test_what_cannot_be_is_refused(
    options: dict[str, Any], error: type[Exception], why: str
) -> None:
    with pytest.raises(error, match=why):
        dispatcher(MemoryQueue(), **options)


def test_a_thread_that_the_job_leaves_is_waited_for(words: Words) -> None:
    def job(_body: str) -> None:
        threading.Thread(target=words.say, args=("thread",)).start()

    assert dispatcher(MemoryQueue("x")).dispatch(job)
    assert words.all() == [["thread"]]
