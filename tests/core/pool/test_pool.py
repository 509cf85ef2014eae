"""The pool: --until-empty, its size, and what cannot happen."""

import pytest

from fleet.core.config import Config
from fleet.core.pool.effects import KillDispatcher, Send, Spawn, TerminateDispatcher
from fleet.core.pool.events import Died, DispatcherSaid, Ended, HelperDied, HelperSaid, SpawnFailed
from fleet.core.pool.state import IllegalEvent, PoolPhase, Role
from fleet.core.protocol import Drain, Empty, Held, PollFailed, Ready, Received
from fleet.core.slot_state import State
from tests.core.pool.story import (
    BAD,
    DONE,
    GRANT,
    KILLED,
    LEFT_AS_TOLD,
    Story,
    helper_ready,
    named,
    running,
    sends,
    working,
)

VACANT, IDLE, POLLING = State.VACANT, State.IDLE, State.POLLING


# --until-empty.


def emptied(story: Story) -> None:
    """Zero samples for long enough; the poll that is open from 0 on comes home in between."""
    story.sample(0)
    story.now = 10.0
    story.says(0, Empty(10.0))
    story.now = 60.0
    story.sample(0)


def test_until_empty_ends_with_0_when_all_went_well() -> None:
    story = running(1, until_empty=True, empty_for=60)
    story.sample(0)
    story.now = 10.0
    assert story.says(0, Empty(10.0)) == [Send(0, GRANT)]
    story.now = 60.0
    drain = Drain(30.0)
    assert story.sample(0) == [Send(0, drain), TerminateDispatcher(0)]
    assert (story.phase, story.code, story.why) == (PoolPhase.DRAINING, 0, "the queue is empty")


def test_until_empty_ends_with_6_when_a_message_ended_badly() -> None:
    story = running(1, until_empty=True, empty_for=60)
    story.says(0, Received(0.1))
    story.says(0, BAD)
    emptied(story)
    assert (story.phase, story.code, story.why) == (
        PoolPhase.DRAINING,
        6,
        "the queue is empty; 1 ended badly",
    )


def test_until_empty_counts_what_the_last_poll_still_brings() -> None:
    """It was its last attempt, so it was run, and has failed."""
    story = running(1, until_empty=True, empty_for=60)
    emptied(story)
    assert (story.slot(0).state, story.code) == (State.POLLING, 0)
    story.says(0, Received(0.1))
    story.says(0, BAD)
    story.dies(0, LEFT_AS_TOLD)
    assert (story.phase, story.code, story.why) == (
        PoolPhase.STOPPED,
        6,
        "the queue is empty; 1 ended badly",
    )


def test_until_empty_waits_for_running_jobs() -> None:
    story = running(2, until_empty=True, empty_for=60)
    story.says(0, Received(5.0))
    story.sample(0)
    story.now = 10.0
    story.says(1, Empty(10.0))
    story.now = 70.0
    story.sample(0)
    assert story.is_in(PoolPhase.RUNNING)
    story.says(0, DONE)
    assert story.is_in(PoolPhase.DRAINING)


@pytest.mark.parametrize("took", [0.0, 8.9])
def test_a_short_poll_proves_nothing(took: float) -> None:
    story = running(1, until_empty=True, empty_for=60)
    story.sample(0)
    story.says(0, Empty(took))
    story.now = 60.0
    story.sample(0)
    assert story.phase is PoolPhase.RUNNING


def test_a_poll_of_nine_tenths_has_its_full_length() -> None:
    story = running(1, until_empty=True, empty_for=60)
    story.sample(0)
    story.says(0, Empty(9.0))
    story.now = 60.0
    story.sample(0)
    assert story.phase is PoolPhase.DRAINING


@pytest.mark.parametrize("counts", [(1, 0, 0), (0, 1, 0), (0, 0, 1)])
def test_a_message_anywhere_in_the_queue_is_one(counts: tuple[int, int, int]) -> None:
    story = running(1, until_empty=True, empty_for=60)
    story.sample(0)
    story.now = 10.0
    story.says(0, Empty(10.0))
    story.sample(*counts)
    story.now = 60.0
    story.sample(0)
    assert story.phase is PoolPhase.RUNNING


def test_without_until_empty_an_empty_queue_is_waited_for() -> None:
    story = running(1)
    emptied(story)
    assert story.phase is PoolPhase.RUNNING


def test_a_message_in_between_begins_the_streak_anew() -> None:
    story = running(1, until_empty=True, empty_for=60)
    story.sample(0)
    story.says(0, Received(1.0))
    story.says(0, DONE)
    story.now = 10.0
    story.says(0, Empty(10.0))
    story.now = 60.0
    story.sample(0)
    assert story.phase is PoolPhase.RUNNING


