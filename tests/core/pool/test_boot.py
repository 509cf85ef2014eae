"""The pool at its beginning, and its helpers: told as stories."""

import pytest

from fleet.core.config import Config
from fleet.core.pool.effects import (
    AskStack,
    KillDispatcher,
    KillHelper,
    Send,
    Spawn,
    SpawnHelper,
    TellStack,
)
from fleet.core.pool.events import HelperDied, StopAsked
from fleet.core.pool.state import Level, PoolPhase, Role
from fleet.core.protocol import Ready
from fleet.core.slot_state import State
from tests.core.pool.story import GRANT, Story, helper_failed, helper_ready, named, running, working

VACANT, SPAWNING, BOOTING, IDLE, POLLING, WORKING = (
    State.VACANT,
    State.SPAWNING,
    State.BOOTING,
    State.IDLE,
    State.POLLING,
    State.WORKING,
)


# Boot.


def test_a_pool_starts_its_helpers_and_waits_for_both() -> None:
    story = Story(Config(workers=2))
    assert story.tick() == [SpawnHelper(Role.TEMPLATE), SpawnHelper(Role.SCOUT)]
    assert story.happens(helper_ready(Role.TEMPLATE)) == []
    assert story.is_in(PoolPhase.BOOTING)
    assert story.happens(helper_ready(Role.SCOUT)) == [Spawn(0), Spawn(1)]
    assert story.is_in(PoolPhase.RUNNING)
    assert story.states() == [SPAWNING, SPAWNING]


@pytest.mark.parametrize("first", list(Role))
def test_one_helper_alone_is_not_enough(first: Role) -> None:
    story = Story(Config(workers=1))
    story.tick()
    assert story.happens(helper_ready(first)) == []
    assert story.tick(1.0) == []
    assert story.phase is PoolPhase.BOOTING


def test_a_dispatcher_is_named_and_ready_and_the_first_one_polls() -> None:
    story = Story(Config(workers=2))
    story.helpers_ready()
    assert story.happens(named(0, 100)) == []
    assert story.log("dispatcher.spawned").fields == {"slot": 0, "pid": 100}
    assert story.says(0, Ready(100)) == [Send(0, GRANT)]
    assert story.says(1, Ready(200)) == []  # quicker than its name
    assert story.states() == [POLLING, IDLE]
    assert story.log("dispatcher.spawned").fields == {"slot": 1, "pid": 200}
    names = ["dispatcher.spawned", "dispatcher.ready"]
    assert [event for event in story.events() if event in names] == names * 2


def test_a_dispatcher_that_does_not_come_up_is_killed() -> None:
    story = Story(Config(workers=1, boot_timeout=5))
    story.helpers_ready()
    story.now = 2.0
    story.happens(named(0, 100))
    assert story.wakes_at() == 7.0  # counted from its name
    assert story.tick(6.999) == []
    assert story.tick(7.0) == [KillDispatcher(0)]
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
    assert story.happens(helper_ready(Role.TEMPLATE)) == [Spawn(0), Spawn(1)]


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
    assert story.tick(5.0) == [AskStack(Role.TEMPLATE)]
    assert story.wakes_at() == 7.0
    assert story.tick(6.999) == []
    assert story.tick(7.0) == [TellStack(Role.TEMPLATE), KillHelper(Role.TEMPLATE)]
    assert story.tick(8.0) == []
    assert story.happens(HelperDied(Role.TEMPLATE, "SIGKILL")) == []
    assert (story.phase, story.code) == (PoolPhase.STOPPED, 4)
    assert "was not imported within 5 s (--boot-timeout): fleet has killed it" in story.why


def test_an_import_that_is_done_while_its_stack_is_asked_for_is_not_killed() -> None:
    story = Story(Config(workers=1, boot_timeout=5))
    story.tick()
    assert story.tick(5.0) == [AskStack(Role.TEMPLATE)]
    story.happens(helper_ready(Role.TEMPLATE))
    assert story.tick(9.0) == []


def test_an_import_that_ends_its_process_is_said_to_do_so() -> None:
    story = Story(Config(workers=1))
    story.tick()
    story.happens(HelperDied(Role.TEMPLATE, "exit 0"))
    assert (story.phase, story.code) == (PoolPhase.STOPPED, 4)
    assert "ended its process while it was imported (exit 0)" in story.why


def test_a_template_that_dies_at_the_import_is_exit_4() -> None:
    story = Story(Config(workers=1))
    story.tick()
    story.happens(HelperDied(Role.TEMPLATE, "SIGSEGV"))
    assert (story.phase, story.code) == (PoolPhase.STOPPED, 4)
    assert story.why == "the app died while it was imported: SIGSEGV"


@pytest.mark.parametrize(("role", "code"), [(Role.TEMPLATE, 4), (Role.SCOUT, 5), (Role.SCOUT, 2)])
def test_a_helper_that_cannot_do_its_part_ends_the_pool_with_its_code(
    role: Role, code: int
) -> None:
    story = Story(Config(workers=1))
    story.tick()
    story.happens(helper_failed(role, code, "why not"))
    assert (story.phase, story.code, story.why) == (PoolPhase.STOPPED, code, "why not")
    assert "drain.started" not in story.events()  # the error is all that there is to say


def test_the_death_of_a_helper_that_has_said_why_is_no_news() -> None:
    story = Story(Config(workers=1))
    story.tick()
    story.happens(helper_ready(Role.SCOUT))
    story.happens(helper_failed(Role.TEMPLATE, 4, "no module named app"))
    story.happens(HelperDied(Role.TEMPLATE, "exit 0"))
    assert (story.code, story.why) == (4, "no module named app")
    assert "helper.died" not in story.events()


