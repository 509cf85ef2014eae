"""The host has no process, memory or descriptor to give: that is a delay, and nobody's crash."""

import pytest

from fleet.core.config import Config
from fleet.core.exit_codes import HOST_SHORT
from fleet.core.outcomes import Exit
from fleet.core.pool.effects import Spawn, SpawnHelper
from fleet.core.pool.events import Died, Ended, HelperSaid, HelperSpawnFailed, SpawnFailed
from fleet.core.pool.orphan import Orphan
from fleet.core.pool.scarcity import Spawning, note_failure
from fleet.core.pool.state import PoolPhase, Role
from fleet.core.protocol import Ready
from fleet.core.slot_state import State
from tests.core.pool.story import Story, helper_ready, named, running, working

STARVED = Exit(code=HOST_SHORT)


@pytest.mark.parametrize(
    ("failures", "least", "most"),
    [(0, 0.25, 0.5), (1, 0.5, 1.0), (5, 8.0, 16.0), (6, 15.0, 30.0), (5000, 15.0, 30.0)],
)
def test_the_wait_doubles_up_to_half_a_minute(failures: int, least: float, most: float) -> None:
    before = Spawning(failures, 100.0)
    assert note_failure(before, 100.0, 0.0) == Spawning(failures + 1, 100.0 + least)
    assert note_failure(before, 100.0, 0.999999).not_before == pytest.approx(100.0 + most)
    assert note_failure(before, 99.9, 0.5) is before  # asked for before: of the same trouble


def test_dispatchers_that_cannot_be_forked_are_tried_again_later_all_of_them_and_for_ever() -> None:
    story = Story(Config(workers=3))
    assert story.helpers_ready() == [Spawn(0), Spawn(1), Spawn(2)]
    for failures in range(1, 40):
        for slot in range(3):
            assert story.happens(SpawnFailed(slot, "no memory")) == []
        assert story.pool.spawning.failures == failures
        again = story.wakes_at()
        assert again == story.pool.spawning.not_before
        assert story.tick(again - 0.001) == []
        assert story.tick(again) == [Spawn(0), Spawn(1), Spawn(2)]
    assert story.phase is PoolPhase.RUNNING
    assert story.pool.restarts.crashes == ()
    assert story.pool.dispatcher_deaths == 0
    assert [slot.crashes for slot in story.pool.slots] == [0, 0, 0]


def test_it_is_said_once_a_wait() -> None:
    story = Story(Config(workers=3))
    story.helpers_ready()
    for slot in range(3):
        story.happens(SpawnFailed(slot, "no memory"))
    assert story.events().count("spawn.failed") == 1
    fields = story.log("spawn.failed").fields
    assert fields == {"who": "dispatcher of slot 0", "why": "no memory", "retry_in": 0.375}


@pytest.mark.parametrize("good", [named(1, 100), Ready(100), helper_ready(Role.SCOUT)], ids=str)
def test_whoever_comes_up_ends_the_shortage(good: HelperSaid | Ready) -> None:
    story = Story(Config(workers=2))
    story.helpers_ready()
    story.happens(SpawnFailed(0, "no memory"))
    assert story.states() == [State.VACANT, State.SPAWNING]
    after = story.says(1, good) if isinstance(good, Ready) else story.happens(good)
    assert Spawn(0) in after
    assert story.pool.spawning == Spawning()


@pytest.mark.parametrize("role", list(Role))
def test_a_helper_that_cannot_be_started_is_tried_again_for_ever(role: Role) -> None:
    story = Story(Config(workers=1, boot_timeout=1_000_000.0))
    story.tick()
    for _ in range(40):
        assert story.happens(HelperSpawnFailed(role, "no process")) == []
        assert story.log("spawn.failed").fields["who"] == role.value
        again = story.wakes_at()
        assert story.tick(again - 0.001) == []
        assert story.tick(again) == [SpawnHelper(role)]
    assert story.phase is PoolPhase.BOOTING


def test_a_shortage_delays_helpers_too() -> None:
    story = Story(Config(workers=1))
    story.tick()
    story.happens(HelperSpawnFailed(Role.SCOUT, "no process"))
    story.happens(HelperSpawnFailed(Role.TEMPLATE, "no process"))
    assert story.tick(story.wakes_at()) == [SpawnHelper(Role.TEMPLATE), SpawnHelper(Role.SCOUT)]


def test_a_dispatcher_that_left_for_want_of_something_is_no_crash() -> None:
    story = running(2)
    for _ in range(20):
        story.happens(Ended(1))
        assert story.happens(Died(1, STARVED, "exit 71")) == []
        assert story.tick(story.wakes_at()) == [Spawn(1)]
        story.comes_up(1)
    assert story.phase is PoolPhase.RUNNING
    assert story.slot(1).crashes == 0
    assert story.pool.dispatcher_deaths == 0
    assert "dispatcher.died" not in story.events()


def test_its_message_is_settled_like_that_of_any_other() -> None:
    story = working(1, 1)
    story.happens(Ended(0))
    story.happens(Died(0, STARVED, "exit 71", (Orphan("m1", 2, "handle", story.now + 60),)))
    assert [each.order.message_id for each in story.pool.recoveries] == ["m1"]
