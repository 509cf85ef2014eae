"""How a pool ends: the drain, the release rule, harder stops."""

from dataclasses import replace

from fleet.core.config import Config
from fleet.core.pool.effects import (
    AskStack,
    Effect,
    KillDispatcher,
    Send,
    TellStack,
    TerminateDispatcher,
)
from fleet.core.pool.events import Died, DispatcherSaid, Ended
from fleet.core.pool.state import Level, PoolPhase
from fleet.core.protocol import Drain, Empty, Held, Ready, Received
from fleet.core.slot_state import State
from tests.core.pool.story import (
    BAD,
    CRASHED,
    DONE,
    FAILED,
    FREE,
    INTERRUPTED,
    KILLED,
    LEFT_AS_TOLD,
    RELEASED,
    SEGFAULT,
    Story,
    named,
    running,
    sends,
    working,
)

VACANT, IDLE, POLLING, WORKING, HOLDING = (
    State.VACANT,
    State.IDLE,
    State.POLLING,
    State.WORKING,
    State.HOLDING,
)


# Drain.


def test_a_drain_sends_the_idle_home_lets_polls_come_home_and_jobs_finish() -> None:
    story = working(4, 2, drain_timeout=20)
    asked = story.stop()
    drain = Drain(20)
    assert asked == [
        step for slot in range(4) for step in (Send(slot, drain), TerminateDispatcher(slot))
    ]
    assert story.states() == [WORKING, WORKING, POLLING, IDLE]
    assert story.dies(3, LEFT_AS_TOLD) == []
    assert story.says(2, Empty(10.0)) == []
    assert story.dies(2, LEFT_AS_TOLD) == []
    assert story.phase is PoolPhase.DRAINING
    for slot in (0, 1):
        assert story.says(slot, DONE) == []
        assert story.dies(slot, LEFT_AS_TOLD) == []
    assert (story.phase, story.code, story.why) == (PoolPhase.STOPPED, 0, "DRAIN")
    assert story.log("drain.started").fields == {
        "why": "DRAIN",
        "how": "drain",
        "busy": 2,
        "polling": 1,
        "seconds": 20,
        "waits": "waits for 2 jobs (20 s at most) and open polls (about 10 s)",
    }


def test_one_that_is_idle_and_does_not_go_is_not_waited_for() -> None:
    """Somebody has stopped it. It has nothing in hand."""
    story = working(2, 1)
    story.says(0, DONE)
    assert story.states() == [IDLE, POLLING]
    story.now = 100.0
    story.stop()
    story.now = 105.0
    assert story.says(1, Empty(10.0)) == []
    assert story.wakes_at() == 110.0
    assert story.tick(109.9) == []
    assert story.tick(110.0) == [KillDispatcher(0)]
    assert story.log("dispatcher.hung").fields["why"] == "told to leave, and still there"
    assert story.wakes_at() == 115.0  # that of the other one, whose time is its own
    assert story.dies(0) == []
    assert story.dies(1, LEFT_AS_TOLD) == []
    assert (story.phase, story.code) == (PoolPhase.STOPPED, 0)


def test_the_ledger_balances() -> None:
    story = working(4, 1)
    story.says(0, DONE)
    for slot, report in ((1, FAILED), (0, INTERRUPTED), (1, RELEASED), (0, BAD), (1, SEGFAULT)):
        assert story.slot(slot).state is POLLING
        story.says(slot, Received(5.0))
        assert story.pool.counts.in_hand == 1
        story.says(slot, report)
    counts = story.pool.counts
    assert (counts.received, counts.deleted, counts.released, counts.left) == (6, 1, 2, 3)
    assert (counts.succeeded, counts.failed, counts.signalled, counts.stopped) == (1, 2, 1, 1)
    assert (counts.ended_badly, counts.dead_lettered, story.pool.dispatcher_deaths) == (1, 0, 0)
    assert counts.in_hand == 0


def test_a_dispatcher_that_comes_up_during_a_drain_is_sent_home() -> None:
    story = Story(Config(workers=2))
    story.helpers_ready()
    story.happens(named(0, 100))
    drain = Drain(30.0)
    assert story.stop() == [Send(0, drain), TerminateDispatcher(0)]
    assert story.says(1, Ready(200)) == [Send(1, drain), TerminateDispatcher(1)]
    assert story.says(0, Ready(100)) == []
    story.dies(0, LEFT_AS_TOLD)
    story.dies(1, LEFT_AS_TOLD)
    assert story.phase is PoolPhase.STOPPED