# Size.


def test_one_more_is_spawned_at_once() -> None:
    story = running(1)
    assert story.resize(1) == [Spawn(1)]
    assert story.log("pool.resized").fields == {
        "from": 1,
        "to": 2,
        "reason": "a signal asked for it",
    }


def test_fewer_takes_idle_ones_the_highest_slot_first() -> None:
    story = running(4)
    assert story.resize(-1) == [TerminateDispatcher(3)]
    assert story.resize(-1) == [TerminateDispatcher(2)]
    assert story.dies(3, LEFT_AS_TOLD) == []
    assert story.states() == [POLLING, IDLE, IDLE, VACANT]


def test_fewer_never_takes_one_who_works_or_polls() -> None:
    story = working(2, 1)
    assert story.resize(-1) == []
    assert story.tick(5.0) == []
    assert story.says(0, DONE) == [TerminateDispatcher(0)]  # now it is idle
    assert story.dies(0, LEFT_AS_TOLD) == []
    assert story.states() == [VACANT, POLLING]


def test_one_who_is_leaving_gets_no_grant_and_is_told_once() -> None:
    story = running(2)
    assert story.resize(-1) == [TerminateDispatcher(1)]
    assert story.sample(100) == []
    assert story.tick(1.0) == []


def test_one_who_is_idle_and_does_not_leave_is_killed() -> None:
    """Else the pool would never be as small as it should be, and a pool that sizes itself would
    shrink no more.
    """
    story = running(2)
    story.resize(-1)
    assert story.tick(9.9) == []
    assert KillDispatcher(1) in story.tick(10.0)
    story.dies(1)
    assert (story.states(), story.pool.size) == ([POLLING, VACANT], 1)


def test_a_slot_that_is_leaving_is_filled_again_when_it_is_wanted_after_all() -> None:
    story = running(2)
    story.resize(-1)
    assert story.resize(1) == []  # it is still there
    assert story.dies(1, LEFT_AS_TOLD) == [Spawn(1)]


def test_a_pool_has_at_least_one() -> None:
    story = running(1)
    assert story.resize(-1) == []
    assert story.pool.desired == 1


def test_one_who_was_leaving_is_told_of_the_drain_too() -> None:
    story = running(2)
    story.resize(-1)
    asked = story.stop()
    assert sends(asked, Drain(30.0)) == [1, 0]
    assert [effect for effect in asked if isinstance(effect, TerminateDispatcher)] == [
        TerminateDispatcher(0)
    ]


def test_only_as_many_as_are_missing_are_spawned() -> None:
    story = running(3)
    story.resize(-1)
    story.dies(2, LEFT_AS_TOLD)
    story.resize(-1)
    story.dies(1, LEFT_AS_TOLD)
    assert story.resize(1) == [Spawn(1)]
    assert story.resize(2) == [Spawn(2), Spawn(3)]


# What cannot happen.


@pytest.mark.parametrize(
    "event",
    [
        DispatcherSaid(0, Ready(1)),
        DispatcherSaid(0, Held()),
        DispatcherSaid(0, DONE),
        DispatcherSaid(1, Empty(1.0)),
        DispatcherSaid(1, Received(1.0)),
        DispatcherSaid(1, PollFailed("")),
        DispatcherSaid(1, DONE),
        DispatcherSaid(2, Ready(1)),
        DispatcherSaid(9, Ready(1)),
        DispatcherSaid(-1, Ready(1)),
        named(0, 1),
        named(2, 1),
        SpawnFailed(1, ""),
        Ended(2),
        Died(2, KILLED, ""),
        Died(3, KILLED, ""),
    ],
    ids=str,
)
def test_an_event_that_does_not_fit_raises(
    event: DispatcherSaid | HelperSaid | SpawnFailed | Ended | Died,
) -> None:
    story = running(3)
    story.resize(-1)
    story.dies(2, LEFT_AS_TOLD)
    assert story.states() == [POLLING, IDLE, VACANT]
    with pytest.raises(IllegalEvent):
        story.happens(event)


@pytest.mark.parametrize("event", [helper_ready(Role.SCOUT), HelperDied(Role.TEMPLATE, "")])
def test_a_helper_that_is_not_there_says_nothing_and_dies_no_death(
    event: HelperSaid | HelperDied,
) -> None:
    with pytest.raises(IllegalEvent):
        Story(Config(workers=1)).happens(event)
