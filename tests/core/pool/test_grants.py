"""Who polls: grants, what raises and lowers them, and polls that never come home."""

from collections.abc import Callable
from math import inf

import pytest

from fleet.core.outcomes import Settlement
from fleet.core.pool.effects import AskStack, KillDispatcher, Send, Spawn, TellStack
from fleet.core.pool.state import PoolPhase
from fleet.core.protocol import Empty, Grant, Healed, Held, PollFailed, Received, Settled, Troubled
from fleet.core.slot_state import State
from tests.core.pool.story import (
    DONE,
    FREE,
    GRANT,
    RELEASED,
    STARVED,
    Story,
    running,
    sends,
    working,
)

LEFT = Settled(Settlement.LEAVE, None, None, bad=False)
IDLE, POLLING, WORKING = State.IDLE, State.POLLING, State.WORKING


# Grants.


def test_an_idle_pool_keeps_one_poll_open() -> None:
    story = running(4)
    assert story.states() == [POLLING, IDLE, IDLE, IDLE]
    story.now = 10.0
    assert story.says(0, Empty(10.0)) == [Send(0, GRANT)]
    assert story.states().count(POLLING) == 1


def test_a_quick_hit_multiplies_a_slow_one_keeps_and_empty_halves() -> None:
    story = running(8)
    assert sends(story.says(0, Received(0.1)), GRANT) == [1, 2, 3, 4]
    assert sends(story.says(1, Received(9.0)), GRANT) == [5]
    assert story.says(2, Empty(10.0)) == []  # four are allowed, then two
    assert story.says(3, Empty(10.0)) == []
    assert story.states().count(POLLING) == 2
    assert sends(story.says(4, Received(0.9)), GRANT) == [2, 3, 6]


def test_a_sample_above_zero_raises_the_polls() -> None:
    story = running(4)
    assert sends(story.sample(3), GRANT) == [1, 2]
    assert story.sample(1000) == [Send(3, GRANT)]
    assert story.queue.depth is not None
    assert story.queue.depth.total == 1000


def test_one_who_has_settled_is_granted_again() -> None:
    story = working(1, 1)
    assert story.says(0, DONE) == [Send(0, GRANT)]


def test_a_failed_poll_backs_off_for_the_whole_pool() -> None:
    story = running(4)
    story.now = 100.0
    assert story.says(0, PollFailed("no route")) == []
    assert story.states() == [IDLE] * 4
    again = story.wakes_at()
    assert again == 100.25
    assert story.tick(again - 0.001) == []
    assert story.tick(again) == [Send(0, GRANT)]
    assert story.log("poll.failed").fields == {
        "slot": 0,
        "queue": "jobs",
        "error": "no route",
        "failures": 1,
        "retry_in": 0.25,
    }


def test_a_poll_that_was_cut_stays_open_for_the_server() -> None:
    """What is released before it must be over could be given to it."""
    story = working(2, 1)
    story.now = 4.0
    story.says(1, PollFailed("no answer", unanswered=True))
    story.stop()
    assert story.says(0, Held()) == []
    assert story.tick(10.999) == []
    assert story.wakes_at() == 11.0
    assert story.tick(11.0) == [Send(0, FREE)]


def test_a_poll_that_was_answered_badly_is_over() -> None:
    story = working(2, 1)
    story.now = 4.0
    story.says(1, PollFailed("500"))
    story.stop()
    assert story.says(0, Held()) == [Send(0, FREE)]


def test_a_poll_that_got_no_answer_in_all_its_time_is_over() -> None:
    story = working(2, 1)
    story.now = 20.0
    story.says(1, PollFailed("no answer", unanswered=True))
    assert story.queue.dead_polls == ()
    assert story.says(0, Held()) == [Send(0, FREE)]


def test_an_early_empty_answer_pauses_the_pool() -> None:
    story = running(2, wait_time=0)
    assert story.says(0, Empty(0.25)) == []
    assert story.wakes_at() == 0.75
    assert story.tick(0.75) == [Send(0, GRANT)]


def test_a_host_without_processes_takes_fewer_messages() -> None:
    story = working(2, 1)
    assert story.says(0, Held()) == [Send(0, FREE)]
    assert story.says(0, STARVED) == []  # one poll is open; nobody else asks
    assert story.says(1, Empty(10.0)) == []
    again = story.wakes_at()
    assert 1.0 <= again <= 2.0
    assert len(story.tick(again)) == 1
    assert "host.starved" in story.events()
    assert story.queue.polling.starved == 1


def test_a_job_that_runs_ends_the_famine() -> None:
    story = working(2, 1)
    story.says(0, Held())
    story.says(0, STARVED)
    story.says(1, Received(1.0))
    story.says(1, DONE)
    assert story.queue.polling.starved == 0


def test_a_late_message_is_no_sign_of_famine() -> None:
    story = working(2, 1)
    story.says(0, Held())
    story.says(0, RELEASED)
    assert story.queue.polling.starved == 0
    assert "host.starved" not in story.events()