def test_nobody_is_replaced_during_a_drain() -> None:
    story = working(2, 1)
    story.stop()
    assert story.dies(0) == []
    assert story.tick(60.0) == [AskStack(1)]  # its poll is overdue
    assert story.states()[0] is VACANT
    assert story.code == 0


def test_a_size_that_was_asked_during_a_drain_changes_nothing() -> None:
    story = working(1, 1)
    story.stop()
    assert story.resize(2) == []
    assert story.states() == [WORKING]


# The release rule.


def test_during_a_drain_nothing_is_released_while_a_poll_is_open() -> None:
    story = working(3, 1)
    story.stop()
    assert story.says(0, Held()) == []
    assert story.states() == [HOLDING, POLLING, IDLE]
    assert story.says(1, Received(8.0)) == [Send(0, FREE)]  # the last poll has come home
    assert story.says(1, Held()) == [Send(1, FREE)]
    assert story.states()[:2] == [WORKING, WORKING]


def test_during_a_drain_a_poll_of_the_dead_delays_a_release_as_long_as_the_server_serves_it() -> (
    None
):
    story = working(2, 1)
    story.stop()
    story.says(0, Held())
    story.now = 3.0
    assert story.dies(1) == []
    assert story.wakes_at() == 11.0
    assert story.tick(10.999) == []
    assert story.tick(11.0) == [Send(0, FREE)]


def test_outside_a_drain_only_polls_of_the_dead_delay_a_release() -> None:
    story = working(3, 1)
    story.says(0, Held())
    assert story.states() == [WORKING, POLLING, IDLE]  # freed at once, though a poll is open
    story.says(0, RELEASED)
    story.says(1, Received(5.0))
    story.dies(0)  # it polled
    assert story.says(1, Held()) == []
    assert story.tick(10.999) == []
    assert sends(story.tick(11.0), FREE) == [1]


def test_even_the_silent_have_an_open_poll() -> None:
    story = working(2, 1)
    story.stop()
    story.says(0, Held())
    assert story.tick(22.0) == [AskStack(1)]
    assert story.tick(32.0) == [TellStack(1), KillDispatcher(1)]
    assert story.dies(1) == [Send(0, FREE)]  # its poll was over long ago


def test_a_held_message_whose_lease_ended_needs_no_leave() -> None:
    story = working(2, 1)
    story.stop()
    story.says(0, Held())
    assert story.says(0, BAD) == []
    assert story.pool.counts.left == 1


# Stopping harder.


def test_a_second_signal_within_a_second_is_the_same() -> None:
    story = working(1, 1)
    story.now = 500.0
    story.stop()
    story.now = 501.0
    assert story.stop() == []
    assert story.pool.level is Level.DRAIN


def test_nor_does_a_third_one_within_a_second_of_the_second_kill() -> None:
    story = working(1, 1)
    for at, level in (
        (500.0, Level.DRAIN),
        (502.0, Level.NOW),
        (503.0, Level.NOW),
        (503.1, Level.KILL),
    ):
        story.now = at
        story.stop()
        assert story.pool.level is level


def test_a_dispatcher_is_told_when_everybody_is_killed() -> None:
    """So that it gives up in time what it asks for again and again; a harder stop may be sooner
    over.
    """
    story = working(2, 1)
    longest = story.pool.config.longest_stop
    assert [word.left for word in drains(story.stop())] == [longest, longest]
    story.now = 2.0
    assert [word.left for word in drains(story.stop())] == [story.pool.kill_at - 2.0] * 2


def drains(asked: list[Effect]) -> list[Drain]:
    return [
        effect.order
        for effect in asked
        if isinstance(effect, Send) and isinstance(effect.order, Drain)
    ]


def test_a_second_signal_after_a_second_stops_the_jobs() -> None:
    story = working(2, 1)
    story.stop()
    story.now = 1.001
    now = Drain(0.0)
    assert story.stop() == [Send(0, now), Send(1, now)]
    assert story.pool.level is Level.NOW
    assert story.log("drain.started").fields["how"] == "now"
    assert story.tick() == []  # polls still come home


def test_quit_stops_the_jobs_at_once_even_within_the_second() -> None:
    story = working(1, 1)
    story.stop()
    assert story.stop(Level.NOW) == [Send(0, Drain(0.0))]
    assert story.stop() == []  # a TERM that comes with it asks for no more


