"""A job whose code has returned while its process is still there: what it waits for, and
--job-exit.
"""

from dataclasses import replace
from typing import Any

import pytest

from fleet.core.config import Config
from fleet.core.delivery import Rules
from fleet.core.outcomes import Exit, Outcome, Settlement
from tests.dispatcher.conftest import run
from tests.support.dispatcher_world import BAD, GOOD, KILLED, WITH_HANDLER, World

TERM = Exit(signal=15)
QUICK = Rules(Config(exit_timeout=4.0))


def writes(world: World, moment: float, **fields: Any) -> None:
    world.at(moment, lambda: world.page.write(**fields))


def test_what_it_waits_for_is_told_after_ten_seconds(world: World) -> None:
    writes(world, 14.0, result=0, waits="thread upload", since=14.0)
    world.at(23.9, lambda: world.did("before"))
    world.at(24.1, lambda: world.did("after"))
    world.ends(90.0, GOOD)
    run(world)
    assert [each for each in world.only("before", "after", "log") if "extended" not in each][
        1:
    ] == [
        "before",
        "log job.waits",
        "after",
        "log job.succeeded",
        "log message.deleted",
    ]
    (told,) = world.told("job.waits")
    assert (told["job_pid"], told["waits"]) == (11, "thread upload")
    assert "title job message- returned; waits for thread upload" in world.record
    assert "board waits=thread upload" in world.record


def test_one_that_goes_on_for_less_is_not_news(world: World) -> None:
    writes(world, 14.0, result=0, waits="thread upload", since=14.0)
    world.ends(23.0, GOOD)
    run(world)
    assert not world.told("job.waits")


def test_something_else_to_wait_for_is_news_again(world: World) -> None:
    writes(world, 2.0, result=0, waits="thread upload", since=2.0)
    writes(world, 30.0, waits="its exit functions")
    world.ends(90.0, GOOD)
    run(world)
    assert [each["waits"] for each in world.told("job.waits")] == [
        "thread upload",
        "its exit functions",
    ]


def test_no_exit_function_makes_a_success_of_a_failure(world: World) -> None:
    writes(world, 2.0, failed=1)
    world.ends(9.0, GOOD)
    run(world)
    assert world.told("job.failed")
    assert not world.told("message.deleted")


@pytest.mark.parametrize("since", [None, "then", True, []])
def test_rubbish_is_nothing(world: World, since: object) -> None:
    writes(world, 2.0, waits="thread upload", since=since, done="0")
    world.ends(90.0, BAD)
    run(world)
    assert not world.told("job.waits")
    assert world.settled.outcome is Outcome.FAILED


def test_a_long_name_is_cut(world: World) -> None:
    writes(world, 2.0, waits="thread " + "x\n" * 900, since=2.0)
    world.ends(90.0, GOOD)
    run(world)
    (told,) = world.told("job.waits")
    assert len(told["waits"]) == 200
    assert "\n" not in told["waits"]


def test_a_job_that_is_killed_while_it_waits_has_not_succeeded(world: World) -> None:
    """Its threads have not come to their end."""
    writes(world, 2.0, result=0, waits="thread upload", since=2.0)
    world.ends(3.0, KILLED)
    run(world)
    assert world.settled.outcome is Outcome.SIGNALLED
    assert world.settled.settlement is Settlement.RELEASE


def test_nor_one_that_runs_into_its_time_out(world: World) -> None:
    writes(world, 2.0, result=0, waits="thread upload", since=2.0)
    world.ends(7.0, TERM)
    run(world, Rules(Config(job_timeout=5.0)))
    assert world.settled.outcome is Outcome.TIMED_OUT


# --job-exit: all is done when it begins.


@pytest.mark.parametrize(
    ("done", "outcome"),
    [(0, Outcome.SUCCEEDED), (1, Outcome.FAILED), (75, Outcome.RETRIED), (65, Outcome.REJECTED)],
)
@pytest.mark.parametrize("how", [KILLED, TERM, BAD, GOOD, Exit(signal=11)])
def test_what_its_job_came_to_stands_however_it_ends(
    world: World, done: int, outcome: Outcome, how: Exit
) -> None:
    writes(world, 2.0, done=done, since=2.0)
    world.ends(3.0, how)
    run(world)
    assert world.settled.outcome is outcome
    assert world.board.record == {}
    assert f"board exit={Exit(code=done)}" in world.record, "as the master will see it"
    (told, *_) = [*world.told("job_exit.failed"), None]
    assert (told is None) == (how == Exit(code=done))
    assert told is None or told["why"].startswith("its process ended with ")


def test_it_is_cut_off_when_its_time_is_over(world: World) -> None:
    writes(world, 2.5, done=0, since=2.5)
    world.at(6.4, lambda: world.did("before"))
    run(world, QUICK)
    assert world.only("before", "kill", "delete") == ["before", "kill 11", "delete message-1"]
    assert world.time == pytest.approx(6.5)
    (told,) = world.told("job_exit.failed")
    assert told["why"] == "it took longer than the exit time-out, 4 s"
    assert world.settled.outcome is Outcome.SUCCEEDED


def test_a_stop_in_the_midst_of_it_changes_nothing_either(world: World) -> None:
    writes(world, 2.0, done=0, since=2.0)
    world.at(3.0, lambda: world.inbox.drains(0.0))
    world.ends(3.5, TERM)
    run(world)
    assert world.only("terminate", "delete", "release") == ["terminate 11", "delete message-1"]


def test_nor_does_it_bring_the_exit_handler(world: World) -> None:
    writes(world, 2.0, done=0, since=2.0)
    world.at(3.0, lambda: world.inbox.drains(0.0))
    run(world, WITH_HANDLER)
    assert world.only("freeze", "kill", "handler", "delete") == [
        "freeze 11",
        "kill 11",
        "delete message-1",
    ]
    assert not world.told("job.stopping")


def test_one_cancelled_by_a_stop_was_stopped_also_when_its_hook_is_cut(world: World) -> None:
    world.at(2.0, lambda: world.inbox.drains(0.0))
    writes(world, 2.1, done=-15, since=2.1)
    world.ends(2.2, KILLED)
    run(
        world,
        replace(QUICK, config=replace(QUICK.config, delete_failed=True)),
    )
    assert world.settled.outcome is Outcome.INTERRUPTED
    assert world.settled.settlement is Settlement.RELEASE