# Polls that are cut at one age, and silences.


def cut(took: float) -> PollFailed:
    return PollFailed("no answer", unanswered=True, answered=False, took=took)


def test_after_two_cuts_at_the_same_age_polls_are_shorter_and_it_is_said_once() -> None:
    story = running(2)
    for _ in range(2):
        story.now += 5.0
        story.says(0, cut(5.0))
        grant = story.tick(story.wakes_at())
    assert grant == [Send(0, Grant(1, 4.0))]
    assert story.log("poll.shortened").fields == {
        "queue": "jobs",
        "age": 5.0,
        "seconds": 4,
    }
    story.now += 4.0
    assert story.says(0, Empty(4.0)) == [Send(0, Grant(1, 4.0))]
    assert story.events().count("poll.shortened") == 1
    assert story.queue.polling.failures == 0
    story.now += 600.0
    assert story.says(0, Empty(4.0)) == [Send(0, GRANT)]
    story.now += 10.0
    story.says(0, Empty(10.0))
    assert story.log("poll.lengthened").fields == {"queue": "jobs", "seconds": 10.0}
    assert story.queue.polling.cuts.longest == inf


def test_the_server_has_a_whole_wait_to_end_a_shorter_poll() -> None:
    """Its call begins at the server only after the look-up and the connection."""
    story = running(1)
    for _ in range(2):
        story.now += 5.0
        story.says(0, cut(5.0))
        story.tick(story.wakes_at())
    granted = story.now
    assert story.pool.polls_until == granted + 10.0
    story.dies(0)
    assert story.queue.dead_polls[-1] == granted + 11.0


def test_a_shorter_poll_that_is_empty_proves_that_the_queue_is() -> None:
    """--until-empty: it was open as long as it was to be."""
    story = running(1, until_empty=True, empty_for=5.0)
    for _ in range(2):
        story.now += 5.0
        story.says(0, cut(5.0))
        story.tick(story.wakes_at())
    story.sample(0)
    story.now += 4.0
    story.says(0, Empty(4.0))
    story.now += 6.0
    story.sample(0)
    assert story.pool.phase is PoolPhase.DRAINING


@pytest.mark.parametrize(
    ("answer", "again"),
    [
        (lambda story: story.sample(0), 1.0),
        (lambda story: story.says(1, DONE), 1.0),
        (lambda story: story.says(1, RELEASED), 1.0),
        (lambda story: (story.says(1, Troubled("x")), story.says(1, Healed())), 1.0),
        (lambda story: story.says(1, LEFT), 3.0),
        (lambda story: story.says(1, Troubled("x")), 3.0),
    ],
)
def test_any_call_that_is_answered_ends_the_pause(
    answer: Callable[[Story], object], again: float
) -> None:
    story = running(2)
    story.jitter = 0.6
    story.says(0, Received(0.1))
    story.says(1, Received(0.1))
    story.says(0, DONE)
    for _ in range(5):
        story.now += 10.0
        story.tick()
        story.says(0, PollFailed("cannot be reached", answered=False))
    assert story.queue.polling.not_before == story.now + 3.0
    answer(story)
    assert story.queue.polling.not_before == story.now + again


# A poll that never comes home.


def test_a_silent_poller_is_replaced_then_killed() -> None:
    story = running(2)
    assert story.wakes_at() == 22.0
    assert story.tick(21.999) == []
    assert story.tick(22.0) == [AskStack(0), Send(1, GRANT)]
    assert story.wakes_at() == 32.0
    assert story.tick(31.999) == []
    assert story.tick(32.0) == [TellStack(0), KillDispatcher(0)]
    assert "never came home" in story.log("dispatcher.hung").fields["why"]
    assert story.dies(0) == [Spawn(0)]


def test_a_poller_that_speaks_after_all_is_as_good_as_any() -> None:
    story = running(2)
    story.tick(22.0)
    assert story.says(0, Received(21.0)) == []
    assert story.states() == [WORKING, POLLING]
    assert story.tick(40.0) == []
    story.says(1, Empty(10.0))
    story.says(0, DONE)
    assert story.wakes_at() == 62.0  # its next poll has all its time again


def test_a_host_that_was_suspended_gives_the_silent_their_margin() -> None:
    story = running(2)
    assert story.tick(1000.0) == [AskStack(0), Send(1, GRANT)]
    assert story.tick(1000.0) == []
    assert story.wakes_at() == 1010.0
    assert story.tick(1010.0) == [TellStack(0), KillDispatcher(0)]


def test_one_who_was_killed_gets_no_grant_whatever_he_still_says() -> None:
    story = running(1)
    story.tick(22.0)
    assert story.tick(32.0) == [TellStack(0), KillDispatcher(0)]
    assert story.says(0, Empty(32.0)) == []
    assert story.dies(0) == [Spawn(0)]