def test_a_first_quit_drains_without_time() -> None:
    story = working(1, 1)
    assert story.stop(Level.NOW) == [Send(0, Drain(0.0)), TerminateDispatcher(0)]
    assert story.log("drain.started").fields["seconds"] == 0.0


def test_a_third_signal_kills_and_work_in_hand_is_exit_7() -> None:
    story = working(3, 1)
    for at in (0.0, 2.0):
        story.now = at
        story.stop()
    story.now = 4.0
    asked = story.stop()
    assert [effect for effect in asked if isinstance(effect, KillDispatcher)] == [
        KillDispatcher(0),
        KillDispatcher(1),
        KillDispatcher(2),
    ]
    assert story.tick() == []
    for slot in range(3):
        assert story.dies(slot) == []
    assert (story.phase, story.code, story.why) == (
        PoolPhase.STOPPED,
        7,
        "killed with work in hand",
    )
    assert story.pool.counts.left == 1
    assert "dispatcher.died" not in story.events()  # it was us


def test_a_kill_without_work_in_hand_is_exit_0() -> None:
    story = working(1, 1)
    for at in (0.0, 2.0, 4.0):
        story.now = at
        story.stop()
    story.happens(Ended(0))
    story.happens(DispatcherSaid(0, DONE))  # its last words
    story.happens(Died(0, KILLED, "SIGKILL"))
    assert (story.phase, story.code) == (PoolPhase.STOPPED, 0)


def test_a_fourth_signal_says_nothing_new() -> None:
    story = working(1, 1)
    for at in (0.0, 2.0, 4.0):
        story.now = at
        story.stop()
    story.now = 6.0
    assert story.stop() == []
    assert story.pool.level is Level.KILL


def test_a_kill_gives_up_those_who_are_not_there_yet() -> None:
    story = Story(Config(workers=2))
    story.helpers_ready()
    for at in (0.0, 2.0, 4.0):
        story.now = at
        story.stop()
    assert (story.phase, story.code) == (PoolPhase.STOPPED, 0)


def test_the_first_signal_during_a_stop_of_its_own_asks_for_a_drain() -> None:
    story = running(2)
    story.says(0, Received(5.0))
    for _ in range(6):
        story.dies(1, CRASHED)
        story.tick(story.slot(1).not_before)
        if story.phase is PoolPhase.RUNNING:
            story.comes_up(1)
    assert (story.phase, story.code) == (PoolPhase.DRAINING, 3)
    assert story.stop() == []
    assert story.pool.level is Level.DRAIN
    story.now += 2
    assert story.stop() == [Send(0, Drain(0.0))]
    assert story.code == 3  # the first reason stays


def test_what_takes_longer_than_any_stop_may_is_killed() -> None:
    story = working(2, 1, drain_timeout=20, exit_timeout=5, wait_time=10)
    story.says(1, Empty(10.0))
    story.now = 100.0
    story.stop()
    limit = 100 + 10 + 20 + 2 * 5 + 10
    assert story.pool.config.longest_stop == 50
    assert story.tick(limit - 0.001) == [AskStack(1)]
    assert story.wakes_at() == limit
    assert story.tick(limit) == [KillDispatcher(0), KillDispatcher(1)]
    story.dies(0)
    story.dies(1)
    assert (story.phase, story.code) == (PoolPhase.STOPPED, 7)


def test_a_long_poll_may_take_longer_than_the_drain() -> None:
    assert Config(1, wait_time=20, drain_timeout=0, exit_timeout=0).longest_stop == 30


def test_a_hook_may_need_its_time_too() -> None:
    config = Config(1, wait_time=10, drain_timeout=20, exit_timeout=5)
    assert replace(config, on_failure="app:told").longest_stop == config.longest_stop + 5


def test_a_harder_stop_does_not_move_the_limit() -> None:
    story = working(1, 1)
    story.stop()
    limit = story.wakes_at()
    story.now = 2.0
    story.stop()
    assert story.wakes_at() == limit


def test_after_the_end_nothing_is_due_and_no_signal_counts() -> None:
    story = running(1)
    story.stop()
    story.says(0, Empty(10.0))
    story.dies(0, LEFT_AS_TOLD)
    assert story.phase is PoolPhase.STOPPED
    ended = story.pool
    assert story.stop(Level.NOW) == []
    assert story.tick(1e6) == []
    assert story.pool == ended
    assert story.pool.kill_at > 1e6
    assert story.events().count("drain.started") == 1
