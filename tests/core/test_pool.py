"""The pool, told as stories: what happens, and what it asks for."""

import pytest

from fleet.core.books import Config, Illegal, Level, Phase, Role
from fleet.core.events import (
    Died,
    Ended,
    HelperDied,
    HelperFailed,
    HelperReady,
    Kill,
    KillHelper,
    Said,
    Send,
    Spawn,
    Spawned,
    SpawnFailed,
    SpawnHelper,
    Terminate,
)
from fleet.core.messages import Drain, Empty, Held, PollFailed, Ready, Received
from fleet.core.slots import State
from tests.core.story import (
    BAD,
    CRASHED,
    DONE,
    FAILED,
    FREE,
    GRANT,
    INTERRUPTED,
    KILLED,
    LEFT_AS_TOLD,
    RELEASED,
    STARVED,
    Story,
    running,
    sends,
    working,
)

VACANT, SPAWNING, BOOTING = State.VACANT, State.SPAWNING, State.BOOTING
IDLE, POLLING, WORKING, HOLDING = State.IDLE, State.POLLING, State.WORKING, State.HOLDING


# Boot.


def test_a_pool_starts_its_helpers_and_waits_for_both() -> None:
    story = Story(Config(workers=2))
    assert story.tick() == [SpawnHelper(Role.TEMPLATE), SpawnHelper(Role.SCOUT)]
    assert story.happens(HelperReady(Role.TEMPLATE)) == []
    assert story.is_in(Phase.BOOTING)
    assert story.happens(HelperReady(Role.SCOUT)) == [Spawn(0), Spawn(1)]
    assert story.is_in(Phase.RUNNING)
    assert story.states() == [SPAWNING, SPAWNING]


def test_a_dispatcher_is_named_and_ready_and_the_first_one_polls() -> None:
    story = Story(Config(workers=2))
    story.helpers_ready()
    assert story.happens(Spawned(0, 100)) == []
    assert story.slot(0).pid == 100
    assert story.says(0, Ready(100)) == [Send(0, GRANT)]
    assert story.says(1, Ready(200)) == []  # quicker than its name
    assert story.states() == [POLLING, IDLE]
    assert story.slot(1).pid == 200
    names = ["dispatcher.spawned", "dispatcher.ready"]
    assert [event for event in story.events() if event in names] == names * 2


def test_a_dispatcher_that_does_not_come_up_is_killed() -> None:
    story = Story(Config(workers=1, boot_timeout=5))
    story.helpers_ready()
    story.now = 2.0
    story.happens(Spawned(0, 100))
    assert story.wakes_at() == 7.0  # counted from its name
    assert story.tick(6.999) == []
    assert story.tick(7.0) == [Kill(0)]
    assert story.tick(7.1) == []
    assert "not ready in time" in story.log("dispatcher.hung").fields["why"]
    assert story.dies(0) == [Spawn(0)]


def test_a_template_that_hangs_when_it_is_asked_is_killed_and_its_successor_is_asked() -> None:
    story = Story(Config(workers=2, boot_timeout=5))
    story.helpers_ready()
    assert story.wakes_at() == 5.0
    assert story.tick(4.999) == []
    assert story.tick(5.0) == [KillHelper(Role.TEMPLATE)]
    assert story.tick(5.1) == []
    assert story.happens(HelperDied(Role.TEMPLATE, "SIGKILL")) == [SpawnHelper(Role.TEMPLATE)]
    assert story.states() == [VACANT, VACANT]
    assert story.happens(HelperReady(Role.TEMPLATE)) == [Spawn(0), Spawn(1)]


def test_a_word_that_was_said_is_heard_before_anybody_is_judged() -> None:
    """The master was stopped for an hour; both dispatchers have been ready for as long."""
    story = Story(Config(workers=2))
    story.helpers_ready()
    story.now = 3600.0
    assert story.says(0, Ready(100)) == [Send(0, GRANT)]
    assert story.says(1, Ready(200)) == []
    assert story.tick() == []


