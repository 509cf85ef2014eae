"""--max-seconds and --max-jobs."""

import pytest

from fleet.core.books import Config, Phase, Role
from fleet.core.estates import Estate
from fleet.core.events import AskStack, Died, Ended, HelperDied, Send, Terminate
from fleet.core.messages import Drain, Empty, Held, PollFailed, Received
from fleet.core.slots import State
from tests.core.story import BAD, DONE, GRANT, KILLED, LEFT_AS_TOLD, Story, running, sends, working

IDLE, POLLING, WORKING = State.IDLE, State.POLLING, State.WORKING


# --max-seconds.


def test_it_drains_when_the_time_has_passed() -> None:
    story = working(2, 1, max_seconds=60.0)
    assert story.wakes_at() <= 60.0
    assert story.tick(59.9) == [AskStack(1)]  # whose poll is overdue
    assert story.tick(60.0) == [Send(0, Drain(30.0)), Terminate(0), Send(1, Drain(30.0)), Terminate(1)]
    assert (story.phase, story.code, story.why) == (Phase.DRAINING, 0, "--max-seconds 60 is over")
    assert story.says(0, DONE) == []  # and takes nothing more


def test_the_master_wakes_for_it() -> None:
    story = running(1, max_seconds=7.5)
    assert story.wakes_at() == 7.5
    assert running(1).wakes_at() > 7.5


def test_what_is_said_at_that_moment_does_not_make_it_late() -> None:
    story = running(1, max_seconds=60.0)
    story.now = 60.0
    assert sends(story.says(0, Empty(10.0)), GRANT) == []
    assert story.is_in(Phase.DRAINING)


def test_the_time_counts_from_the_masters_start_and_not_while_it_boots() -> None:
    """Its own time-outs say more of a pool that does not come up."""
    story = Story(Config(1, max_seconds=5.0))
    story.tick(0.0)
    assert story.tick(6.0) == []
    assert story.is_in(Phase.BOOTING)
    story.helpers_ready()
    assert (story.phase, story.code) == (Phase.STOPPED, 0)


def test_a_failed_message_does_not_change_its_status() -> None:
    """6 is --until-empty's."""
    story = running(1, max_seconds=60.0, empty_for=600.0)
    story.says(0, Received(0.1))
    story.says(0, BAD)
    story.tick(60.0)
    assert story.code == 0


# --max-jobs.


def test_no_more_is_asked_for_than_may_be_taken() -> None:
    story = running(8, max_jobs=3)
    story.sample(100)
    assert story.states() == [POLLING] * 3 + [IDLE] * 5
    assert sends(story.says(0, Received(0.1)), GRANT) == []
    assert sends(story.says(1, Empty(10.0)), GRANT) == [1]
    assert sends(story.says(1, PollFailed("")), GRANT) == []
    assert sends(story.tick(40.0), GRANT) == [1]


def test_it_ends_when_the_last_one_is_done_however_long_that_takes() -> None:
    """The drain's time-out is for jobs that were not counted in; there is none."""
    story = running(2, max_jobs=2)
    story.says(0, Received(0.1))
    story.says(1, Received(0.1))
    story.says(0, DONE)
    assert story.states() == [IDLE, WORKING]
    assert story.tick(100_000.0) == []
    assert story.is_in(Phase.RUNNING)
    asked = story.says(1, DONE)
    assert sends(asked, Drain(30.0)) == [0, 1]
    assert (story.phase, story.code, story.why) == (Phase.DRAINING, 0, "--max-jobs 2 is reached")


def test_a_message_that_is_held_is_not_done() -> None:
    story = working(1, 1, max_jobs=1)
    story.says(0, Held())
    assert story.is_in(Phase.RUNNING)
    story.says(0, DONE)
    assert story.is_in(Phase.DRAINING)


def test_a_silent_poll_may_still_bring_one() -> None:
    story = running(2, max_jobs=1)
    assert story.tick(30.0) == [AskStack(0)]
    assert story.slot(0).silent_since == 30.0
    assert story.states() == [POLLING, IDLE]
    assert sends(story.dies(0), GRANT) == [1]


def test_a_dispatcher_that_leaves_with_its_poll_makes_room() -> None:
    story = running(2, max_jobs=1)
    assert sends(story.dies(0, LEFT_AS_TOLD), GRANT) == [1]


@pytest.mark.parametrize("bad", [False, True])
def test_until_empty_may_still_end_it_first(bad: bool) -> None:
    story = running(1, max_jobs=2, empty_for=60.0)
    story.says(0, Received(0.1))
    story.says(0, BAD if bad else DONE)
    story.sample(0)
    story.now = 10.0
    story.says(0, Empty(10.0))
    story.now = 60.0
    story.sample(0)
    assert (story.phase, story.code) == (Phase.DRAINING, 6 if bad else 0)


def test_the_last_message_may_be_settled_by_nobody() -> None:
    """Its dispatcher has died, and so has the scout that was to release it: then all is done, at once."""
    story = working(1, 1, max_jobs=1)
    story.happens(Ended(0))
    estate = Estate("id", 1, "handle", lease_until=60.0)
    story.happens(Died(0, KILLED, "SIGKILL", estate))
    assert story.is_in(Phase.RUNNING)
    story.happens(HelperDied(Role.SCOUT, "SIGKILL"))
    assert story.is_in(Phase.DRAINING)
    assert story.pool.counts.left == 1
