"""Dispatchers die, and what that costs."""

from fleet.core.pool.effects import Send, Spawn
from fleet.core.pool.events import Died, Ended
from fleet.core.pool.orphan import Orphan
from fleet.core.pool.state import PoolPhase
from fleet.core.protocol import Empty, Held, Received
from fleet.core.slot_state import State
from tests.core.pool.story import (
    CRASHED,
    DONE,
    FAILED,
    GRANT,
    KILLED,
    LEFT_AS_TOLD,
    RELEASED,
    running,
    working,
)

VACANT, IDLE, POLLING = State.VACANT, State.IDLE, State.POLLING


# Deaths.


def test_a_dispatcher_that_dies_is_replaced_at_once_then_with_backoff() -> None:
    story = running(1)
    assert story.dies(0) == [Spawn(0)]
    story.comes_up(0)
    assert story.dies(0) == []
    again = story.slot(0).not_before
    assert 0.25 <= again <= 0.5
    assert story.tick(again - 0.001) == []
    assert story.tick(again) == [Spawn(0)]
    assert story.log("dispatcher.died").fields["state"] == "polling"
    assert story.pool.dispatcher_deaths == 2


def test_a_dispatcher_that_lived_a_minute_starts_with_a_clean_record() -> None:
    story = running(1)
    story.dies(0)
    story.comes_up(0)
    story.dies(0)
    story.tick(1.0)
    story.comes_up(0)
    story.now = 60.9  # not yet
    assert story.dies(0) == []
    assert story.slot(0).crashes == 3
    story.tick(100.0)
    story.comes_up(0)
    story.now = 160.0
    assert story.dies(0) == [Spawn(0)]
    assert story.slot(0).crashes == 1


def test_a_settled_job_clears_the_record() -> None:
    story = running(1)
    story.dies(0)
    story.comes_up(0)
    story.says(0, Received(1.0))
    story.says(0, FAILED)
    assert story.slot(0).crashes == 0
    assert story.pool.restarts.crashes == ()
    assert story.dies(0) == [Spawn(0)]


def test_a_message_that_was_only_given_back_clears_no_record() -> None:
    story = running(1)
    story.dies(0)
    story.comes_up(0)
    story.says(0, Received(1.0))
    story.says(0, Held())
    story.says(0, RELEASED)
    assert story.slot(0).crashes == 1
    assert len(story.pool.restarts.crashes) == 1


def test_term_to_one_dispatcher_alone_renews_it_without_penalty() -> None:
    story = running(1)
    story.says(0, Empty(10.0))
    assert story.dies(0, LEFT_AS_TOLD) == [Spawn(0)]
    assert story.slot(0).crashes == 0
    assert story.pool.restarts.crashes == ()
    assert story.pool.dispatcher_deaths == 0
    assert "dispatcher.died" not in story.events()


def test_one_who_left_as_told_clears_the_record() -> None:
    story = running(1)
    story.dies(0)
    story.comes_up(0)
    assert story.slot(0).crashes == 1
    story.dies(0, LEFT_AS_TOLD)
    assert story.slot(0).crashes == 0


def test_a_pool_that_cannot_keep_its_dispatchers_alive_is_exit_3() -> None:
    story = running(1)
    for _ in range(5):
        story.dies(0, CRASHED)
        assert story.phase is PoolPhase.RUNNING
        story.tick(story.slot(0).not_before)
        story.comes_up(0)
    story.dies(0, KILLED)
    assert (story.phase, story.code) == (PoolPhase.STOPPED, 3)
    assert story.why == "the pool cannot keep its dispatchers alive: 1 × 5, 9 × 1 within a minute"
    assert story.log("drain.started").fields["why"] == story.why


def test_a_pool_that_still_gets_work_done_is_not_hopeless() -> None:
    story = running(1)
    for _ in range(20):
        story.says(0, Received(1.0))
        story.says(0, FAILED)
        story.dies(0, CRASHED)
        assert story.phase is PoolPhase.RUNNING
        story.comes_up(0)


def test_a_message_whose_dispatcher_died_is_left() -> None:
    story = working(1, 1)
    story.happens(Ended(0))
    story.happens(Died(0, KILLED, "SIGKILL", (Orphan("m1", 2, "handle", story.now + 1),)))
    assert story.pool.counts.left == 1
    assert story.pool.counts.in_hand == 0
    assert story.log("message.left").fields == {
        "slot": 0,
        "queue": "jobs",
        "message_id": "m1",
        "attempt": 2,
        "why": "its dispatcher died",
        "delay": 0,
    }


def test_a_slot_is_not_filled_before_all_that_its_dispatcher_left_is_gone() -> None:
    story = working(2, 1)
    story.says(0, DONE)
    assert story.happens(Ended(0)) == []
    assert story.states() == [IDLE, POLLING]
    assert story.says(1, Empty(10.0)) == [Send(1, GRANT)]  # not the dead one
    assert story.resize(-1) == []  # nor is it the one to go
    assert story.happens(Died(0, KILLED, "SIGKILL")) == []
    assert story.states() == [VACANT, POLLING]