def test_an_import_that_takes_too_long_is_exit_4() -> None:
    story = Story(Config(workers=1, boot_timeout=5))
    story.tick()
    assert story.wakes_at() == 5.0
    assert story.tick(4.999) == []
    assert story.tick(5.0) == [KillHelper(Role.TEMPLATE)]
    assert story.tick(6.0) == []
    assert story.happens(HelperDied(Role.TEMPLATE, "SIGKILL")) == []
    assert (story.phase, story.code) == (Phase.STOPPED, 4)
    assert story.why == "the app was not imported within 5 s (--boot-timeout)"


def test_a_template_that_dies_at_the_import_is_exit_4() -> None:
    story = Story(Config(workers=1))
    story.tick()
    story.happens(HelperDied(Role.TEMPLATE, "SIGSEGV"))
    assert (story.phase, story.code) == (Phase.STOPPED, 4)
    assert story.why == "the app died while it was imported: SIGSEGV"


@pytest.mark.parametrize(("role", "code"), [(Role.TEMPLATE, 4), (Role.SCOUT, 5), (Role.SCOUT, 2)])
def test_a_helper_that_cannot_do_its_part_ends_the_pool_with_its_code(role: Role, code: int) -> None:
    story = Story(Config(workers=1))
    story.tick()
    story.happens(HelperFailed(role, code, "why not"))
    assert (story.phase, story.code, story.why) == (Phase.STOPPED, code, "why not")
    assert "drain.started" not in story.events()  # the error is all that there is to say


def test_the_death_of_a_helper_that_has_said_why_is_no_news() -> None:
    story = Story(Config(workers=1))
    story.tick()
    story.happens(HelperReady(Role.SCOUT))
    story.happens(HelperFailed(Role.TEMPLATE, 4, "no module named app"))
    story.happens(HelperDied(Role.TEMPLATE, "exit 0"))
    assert (story.code, story.why) == (4, "no module named app")
    assert "helper.died" not in story.events()


def test_a_scout_is_given_time_for_a_late_queue() -> None:
    story = Story(Config(workers=1, boot_timeout=5))
    story.tick()
    story.happens(HelperReady(Role.TEMPLATE))
    assert story.tick(1000.0) == []
    assert story.phase is Phase.BOOTING


def test_a_scout_that_keeps_dying_before_it_found_the_queue_is_exit_1() -> None:
    story = Story(Config(workers=1))
    story.tick()
    for _ in range(4):
        story.happens(HelperDied(Role.SCOUT, "SIGKILL"))
        story.tick(story.now + 30)
        assert story.phase is Phase.BOOTING
    story.happens(HelperDied(Role.SCOUT, "SIGKILL"))
    assert (story.phase, story.code) == (Phase.STOPPED, 1)
    assert "SIGKILL" in story.why


def test_a_stop_while_booting_ends_at_once() -> None:
    story = Story(Config(workers=2))
    story.tick()
    assert story.stop() == []
    assert (story.phase, story.code) == (Phase.STOPPED, 0)
    assert "drain.started" in story.events()


# Helpers, later.


@pytest.mark.parametrize("role", list(Role))
def test_a_helper_that_dies_later_is_started_again_with_backoff(role: Role) -> None:
    story = running(1)
    assert story.happens(HelperDied(role, "SIGKILL")) == [SpawnHelper(role)]
    assert story.happens(HelperDied(role, "SIGKILL")) == []  # the second time in a row, it waits
    again = story.wakes_at()
    assert 0.25 <= again <= 0.5
    assert story.tick(again) == [SpawnHelper(role)]
    story.happens(HelperReady(role))
    assert story.happens(HelperDied(role, "SIGKILL")) == [SpawnHelper(role)]  # it had come up in between
    assert story.phase is Phase.RUNNING


def test_running_dispatchers_do_not_notice_the_templates_death() -> None:
    story = working(2, 1)
    story.happens(HelperDied(Role.TEMPLATE, "SIGKILL"))
    assert story.states() == [WORKING, POLLING]
    assert story.dies(1) == []  # nobody can be spawned now
    assert story.happens(HelperReady(Role.TEMPLATE)) == [Spawn(1)]


