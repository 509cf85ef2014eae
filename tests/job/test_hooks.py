"""--job-init and --job-exit, in the job's process."""

import asyncio
import atexit
import os
import signal
import sys
import threading
from collections.abc import Callable
from typing import Any

import pytest

from fleet import Reject, Retry, message
from fleet.core.outcomes import Exit
from tests.support import jobs

pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")

DONE, FAILED = Exit(code=0), Exit(code=1)


def say(*what: object) -> None:
    os.write(1, (" ".join(map(str, what)) + "\n").encode())


def test_init_comes_first_and_finds_the_message() -> None:
    ended, said = jobs.run(
        lambda _: say("job"),
        transformer=lambda _: say("transformer"),
        job_init=lambda: say("init", message().id, os.environ["FLEET_JOB_ID"]),
    )
    assert (ended, said) == (DONE, "init message-1 message-1\ntransformer\njob\n")


@pytest.mark.parametrize(
    ("error", "how"),
    [(KeyError("no"), FAILED), (Retry(), Exit(code=75)), (Reject("no"), Exit(code=65))],
)
def test_its_failure_is_the_jobs(error: Exception, how: Exit) -> None:
    def fails() -> None:
        raise error

    seen: list[Any] = []
    ended, said = jobs.run(
        seen.append, job_init=fails, job_exit=lambda error: say("exit", type(error).__name__)
    )
    assert ended == how
    assert said.endswith(f"exit {type(error).__name__}\n")


def test_init_and_job_share_a_loop() -> None:
    loops: list[Any] = []

    async def init() -> None:
        loops.append(asyncio.get_running_loop())

    async def job(_body: str) -> None:
        say(loops == [asyncio.get_running_loop()])

    assert jobs.run(job, job_init=init) == (DONE, "True\n")


@pytest.mark.parametrize(
    ("leave", "how", "given"),
    [
        (lambda: None, DONE, "NoneType None"),
        (lambda: sys.exit(0), DONE, "SystemExit 0"),
        (lambda: sys.exit(3), Exit(code=3), "SystemExit 3"),
        (lambda: _raise(Retry(after=5)), Exit(code=75), "Retry retry after 5 s"),
        (lambda: _raise(Reject("no")), Exit(code=65), "Reject no"),
        (lambda: _raise(KeyError(5)), FAILED, "KeyError 5"),
    ],
)
def test_exit_is_given_the_exception_or_none(
    leave: Callable[[], object], how: Exit, given: str
) -> None:
    ended, said = jobs.run(
        lambda _: leave(), job_exit=lambda error: say(type(error).__name__, error)
    )
    assert ended == how
    assert said.splitlines()[-1] == given


def _raise(error: Exception) -> None:
    raise error


def test_exit_comes_when_all_else_is_done() -> None:
    def job(_body: str) -> None:
        atexit.register(say, "exit function")
        threading.Thread(target=say, args=("thread",)).start()
        print("printed")  # noqa: T201 - what is tested

    async def last(_error: BaseException | None) -> None:
        say("job_exit")
        atexit.register(say, "its own exit function")
        print("printed in it")  # noqa: T201

    said = jobs.run(job, job_exit=last)[1].splitlines()
    assert sorted(said[:2]) == ["printed", "thread"]
    assert said[2:] == ["exit function", "job_exit", "printed in it", "its own exit function"]


@pytest.mark.parametrize("code", [0, 3, 75])
def test_its_failure_is_said_and_changes_nothing(code: int) -> None:
    def fails(_error: BaseException | None) -> None:
        raise ValueError("the hook's")

    forked = jobs.fork(lambda _: sys.exit(code), job_exit=fails)
    forked.wait_said("ValueError: the hook's")
    said = forked.said()
    assert forked.end() == Exit(code=code)
    assert "ValueError: the hook's" in said
    assert "hook's" not in str(forked.page.read().get("error"))


def test_in_a_log_of_objects_it_is_one() -> None:
    def fails(_error: BaseException | None) -> None:
        raise ValueError("the hook's")

    import json

    ended, said = jobs.run(lambda _: None, job_exit=fails, json=True)
    (event,) = map(json.loads, said.splitlines())
    assert ended == DONE
    assert (event["event"], event["error_type"]) == ("job_exit.failed", "ValueError")
    assert event["queue"] == "jobs"


@pytest.mark.parametrize("code", [0, 1, 75])
def test_what_the_job_came_to_is_noted_before(code: int) -> None:
    forked = jobs.fork(
        lambda _: sys.exit(code), job_exit=lambda _: os.kill(os.getpid(), signal.SIGKILL)
    )
    assert forked.end() == Exit(signal=9)
    assert forked.page.read()["done"] == code


def test_none_after_os_exit() -> None:
    assert jobs.run(lambda _: os._exit(0), job_exit=lambda _: say("not called")) == (DONE, "")


def test_an_exit_handler_has_no_hooks() -> None:
    more: dict[str, Any] = {"job_init": lambda: say("init"), "job_exit": lambda _: say("exit")}
    assert jobs.run(
        lambda _: None, exit_handler=lambda _: say("handler"), handler=True, **more
    ) == (DONE, "handler\n")
