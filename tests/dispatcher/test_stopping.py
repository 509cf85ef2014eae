"""Stopping a job, with and without an exit handler."""

from typing import Any

import pytest

from fleet.core.config import Config
from fleet.core.delivery import HandlerResult, Rules
from fleet.core.outcomes import Exit, Outcome, Settlement, Stop
from fleet.core.queue import Trouble
from tests.dispatcher.conftest import run
from tests.support.dispatcher_world import BAD, GOOD, SEGV, WITH_HANDLER, World

ABOUT = {"slot": 7, "queue": "jobs", "message_id": "message-1", "attempt": 1}


def test_a_drain_stops_the_job_when_its_time_is_over(world: World) -> None:
    world.at(2.0, lambda: world.inbox.drains(5.0))
    world.at(6.9, lambda: world.did("before"))
    world.ends(8.0, Exit(signal=15))
    run(world)
    assert world.only("before", "terminate", "log", "release") == [
        "log job.started",
        "log lease.extended",
        "before",
        "log job.stopping",
        "terminate 11",
        "log job.stopped",
        "release message-1 0",
        "log message.released",
    ]
    assert world.told("job.stopping") == [{**ABOUT, "job_pid": 11, "why": Stop.INTERRUPTED}]
    assert world.told("job.stopped")[0]["stopped_by"] == Stop.INTERRUPTED.value
    assert world.inbox.drain is None, "it has been acted on"
    assert world.page.stop_asked


def test_a_job_that_a_stop_of_everything_reached_first_was_stopped(world: World) -> None:
    """It is told when that is known; and there is no drain of its own."""
    world.ends(3.0, Exit(signal=15))
    world.at(4.0, lambda: world.inbox.drains(40.0))
    run(world, Rules(Config(delete_failed=True)))
    assert world.only("delete", "release", "terminate") == ["release message-1 0"]
    (told,) = world.told("job.stopped")
    assert (told["exit"], told["stopped_by"], told["duration"]) == ("SIGTERM", "interrupted", 2.0)
    assert world.time == 4.0
    assert world.settled.outcome is Outcome.INTERRUPTED
    assert not world.settled.bad


def test_one_that_a_stop_reached_later_is_known_at_once(world: World) -> None:
    world.at(2.0, lambda: world.inbox.drains(40.0))
    world.ends(3.0, Exit(code=143))
    run(world)
    assert world.time == 3.0
    assert world.settled.outcome is Outcome.INTERRUPTED


def test_one_that_ends_by_a_signal_alone_has_died_by_it(world: World) -> None:
    world.ends(3.0, Exit(signal=15))
    run(world, Rules(Config(delete_failed=True)))
    assert world.only("delete", "release") == ["delete message-1"]
    assert world.time == 5.0
    (told,) = world.told("job.signalled")
    assert told["stopped_by"] is None


def test_the_word_to_one_dispatcher_waits_for_the_masters(world: World) -> None:
    world.ends(3.0, Exit(signal=15))
    world.at(3.5, lambda: setattr(world.inbox, "leaving", True))
    run(world)
    assert world.time == 5.0
    assert world.settled.outcome is Outcome.INTERRUPTED


def test_what_was_heard_counts_though_the_time_is_over(world: World) -> None:
    """All of us were stopped for a minute."""
    world.ends(3.0, Exit(signal=15))

    def later() -> None:
        world.time = 19.0
        world.inbox.drains(40.0)

    world.at(4.0, later)
    run(world)
    assert world.settled.outcome is Outcome.INTERRUPTED


def test_a_shorter_drain_counts_and_a_longer_one_does_not(world: World) -> None:
    world.at(2.0, lambda: world.inbox.drains(30.0))
    world.at(3.0, lambda: world.inbox.drains(2.0))
    world.at(4.0, lambda: world.inbox.drains(30.0))
    world.at(5.0, lambda: world.did("five"))
    world.ends(5.5, Exit(signal=15))
    run(world)
    assert world.only("terminate", "five") == ["five", "terminate 11"]


def test_a_job_that_ignores_its_end_is_killed_after_the_exit_timeout(world: World) -> None:
    world.at(2.0, lambda: world.inbox.drains(0.0))
    run(world)
    assert world.only("terminate", "kill") == ["terminate 11", "kill 11"]
    assert world.settled.job_seconds == 31.0
    assert world.settled.settlement is Settlement.RELEASE


def test_a_job_that_ran_into_its_limit(world: World) -> None:
    run(world, Rules(Config(job_timeout=4.0, exit_timeout=2.0)))
    (told,) = world.told("job.timed_out")
    assert (told["limit"], told["duration"], told["timed_out"]) == (4.0, 6.0, True)
    assert world.settled.outcome is Outcome.TIMED_OUT


def test_a_drain_that_comes_while_it_is_being_stopped_changes_nothing(world: World) -> None:
    world.inbox.deaf = True
    world.at(3.0, lambda: world.inbox.drains(5.0))
    world.ends(9.0, Exit(signal=15))
    world.at(10.0, lambda: setattr(world.inbox, "freed", True))
    run(world, Rules(Config(job_timeout=1.0)))
    assert world.only("terminate", "kill") == ["terminate 11"]
    assert world.inbox.drain == 5.0, "it is not acted on, and must not be taken for another job's"