def test_the_templates_death_loses_what_it_was_asked_for() -> None:
    story = Story(Config(workers=3))
    story.helpers_ready()
    story.happens(Spawned(0, 100))
    story.happens(HelperDied(Role.TEMPLATE, "SIGKILL"))
    assert story.states() == [BOOTING, VACANT, VACANT]
    assert story.happens(HelperReady(Role.TEMPLATE)) == [Spawn(1), Spawn(2)]


def test_the_scouts_death_loses_nothing() -> None:
    story = Story(Config(workers=1))
    story.helpers_ready()
    story.happens(HelperDied(Role.SCOUT, "SIGKILL"))
    assert story.states() == [SPAWNING]


def test_a_helper_that_fails_later_is_only_said() -> None:
    story = running(1)
    assert story.happens(HelperFailed(Role.TEMPLATE, 4, "the app has gone")) == []
    assert story.phase is Phase.RUNNING
    assert story.log("helper.failed").fields == {"role": "template", "why": "the app has gone"}


def test_no_helper_is_started_during_a_drain() -> None:
    story = working(1, 1)
    story.stop()
    assert story.happens(HelperDied(Role.SCOUT, "SIGKILL")) == []
    assert story.tick(100.0 - 1) == []


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
    assert story.pool.depth is not None
    assert story.pool.depth.total == 1000


def test_one_who_has_settled_is_granted_again() -> None:
    story = working(1, 1)
    assert story.says(0, DONE) == [Send(0, GRANT)]


def test_a_failed_poll_backs_off_for_the_whole_pool() -> None:
    story = running(4)
    assert story.says(0, PollFailed("no route")) == []
    assert story.states() == [IDLE] * 4
    again = story.wakes_at()
    assert story.tick(again - 0.001) == []
    assert story.tick(again) == [Send(0, GRANT)]
    assert story.log("poll.failed").fields == {"slot": 0, "error": "no route", "failures": 1, "retry_in": again}


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
    assert story.pool.polling.starved == 1


def test_a_job_that_runs_ends_the_famine() -> None:
    story = working(2, 1)
    story.says(0, Held())
    story.says(0, STARVED)
    story.says(1, Received(1.0))
    story.says(1, DONE)
    assert story.pool.polling.starved == 0


def test_a_late_message_is_no_sign_of_famine() -> None:
    story = working(2, 1)
    story.says(0, Held())
    story.says(0, RELEASED)
    assert story.pool.polling.starved == 0
    assert "host.starved" not in story.events()


# A poll that never comes home.


def test_a_silent_poller_is_replaced_then_killed() -> None:
    story = running(2)
    assert story.wakes_at() == 22.0
    assert story.tick(21.999) == []
    assert story.tick(22.0) == [Send(1, GRANT)]
    assert story.wakes_at() == 32.0
    assert story.tick(31.999) == []
    assert story.tick(32.0) == [Kill(0)]
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
    assert story.tick(1000.0) == [Send(1, GRANT)]
    assert story.tick(1000.0) == []
    assert story.wakes_at() == 1010.0
    assert story.tick(1010.0) == [Kill(0)]


def test_one_who_was_killed_gets_no_grant_whatever_he_still_says() -> None:
    story = running(1)
    story.tick(22.0)
    assert story.tick(32.0) == [Kill(0)]
    assert story.says(0, Empty(32.0)) == []
    assert story.dies(0) == [Spawn(0)]


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
    assert story.pool.counts.dispatcher_deaths == 2


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
    assert story.pool.counts.dispatcher_deaths == 0
    assert "dispatcher.died" not in story.events()


def test_a_pool_that_cannot_keep_its_dispatchers_alive_is_exit_3() -> None:
    story = running(1)
    for _ in range(5):
        story.dies(0, CRASHED)
        assert story.phase is Phase.RUNNING
        story.tick(story.slot(0).not_before)
        story.comes_up(0)
    story.dies(0, KILLED)
    assert (story.phase, story.code) == (Phase.STOPPED, 3)
    assert story.why == "the pool cannot keep its dispatchers alive: 1 × 5, 9 × 1 within a minute"


