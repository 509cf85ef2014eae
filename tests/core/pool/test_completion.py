"""--max-seconds and --max-jobs."""

from collections.abc import Callable
from math import inf

import pytest

from fleet.core.config import Config
from fleet.core.pool.effects import AskStack, Effect, KillDispatcher, Send, TerminateDispatcher
from fleet.core.pool.events import Died, Ended, HelperDied, StopAsked
from fleet.core.pool.orphan import Orphan
from fleet.core.pool.state import Level, PoolPhase, Role
from fleet.core.protocol import Drain, Empty, Held, PollFailed, Received
from fleet.core.slot_state import State
from tests.core.pool.story import (
    BAD,
    DONE,
    GRANT,
    KILLED,
    LEFT_AS_TOLD,
    Story,
    running,
    sends,
    working,
)

COMMAND = StopAsked(Level.DRAIN, "an operator stopped it", by_signal=False)
IDLE, POLLING, WORKING = State.IDLE, State.POLLING, State.WORKING


# --max-seconds.


def test_it_drains_when_the_time_has_passed() -> None:
    story = working(2, 1, max_seconds=60.0)
    assert story.wakes_at() <= 60.0
    assert story.tick(59.9) == [AskStack(1)]  # whose poll is overdue
    assert story.tick(60.0) == [
        Send(0, Drain(30.0)),
        TerminateDispatcher(0),
        Send(1, Drain(30.0)),
        TerminateDispatcher(1),
    ]
    assert (story.phase, story.code, story.why) == (
        PoolPhase.DRAINING,
        0,
        "--max-seconds 60 is over",
    )
    assert story.says(0, DONE) == []  # and takes nothing more


def test_the_master_wakes_for_it() -> None:
    story = running(1, max_seconds=7.5)
    assert story.wakes_at() == 7.5
    assert running(1).wakes_at() > 7.5


def test_what_is_said_at_that_moment_does_not_make_it_late() -> None:
    story = running(1, max_seconds=60.0)
    story.now = 60.0
    assert sends(story.says(0, Empty(10.0)), GRANT) == []
    assert story.is_in(PoolPhase.DRAINING)


def test_the_time_counts_from_when_the_pool_is_ready() -> None:
    """An import may take long; and a pool that is not ready yet has time-outs of its own."""
    story = Story(Config(1, max_seconds=5.0))
    story.tick(0.0)
    assert story.tick(60.0) == [AskStack(Role.TEMPLATE)]
    story = Story(Config(1, max_seconds=5.0))
    story.tick(0.0)
    story.now = 6.0
    story.helpers_ready()
    assert story.is_in(PoolPhase.RUNNING)
    story.comes_up(0)
    assert story.tick(10.9) == []
    assert story.wakes_at() == 11.0
    story.tick(11.0)
    assert story.is_in(PoolPhase.DRAINING)


@pytest.mark.parametrize(
    ("job_timeout", "seconds"),
    [(inf, 20.0), (600.0, 600.0), (5.0, 20.0)],
    ids=["none", "longer", "shorter"],
)
def test_what_runs_has_its_own_time(job_timeout: float, seconds: float) -> None:
    """None that would have ended within its --job-timeout is interrupted, and the hard limit comes
    after it.
    """
    options = {"max_seconds": 60.0, "drain_timeout": 20.0, "exit_timeout": 5.0, "wait_time": 10.0}
    story = working(2, 2, job_timeout=job_timeout, **options)
    asked = story.tick(60.0)
    assert sends(asked, Drain(seconds)) == [0, 1]
    assert story.log("drain.started").fields["seconds"] == seconds
    limit = 60 + 10 + seconds + 2 * 5 + 10
    assert story.wakes_at() == story.pool.kill_at == limit
    assert story.tick(limit - 0.001) == []
    assert story.tick(limit) == [KillDispatcher(0), KillDispatcher(1)]


@pytest.mark.parametrize("asks", [lambda story: story.stop(), lambda story: story.happens(COMMAND)])
def test_who_asks_for_a_stop_meanwhile_gets_an_ordinary_one(
    asks: Callable[[Story], list[Effect]],
) -> None:
    story = working(2, 2, max_seconds=60.0, job_timeout=600.0)
    story.tick(60.0)
    story.now = 100.0
    assert sends(asks(story), Drain(30.0)) == [0, 1]
    assert (story.pool.jobs_until, story.pool.kill_at) == (
        130.0,
        100 + story.pool.config.longest_stop,
    )
    assert story.log("drain.started").fields["seconds"] == 30.0
    assert story.why == "--max-seconds 60 is over"
    assert asks(story) == [], "the same once more"


def test_near_its_end_a_stop_leaves_them_what_they_have() -> None:
    story = working(1, 1, max_seconds=60.0, job_timeout=600.0)
    story.tick(60.0)
    limit = story.pool.kill_at
    story.now = 640.0
    assert story.stop() == []
    assert (story.pool.jobs_until, story.pool.kill_at) == (660.0, limit)


def test_a_harder_stop_meanwhile_has_its_own_limit() -> None:
    story = working(1, 1, max_seconds=60.0, job_timeout=600.0)
    story.tick(60.0)
    story.now = 100.0
    assert story.stop(Level.NOW) == [Send(0, Drain(0.0))]
    assert story.pool.kill_at == 100 + story.pool.config.longest_drain(0.0)


def test_a_failed_message_does_not_change_its_status() -> None:
    """6 is --until-empty's."""
    story = running(1, max_seconds=60.0, until_empty=True, empty_for=600.0)
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
    assert story.is_in(PoolPhase.RUNNING)
    asked = story.says(1, DONE)
    assert sends(asked, Drain(30.0)) == [0, 1]
    assert (story.phase, story.code, story.why) == (
        PoolPhase.DRAINING,
        0,
        "--max-jobs 2 is reached",
    )


def test_a_message_that_is_held_is_not_done() -> None:
    story = working(1, 1, max_jobs=1)
    story.says(0, Held())
    assert story.is_in(PoolPhase.RUNNING)
    story.says(0, DONE)
    assert story.is_in(PoolPhase.DRAINING)


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
    story = running(1, max_jobs=2, until_empty=True, empty_for=60.0)
    story.says(0, Received(0.1))
    story.says(0, BAD if bad else DONE)
    story.sample(0)
    story.now = 10.0
    story.says(0, Empty(10.0))
    story.now = 60.0
    story.sample(0)
    assert (story.phase, story.code) == (PoolPhase.DRAINING, 6 if bad else 0)


def test_the_last_message_may_be_settled_by_nobody() -> None:
    """Its dispatcher has died, and so has the scout that was to release it: then all is done, at
    once.
    """
    story = working(1, 1, max_jobs=1)
    story.happens(Ended(0))
    orphan = Orphan("id", 1, "handle", lease_until=60.0)
    story.happens(Died(0, KILLED, "SIGKILL", (orphan,)))
    assert story.is_in(PoolPhase.RUNNING)
    story.happens(HelperDied(Role.SCOUT, "SIGKILL"))
    assert story.is_in(PoolPhase.DRAINING)
    assert story.pool.counts.left == 1