def test_a_scout_is_given_time_for_a_late_queue() -> None:
    story = Story(Config(workers=1, boot_timeout=5))
    story.tick()
    story.happens(helper_ready(Role.TEMPLATE))
    assert story.tick(1000.0) == []
    assert story.phase is PoolPhase.BOOTING


def test_a_scout_that_keeps_dying_before_it_found_the_queue_is_exit_1() -> None:
    story = Story(Config(workers=1))
    story.tick()
    for _ in range(4):
        story.happens(HelperDied(Role.SCOUT, "SIGKILL"))
        story.tick(story.now + 30)
        assert story.phase is PoolPhase.BOOTING
    story.happens(HelperDied(Role.SCOUT, "SIGKILL"))
    assert (story.phase, story.code) == (PoolPhase.STOPPED, 1)
    assert "SIGKILL" in story.why


def test_a_stop_while_booting_ends_at_once() -> None:
    story = Story(Config(workers=2))
    story.tick()
    assert story.stop() == []
    assert (story.phase, story.code) == (PoolPhase.STOPPED, 0)
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
    story.happens(helper_ready(role))
    # It had come up in between.
    assert story.happens(HelperDied(role, "SIGKILL")) == [SpawnHelper(role)]
    assert story.phase is PoolPhase.RUNNING


def test_a_template_that_waits_for_its_next_start_is_not_late() -> None:
    story = running(1)
    story.now = 100.0
    story.happens(HelperDied(Role.TEMPLATE, "SIGKILL"))
    story.happens(HelperDied(Role.TEMPLATE, "SIGKILL"))
    assert SpawnHelper(Role.TEMPLATE) not in story.tick(100.1)


def test_running_dispatchers_do_not_notice_the_templates_death() -> None:
    story = working(2, 1)
    story.happens(HelperDied(Role.TEMPLATE, "SIGKILL"))
    assert story.states() == [WORKING, POLLING]
    assert story.dies(1) == []  # nobody can be spawned now
    assert story.happens(helper_ready(Role.TEMPLATE)) == [Spawn(1)]


def test_the_templates_death_loses_what_it_was_asked_for() -> None:
    story = Story(Config(workers=3))
    story.helpers_ready()
    story.happens(named(0, 100))
    story.happens(HelperDied(Role.TEMPLATE, "SIGKILL"))
    assert story.states() == [BOOTING, VACANT, VACANT]
    assert story.happens(helper_ready(Role.TEMPLATE)) == [Spawn(1), Spawn(2)]


def test_the_scouts_death_loses_nothing() -> None:
    story = Story(Config(workers=1))
    story.helpers_ready()
    story.happens(HelperDied(Role.SCOUT, "SIGKILL"))
    assert story.states() == [SPAWNING]


def test_a_helper_that_fails_later_is_only_said() -> None:
    story = running(1)
    assert story.happens(helper_failed(Role.TEMPLATE, 4, "the app has gone")) == []
    assert story.phase is PoolPhase.RUNNING
    assert story.log("helper.failed").fields == {"role": "template", "why": "the app has gone"}


def respawn_delays(story: Story, role: Role, refuses: bool) -> list[float]:
    """How long it is waited each time that the helper dies before it is ready; the longest that
    luck allows.
    """
    story.jitter = 0.999
    found = []
    for _ in range(12):
        if refuses:
            story.happens(helper_failed(role, 4, "the app has gone"))
        effects = story.happens(HelperDied(role, "SIGKILL"))
        found.append(0.0)
        while SpawnHelper(role) not in effects:
            found[-1] += story.wakes_at() - story.now
            effects = story.tick(story.wakes_at())
    return found


@pytest.mark.parametrize("role", Role)
def test_a_helper_that_is_killed_again_and_again_is_back_within_seconds_after_the_last_time(
    role: Role,
) -> None:
    waits = respawn_delays(running(1), role, refuses=False)
    assert max(waits) <= 2.001
    assert waits[3] > 0.4, "it is no hot loop"


@pytest.mark.parametrize("role", Role)
def test_one_that_says_that_it_cannot_any_more_is_tried_less_and_less_often(role: Role) -> None:
    assert respawn_delays(running(1), role, refuses=True)[-1] > 25.0


@pytest.mark.parametrize("level", [Level.DRAIN, Level.NOW, Level.KILL])
def test_a_drain_has_a_scout_only_while_a_message_is_in_hand_and_no_template(level: Level) -> None:
    """Its keys are what the message is settled with."""
    story = working(1, 1)
    story.happens(StopAsked(level, "a test"))
    assert story.happens(HelperDied(Role.TEMPLATE, "SIGKILL")) == []
    asked = story.happens(HelperDied(Role.SCOUT, "SIGKILL"))
    assert asked == ([] if level is Level.KILL else [SpawnHelper(Role.SCOUT)])


def test_a_drain_that_waits_for_a_poll_has_no_new_helper() -> None:
    story = running(1)
    story.stop()
    for role in Role:
        assert story.happens(HelperDied(role, "SIGKILL")) == []
    assert story.tick(story.now + 1) == []


def test_the_templates_death_during_a_drain_ends_those_it_was_to_fork() -> None:
    story = Story(Config(workers=2))
    story.helpers_ready()
    story.stop()
    assert story.states() == [SPAWNING, SPAWNING]
    assert story.happens(HelperDied(Role.TEMPLATE, "SIGKILL")) == []
    assert (story.phase, story.code) == (PoolPhase.STOPPED, 0)
    assert "helper.died" in story.events()


def test_the_defaults_are_those_of_the_options() -> None:
    config = Config(workers=1)
    assert (config.wait_time, config.drain_timeout, config.exit_timeout, config.boot_timeout) == (
        10,
        30,
        30,
        60,
    )
    assert not config.until_empty
