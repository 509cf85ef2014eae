"""The --on-failure hook: what it is told, when, and that it changes nothing."""

from dataclasses import replace
from typing import Any

from fleet.core.config import Config
from fleet.core.delivery import Rules
from fleet.core.failure import Failure
from fleet.core.outcomes import Exit, Outcome, Settlement
from fleet.job import process
from tests.dispatcher.conftest import run
from tests.support.dispatcher_world import BAD, GOOD, MESSAGE, SEGV, World

TOLD = Rules(Config(on_failure="app:told", exit_timeout=5.0, delete_failed=True))
ERROR = {
    "type": "ValueError",
    "message": "no",
    "where": "work.py:3 in job",
    "traceback": "Traceback …",
}


def told(world: World, monkeypatch: Any) -> list[Failure]:
    """What the hook's processes are given, in order."""
    given: list[Failure] = []

    def report(message: Any, failure: Failure, parent: int) -> None:
        world.did(f"hook {message.id} below {parent}")
        given.append(failure)

    monkeypatch.setattr(process, "run_failure_hook", report)
    return given


def test_it_runs_after_all_of_the_job_and_before_the_settlement(
    world: World, monkeypatch: Any
) -> None:
    given = told(world, monkeypatch)
    world.queue.limit = 1
    world.at(2.5, lambda: world.page.write(error=ERROR))
    world.ends(3.0, BAD)
    world.ends(4.0, GOOD, process=1)
    run(world, TOLD)
    assert world.only("job", "sweep", "hook", "delete", "log")[-7:] == [
        "log job.failed",
        "hook message-1 below 5",
        "log hook.started",
        "sweep 12",
        "log hook.ended",
        "delete message-1",
        "log message.deleted",
    ]
    assert given == [
        Failure(
            MESSAGE,
            Outcome.FAILED,
            BAD,
            attempt=1,
            last_attempt=True,
            duration=2.0,
            max_rss_mib=12.5,
            error_type="ValueError",
            error="no",
            where="work.py:3 in job",
            traceback="Traceback …",
        )
    ]
    assert world.settled.outcome is Outcome.FAILED


def test_of_a_death_by_a_signal_there_is_no_traceback(world: World, monkeypatch: Any) -> None:
    given = told(world, monkeypatch)
    world.ends(3.0, SEGV)
    world.ends(3.5, GOOD, process=1)
    world.ends(4.0, GOOD, process=2)
    run(world, Rules(Config(on_failure="app:told"), has_handler=True))
    assert world.only("handler", "hook") == ["handler message-1 below 5", "hook message-1 below 5"]
    (failure,) = given
    assert (failure.outcome, failure.exit, failure.last_attempt) == (Outcome.SIGNALLED, SEGV, False)
    assert (failure.error_type, failure.error, failure.where, failure.traceback) == ("", "", "", "")


def test_what_an_exit_handler_raised_is_not_the_jobs_error(world: World, monkeypatch: Any) -> None:
    given = told(world, monkeypatch)
    world.ends(3.0, SEGV)
    world.at(3.2, lambda: world.page.write(handler_error=ERROR))
    world.ends(3.5, BAD, process=1)
    world.ends(4.0, GOOD, process=2)
    run(world, Rules(Config(on_failure="app:told"), has_handler=True))
    assert given[0].error_type == ""


def test_its_own_failure_is_said_and_changes_nothing(world: World, monkeypatch: Any) -> None:
    told(world, monkeypatch)
    world.ends(3.0, BAD)
    world.at(3.5, lambda: world.page.write(hook_error=ERROR, after=600.0))
    world.ends(4.0, BAD, process=1)
    run(world, TOLD)
    (said,) = world.told("hook.failed")
    assert (said["exit"], said["hook_pid"], said["error_type"]) == ("exit 1", 12, "ValueError")
    assert world.settled.settlement is Settlement.DELETE


def test_one_that_hangs_is_killed_and_that_is_said(world: World, monkeypatch: Any) -> None:
    told(world, monkeypatch)
    world.ends(3.0, BAD)
    run(world, TOLD)
    assert world.only("kill", "delete") == ["kill 12", "delete message-1"]
    assert world.told("hook.failed")[0]["exit"] == "SIGKILL, longer than 5 s"
    assert world.time == 8.0


def test_where_there_is_no_process_for_it_the_message_is_settled_all_the_same(
    world: World, monkeypatch: Any
) -> None:
    given = told(world, monkeypatch)
    world.at(2.0, lambda: setattr(world, "scarce", 1))
    world.ends(3.0, BAD)
    run(world, TOLD)
    assert world.told("hook.not_started")
    assert given == []
    assert world.settled.settlement is Settlement.DELETE
    assert not world.settled.starved


def test_a_stop_that_comes_meanwhile_lets_it_finish(world: World, monkeypatch: Any) -> None:
    told(world, monkeypatch)
    world.ends(3.0, BAD)
    world.at(4.0, lambda: world.inbox.drains(0.0))
    world.ends(5.0, GOOD, process=1)
    run(world, TOLD)
    assert world.only("kill", "terminate", "delete") == ["delete message-1"]
    assert world.told("hook.ended")


def test_that_its_job_was_told_to_stop_is_not_for_the_hook(world: World, monkeypatch: Any) -> None:
    """A process that reads so when it begins ends."""
    told(world, monkeypatch)
    world.at(2.5, lambda: world.did(f"asked {world.page.stop_asked}"))
    world.ends(3.0, Exit(signal=15))
    world.at(3.5, lambda: world.did(f"asked {world.page.stop_asked}"))
    world.ends(4.0, GOOD, process=1)
    run(world, replace(TOLD, config=replace(TOLD.config, job_timeout=1.0)))
    assert world.only("asked", "hook") == ["asked True", "hook message-1 below 5", "asked False"]


def test_a_job_that_was_stopped_is_not_told(world: World, monkeypatch: Any) -> None:
    given = told(world, monkeypatch)
    world.at(2.0, lambda: world.inbox.drains(0.0))
    world.ends(3.0, Exit(signal=15))
    run(world, TOLD)
    assert given == []
    assert world.settled.outcome is Outcome.INTERRUPTED