def test_a_lost_lease_stops_the_job_if_that_is_wanted(world: World) -> None:
    world.queue.fails["extend"] = [Trouble.PASSING] * 99
    run(world, Rules(Config(on_lease_lost="kill")))
    assert world.told("job.stopping")[0]["why"] is Stop.LEASE_LOST
    assert world.settled.settlement is Settlement.LEAVE
    assert world.settled.hidden_for == 0.0


# The exit handler.


def test_the_handler_of_a_job_that_died_by_itself(world: World) -> None:
    world.ends(3.0, SEGV)
    world.ends(4.0, GOOD, process=1)
    run(world, WITH_HANDLER)
    assert world.only("job", "handler", "log", "freeze", "kill", "release") == [
        "job message-1 below 5",
        "log job.started",
        "log job.signalled",
        "handler message-1 below 5",
        "log handler.started",
        "log handler.ended",
        "release message-1 5",
        "log message.released",
    ]
    assert world.told("handler.started") == [{**ABOUT, "handler_pid": 12, "tries": 1}]
    assert world.told("handler.ended")[0]["handler_pid"] == 12


def test_the_handler_sees_a_job_that_is_stopped_as_it_was(world: World) -> None:
    """JobFrozen, handler, killed; each spares the other's processes."""
    world.at(2.0, lambda: world.inbox.drains(0.0))
    world.ends(4.0, GOOD, process=1)
    run(world, WITH_HANDLER)
    assert world.only("freeze", "handler", "sweep", "kill", "terminate", "release") == [
        "freeze 11",
        "handler message-1 below 5",
        "sweep 12 but 11",
        "kill 11 but 12",
        "sweep 11 but 12",
        "release message-1 0",
    ]
    assert world.told("job.stopping")[0]["why"] is Stop.INTERRUPTED
    assert world.settled.outcome is Outcome.INTERRUPTED


def test_a_job_that_had_finished_before_it_was_frozen_is_done(world: World) -> None:
    world.at(2.0, lambda: setattr(world.processes[0], "before_freeze", GOOD))
    world.at(3.0, lambda: world.inbox.drains(0.0))
    run(world, WITH_HANDLER)
    assert world.only("freeze", "handler", "delete") == ["freeze 11", "delete message-1"]
    assert not world.told("job.stopping")
    assert world.only("board")[1] == "board exit=Exit(code=0, signal=None)", (
        "seen before anything else can happen"
    )
    assert world.settled.outcome is Outcome.SUCCEEDED


def test_one_that_had_finished_and_left_something_unkillable_is_waited_for(world: World) -> None:
    def finished() -> None:
        world.processes[0].before_freeze, world.processes[0].leaves = GOOD, True

    world.at(2.0, finished)
    world.at(3.0, lambda: world.inbox.drains(0.0))
    world.at(9.0, lambda: world.processes[0].let_go())
    run(world, WITH_HANDLER)
    assert world.only("freeze", "handler", "delete") == ["freeze 11", "delete message-1"]
    assert world.settled.outcome is Outcome.SUCCEEDED


def test_a_handler_that_fails(world: World) -> None:
    world.ends(3.0, SEGV)
    world.ends(4.0, BAD, process=1)
    run(world, WITH_HANDLER)
    (told,) = world.told("handler.failed")
    assert (told["exit"], told["handler_pid"]) == ("exit 1", 12)
    assert not world.told("handler.ended")
    assert world.settled.settlement is Settlement.LEAVE


def test_a_handler_that_hangs_is_killed_and_tried_once_more(world: World) -> None:
    """Job and handler are killed, and only when both are gone the next try begins."""
    world.queue.limit = 9
    world.at(2.0, lambda: world.inbox.drains(0.0))
    delivery = run(world, WITH_HANDLER)
    assert world.only("freeze", "handler", "kill", "dead_letter") == [
        "freeze 11",
        "handler message-1 below 5",
        "kill 12 but 11",
        "kill 11 but 12",
        "handler message-1 below 5",
        "kill 13 but 11",
        "dead_letter message-1",
    ]
    assert [each["tries"] for each in world.told("handler.started")] == [1, 2]
    assert [each["exit"] for each in world.told("handler.failed")] == ["SIGKILL", "SIGKILL"]
    assert delivery.handler_result is HandlerResult.TIMED_OUT_TWICE


@pytest.mark.parametrize(
    ("written", "runs"), [({"handler": True}, True), ({"handler": False}, False), ({}, False)]
)
def test_with_a_router_the_job_says_whether_there_is_a_handler(
    world: World, written: dict[str, Any], runs: bool
) -> None:
    world.at(2.0, lambda: world.page.write(**written))
    world.ends(3.0, SEGV)
    world.ends(4.0, GOOD, process=1)
    if not runs:
        world.at(3.5, lambda: None)
    run(world, Rules(Config(router="app:router"), has_handler=True))
    assert bool(world.only("handler")) is runs


def test_without_a_router_the_slip_says_nothing_about_handlers(world: World) -> None:
    world.at(2.0, lambda: world.page.write(handler=False))
    world.ends(3.0, SEGV)
    world.ends(4.0, GOOD, process=1)
    run(world, WITH_HANDLER)
    assert world.only("handler")
