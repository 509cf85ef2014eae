"""A job's end in a pool: what it has left running is waited for, and its hooks are called."""

import os
import signal
from dataclasses import replace

import pytest

from tests.support.pool import QUIET, Home, StartPool, run_fleet
from tests.support.servers import EMPTY, LiveQueue

APP = "returning:job"
HOOKS = ("--job-init", "returning:begin", "--job-exit", "returning:end")


@pytest.mark.slow
def test_its_thread_is_waited_for_and_its_exit_function_run(
    start: StartPool, home: Home, queue: LiveQueue
) -> None:
    gate = home.gate("g")
    queue.send("thread g")
    pool = start(workers=1, app=APP)
    home.trace.wait("thread begun")
    (told,) = pool.wait_event("job.waits")
    assert told["waits"] == "thread upload"
    assert "returned; waits for thread upload" in run_fleet(home, "status").output
    assert pool.titled("fleet: dispatcher 0 job")[0].title.endswith(
        " returned; waits for thread upload"
    )
    gate.open()
    pool.wait_event("message.deleted")
    told_by = [line.what for line in home.trace.lines() if line.what != "started"]
    assert told_by == ["thread begun", "thread done", "exit function"], (
        "and not the one of the import"
    )
    assert "returned" not in run_fleet(home, "status").output


def test_a_dispatcher_that_is_killed_meanwhile_does_not_have_it_deleted(
    start: StartPool, home: Home, queue: LiveQueue
) -> None:
    gate = home.gate("g")
    (message_id,) = queue.send("thread g")
    pool = start(workers=1, app=APP, expected=replace(QUIET, kills=frozenset({"dispatcher.died"})))
    home.trace.wait("thread begun")
    os.kill(pool.dispatcher(0), signal.SIGKILL)
    pool.wait_event("message.released", message_id=message_id)
    home.trace.wait("thread begun", count=2)
    gate.open()
    pool.wait_event("message.deleted")
    assert pool.events("message.deleted")[0]["attempt"] == 2
    assert len(home.trace.lines("thread done")) == 1


def test_a_drain_ends_the_wait(start: StartPool, home: Home, queue: LiveQueue) -> None:
    home.gate("g")
    queue.send("thread g")
    pool = start("--drain-timeout", "0", workers=1, app=APP)
    home.trace.wait("thread begun")
    pool.terminate()
    assert pool.wait() == 0
    assert pool.events("job.stopped")[0]["exit"] == "SIGTERM"
    assert pool.ledger()["released"] == 1


@pytest.mark.parametrize("preload", ["--preload", "--no-preload"])
def test_hooks_are_called_in_the_jobs_process(
    start: StartPool, home: Home, queue: LiveQueue, preload: str
) -> None:
    ids = queue.send("good", "leave 0", "leave 75")
    pool = start(preload, *HOOKS, workers=1, app=APP)
    pool.wait_event("message.deleted", count=2)
    pool.wait_event("message.released")
    for message_id, given in zip(ids, ["None", "SystemExit(0)", "SystemExit(75)"], strict=True):
        lines = [line for line in home.trace.of(message_id) if line.attempt == 1]
        assert [line.what for line in lines if not line.what.endswith("exit function")][:3] == [
            "init",
            "started",
            "exit",
        ]
        assert len({line.pid for line in lines}) == 1
        assert lines[0].detail == [lines[0].pid, message_id]
        assert lines[-1].detail == [lines[0].pid, given], "after its exit function"


def test_one_that_takes_too_long_is_cut_off_and_changes_nothing(
    start: StartPool, home: Home, queue: LiveQueue
) -> None:
    home.gate("hook")
    queue.send("good")
    pool = start(*HOOKS, "--exit-timeout", "1", workers=1, app=APP)
    pool.wait_event("message.deleted")
    (told,) = pool.events("job_exit.failed")
    assert told["why"] == "it took longer than the exit time-out, 1 s"
    assert pool.events("job.succeeded")
    assert queue.depth() == EMPTY


def test_what_it_has_printed_is_seen_though_it_ends_without_ceremony(
    start: StartPool, queue: LiveQueue
) -> None:
    queue.send("print")
    pool = start("--retry-delay", "60", app=APP)
    (failed,) = pool.wait_event("job.failed")
    assert pool.output() == f"printed by {failed['job_pid']}\n"


def test_what_it_has_written_to_a_file_of_the_imports_is_there_once(
    start: StartPool, home: Home, queue: LiveQueue
) -> None:
    queue.send("write a", "write b")
    pool = start(workers=1, app=APP)
    pool.wait_event("message.deleted", count=2)
    assert sorted((home.directory / "inherited").read_text().split()) == ["a", "b", "import"]