def test_a_pool_that_still_gets_work_done_is_not_hopeless() -> None:
    story = running(1)
    for _ in range(20):
        story.says(0, Received(1.0))
        story.says(0, FAILED)
        story.dies(0, CRASHED)
        assert story.phase is Phase.RUNNING
        story.comes_up(0)


def test_a_spawn_that_fails_counts_as_a_crash() -> None:
    story = Story(Config(workers=1))
    story.helpers_ready()
    assert story.happens(SpawnFailed(0, "no memory")) == [Spawn(0)]
    assert story.happens(SpawnFailed(0, "no memory")) == []
    assert story.slot(0).crashes == 2
    for _ in range(4):
        story.tick(story.slot(0).not_before)
        story.happens(SpawnFailed(0, "no memory"))
    assert (story.phase, story.code) == (Phase.STOPPED, 3)
    assert "not forked: no memory × 6" in story.why


def test_a_message_whose_dispatcher_died_is_left() -> None:
    story = working(1, 1)
    story.happens(Ended(0))
    story.happens(Died(0, KILLED, "SIGKILL", "m1", 2))
    assert story.pool.counts.left == 1
    assert story.pool.counts.in_hand == 0
    assert story.log("message.left").fields == {
        "slot": 0,
        "message_id": "m1",
        "attempt": 2,
        "why": "its dispatcher died",
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


# Drain.


def test_a_drain_sends_the_idle_home_lets_polls_come_home_and_jobs_finish() -> None:
    story = working(3, 1, drain_timeout=20)
    asked = story.stop()
    drain = Drain(20)
    assert asked == [step for slot in range(3) for step in (Send(slot, drain), Terminate(slot))]
    assert story.states() == [WORKING, POLLING, IDLE]
    assert story.dies(2, LEFT_AS_TOLD) == []
    assert story.says(1, Empty(10.0)) == []
    assert story.dies(1, LEFT_AS_TOLD) == []
    assert story.phase is Phase.DRAINING
    assert story.says(0, DONE) == []
    assert story.dies(0, LEFT_AS_TOLD) == []
    assert (story.phase, story.code, story.why) == (Phase.STOPPED, 0, "DRAIN")
    assert story.log("drain.started").fields == {
        "why": "DRAIN",
        "how": "drain",
        "busy": 1,
        "polling": 1,
        "seconds": 20,
    }


def test_the_ledger_balances() -> None:
    story = working(4, 1)
    story.says(0, DONE)
    for slot, report in ((1, FAILED), (0, INTERRUPTED), (1, RELEASED), (0, BAD)):
        assert story.slot(slot).state is POLLING
        story.says(slot, Received(5.0))
        assert story.pool.counts.in_hand == 1
        story.says(slot, report)
    counts = story.pool.counts
    assert (counts.received, counts.deleted, counts.released, counts.left) == (5, 1, 2, 2)
    assert (counts.succeeded, counts.failed, counts.stopped, counts.ended_badly) == (1, 2, 1, 1)
    assert counts.in_hand == 0


def test_a_dispatcher_that_comes_up_during_a_drain_is_sent_home() -> None:
    story = Story(Config(workers=2))
    story.helpers_ready()
    story.happens(Spawned(0, 100))
    drain = Drain(30.0)
    assert story.stop() == [Send(0, drain), Terminate(0)]
    assert story.says(1, Ready(200)) == [Send(1, drain), Terminate(1)]
    assert story.says(0, Ready(100)) == []
    story.dies(0, LEFT_AS_TOLD)
    story.dies(1, LEFT_AS_TOLD)
    assert story.phase is Phase.STOPPED


def test_nobody_is_replaced_during_a_drain() -> None:
    story = working(2, 1)
    story.stop()
    assert story.dies(0) == []
    assert story.tick(60.0) == []
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


def test_during_a_drain_a_poll_of_the_dead_delays_a_release_as_long_as_the_server_serves_it() -> None:
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
    assert story.tick(22.0) == []
    assert story.tick(32.0) == [Kill(1)]
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
    story.stop()
    story.now = 1.0
    assert story.stop() == []
    assert story.pool.level is Level.DRAIN


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
    assert story.stop(Level.NOW) == [Send(0, Drain(0.0)), Terminate(0)]
    assert story.log("drain.started").fields["seconds"] == 0.0


def test_a_third_signal_kills_and_work_in_hand_is_exit_7() -> None:
    story = working(3, 1)
    for at in (0.0, 2.0):
        story.now = at
        story.stop()
    story.now = 4.0
    asked = story.stop()
    assert [effect for effect in asked if isinstance(effect, Kill)] == [Kill(0), Kill(1), Kill(2)]
    assert story.tick() == []
    for slot in range(3):
        assert story.dies(slot) == []
    assert (story.phase, story.code, story.why) == (Phase.STOPPED, 7, "killed with work in hand")
    assert story.pool.counts.left == 1
    assert "dispatcher.died" not in story.events()  # it was us


def test_a_kill_without_work_in_hand_is_exit_0() -> None:
    story = working(1, 1)
    for at in (0.0, 2.0, 4.0):
        story.now = at
        story.stop()
    story.happens(Ended(0))
    story.happens(Said(0, DONE))  # its last words
    story.happens(Died(0, KILLED, "SIGKILL"))
    assert (story.phase, story.code) == (Phase.STOPPED, 0)


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
    assert (story.phase, story.code) == (Phase.STOPPED, 0)


def test_the_first_signal_during_a_stop_of_its_own_asks_for_a_drain() -> None:
    story = running(2)
    story.says(0, Received(5.0))
    for _ in range(6):
        story.dies(1, CRASHED)
        story.tick(story.slot(1).not_before)
        if story.phase is Phase.RUNNING:
            story.comes_up(1)
    assert (story.phase, story.code) == (Phase.DRAINING, 3)
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
    limit = 100 + 20 + 2 * 5 + 10
    assert story.pool.config.longest_stop == 40
    assert story.tick(limit - 0.001) == []
    assert story.wakes_at() == limit
    assert story.tick(limit) == [Kill(0), Kill(1)]
    story.dies(0)
    story.dies(1)
    assert (story.phase, story.code) == (Phase.STOPPED, 7)


def test_a_long_poll_may_take_longer_than_the_drain() -> None:
    assert Config(1, wait_time=20, drain_timeout=0, exit_timeout=0).longest_stop == 30


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
    assert story.phase is Phase.STOPPED
    assert story.stop() == []
    assert story.tick(1e6) == []
    assert story.pool.kill_at > 1e6


# --until-empty.


def emptied(story: Story) -> None:
    """Zero samples for long enough; the poll that is open from 0 on comes home in between."""
    story.sample(0)
    story.now = 10.0
    story.says(0, Empty(10.0))
    story.now = 60.0
    story.sample(0)


def test_until_empty_ends_with_0_when_all_went_well() -> None:
    story = running(1, empty_for=60)
    story.sample(0)
    story.now = 10.0
    assert story.says(0, Empty(10.0)) == [Send(0, GRANT)]
    story.now = 60.0
    drain = Drain(30.0)
    assert story.sample(0) == [Send(0, drain), Terminate(0)]
    assert (story.phase, story.code, story.why) == (Phase.DRAINING, 0, "the queue is empty")


def test_until_empty_ends_with_6_when_a_message_ended_badly() -> None:
    story = running(1, empty_for=60)
    story.says(0, Received(0.1))
    story.says(0, BAD)
    emptied(story)
    assert (story.phase, story.code, story.why) == (Phase.DRAINING, 6, "the queue is empty; 1 ended badly")


def test_until_empty_waits_for_running_jobs() -> None:
    story = running(2, empty_for=60)
    story.says(0, Received(5.0))
    story.sample(0)
    story.now = 10.0
    story.says(1, Empty(10.0))
    story.now = 70.0
    story.sample(0)
    assert story.is_in(Phase.RUNNING)
    story.says(0, DONE)
    assert story.is_in(Phase.DRAINING)


@pytest.mark.parametrize("took", [0.0, 8.9])
def test_a_short_poll_proves_nothing(took: float) -> None:
    story = running(1, empty_for=60)
    story.sample(0)
    story.says(0, Empty(took))
    story.now = 60.0
    story.sample(0)
    assert story.phase is Phase.RUNNING


def test_a_poll_of_nine_tenths_has_its_full_length() -> None:
    story = running(1, empty_for=60)
    story.sample(0)
    story.says(0, Empty(9.0))
    story.now = 60.0
    story.sample(0)
    assert story.phase is Phase.DRAINING


def test_without_until_empty_an_empty_queue_is_waited_for() -> None:
    story = running(1)
    emptied(story)
    assert story.phase is Phase.RUNNING


def test_a_message_in_between_begins_the_streak_anew() -> None:
    story = running(1, empty_for=60)
    story.sample(0)
    story.says(0, Received(1.0))
    story.says(0, DONE)
    story.now = 10.0
    story.says(0, Empty(10.0))
    story.now = 60.0
    story.sample(0)
    assert story.phase is Phase.RUNNING


# Size.


def test_one_more_is_spawned_at_once() -> None:
    story = running(1)
    assert story.resize(1) == [Spawn(1)]
    assert story.log("pool.resized").fields == {"from": 1, "to": 2, "reason": "a signal asked for it"}


def test_fewer_takes_idle_ones_the_highest_slot_first() -> None:
    story = running(4)
    assert story.resize(-1) == [Terminate(3)]
    assert story.resize(-1) == [Terminate(2)]
    assert story.dies(3, LEFT_AS_TOLD) == []
    assert story.states() == [POLLING, IDLE, IDLE, VACANT]


def test_fewer_never_takes_one_who_works_or_polls() -> None:
    story = working(2, 1)
    assert story.resize(-1) == []
    assert story.tick(5.0) == []
    assert story.says(0, DONE) == [Terminate(0)]  # now it is idle
    assert story.dies(0, LEFT_AS_TOLD) == []
    assert story.states() == [VACANT, POLLING]


def test_one_who_is_leaving_gets_no_grant_and_is_told_once() -> None:
    story = running(2)
    assert story.resize(-1) == [Terminate(1)]
    assert story.sample(100) == []
    assert story.tick(1.0) == []


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
    assert [effect for effect in asked if isinstance(effect, Terminate)] == [Terminate(0)]


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
        Said(0, Ready(1)),
        Said(0, Held()),
        Said(0, DONE),
        Said(1, Empty(1.0)),
        Said(1, Received(1.0)),
        Said(1, PollFailed("")),
        Said(1, DONE),
        Said(2, Ready(1)),
        Said(9, Ready(1)),
        Said(-1, Ready(1)),
        Spawned(0, 1),
        Spawned(2, 1),
        SpawnFailed(1, ""),
        Ended(2),
        Died(2, KILLED, ""),
        Died(3, KILLED, ""),
    ],
    ids=str,
)
def test_an_event_that_does_not_fit_raises(event: Said | Spawned | SpawnFailed | Ended | Died) -> None:
    story = running(3)
    story.resize(-1)
    story.dies(2, LEFT_AS_TOLD)
    assert story.states() == [POLLING, IDLE, VACANT]
    with pytest.raises(Illegal):
        story.happens(event)


@pytest.mark.parametrize("event", [HelperReady(Role.SCOUT), HelperDied(Role.TEMPLATE, "")])
def test_a_helper_that_is_not_there_says_nothing_and_dies_no_death(event: HelperReady | HelperDied) -> None:
    with pytest.raises(Illegal):
        Story(Config(workers=1)).happens(event)
