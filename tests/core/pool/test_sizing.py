"""A pool that sizes itself: from samples to spawns and retirements."""

import pytest

from fleet.core.outcomes import Exit, Outcome, Settlement
from fleet.core.pool import sizing
from fleet.core.pool.effects import Effect, OrderScout, Spawn, TerminateDispatcher
from fleet.core.pool.events import MemoryMeasured, PauseAsked, ScaleAsked
from fleet.core.pool.state import Resize
from fleet.core.protocol import Empty, PollFailed, Received, Settled
from fleet.core.scout_protocol import SampleDepth
from fleet.core.sizing.rule import SOONEST
from fleet.core.slot_state import State
from tests.core.pool.story import DONE, GRANT, Story, running, sends, working

IDLE, POLLING, WORKING, VACANT = State.IDLE, State.POLLING, State.WORKING, State.VACANT
INTERVAL = 15.0
LEFT = Settled(Settlement.LEAVE, Outcome.FAILED, 2.0, bad=False, hidden_for=50.0)


def large(mib: float) -> Settled:
    """A job that needed so much."""
    return Settled(Settlement.DELETE, Outcome.SUCCEEDED, 2.0, bad=False, max_rss_mib=mib)


def pool(workers: int = 2, least: int = 1, most: int = 32) -> Story:
    return running(workers, min_workers=least, max_workers=most)


def full(workers: int = 2, least: int = 1, most: int = 32, seconds: float = 2.0) -> Story:
    """Every dispatcher has done a job of so many seconds, and has the next one in hand."""
    story = pool(workers, least, most)
    for last in (False, True):
        for slot in range(workers):
            assert story.slot(slot).state is POLLING, story.states()
            story.says(slot, Received(0.1))
        if not last:
            story.now += seconds
            for slot in range(workers):
                story.says(slot, DONE)
    return story


def spawns(effects: list[Effect]) -> list[int]:
    return [effect.slot for effect in effects if isinstance(effect, Spawn)]


def quiet(story: Story, samples: int) -> list[int]:
    """So many samples of an empty queue, an interval apart; the sizes."""
    found = []
    for _ in range(samples):
        story.now += INTERVAL
        story.sample(0)
        for slot in story.pool.slots:
            if slot.leaving and slot.state is IDLE:
                story.dies(slot.number, how=Exit(code=0))
        found.append(story.pool.desired)
    return found


# Growing.


def test_a_backlog_grows_a_busy_pool_step_by_step() -> None:
    story = full(2)
    assert spawns(story.sample(90, 2)) == [2, 3, 4, 5]
    assert story.pool.last_resize == Resize(2, 6, "90 visible × 1.9 s / 30 s = 6")
    assert story.log("pool.resized").fields == {
        "from": 2,
        "to": 6,
        "reason": "90 visible × 1.9 s / 30 s = 6",
    }


def test_the_maximum_is_the_end() -> None:
    story = full(2, most=4)
    assert spawns(story.sample(900, 2)) == [2, 3]
    assert story.pool.last_resize
    assert story.pool.last_resize.reason.endswith("at most 4 (--max-workers)")


def test_a_fixed_pool_stays_as_it_is() -> None:
    story = working(2, busy=2)
    story.now = 100.0
    assert story.sample(900, 2) == []
    assert story.pool.desired == 2
    assert story.pool.last_resize is None


def test_nothing_grows_while_a_dispatcher_could_poll() -> None:
    story = full(2)
    story.now += 2.0
    story.says(0, DONE)
    story.says(0, Empty(10.0))
    story.now += 1.5
    assert story.slot(0).state is POLLING  # since more than a second: there is nothing for it
    assert spawns(story.sample(900, 2)) == []


def test_nothing_grows_when_the_newest_poll_failed() -> None:
    story = full(2)
    story.now += 2.0
    story.says(0, DONE)
    story.says(0, PollFailed("no route"))
    assert spawns(story.sample(900, 2)) == []


def test_others_work_is_not_our_need() -> None:
    story = full(2)
    assert spawns(story.sample(90, 2000)) == []


def test_messages_that_we_left_to_their_lease_are_not_others_work() -> None:
    story = full(2)
    for _ in range(10):
        story.now += 2.0
        for slot in (0, 1):
            story.says(slot, LEFT)
            story.says(slot, Received(0.1))
    assert len(spawns(story.sample(90, 22))) == 4


def test_messages_that_wait_in_a_batch_are_not_others_work() -> None:
    story = running(1, min_workers=1, max_workers=32, batch_size=10)
    story.sample(100)
    story.says(0, Received(0.1, 10))
    story.now = 20.0
    assert len(spawns(story.sample(100, 10))) == 4  # 100 × 20 s / 30 s
    assert "ours" not in str(story.pool.last_resize)


def test_one_message_of_an_hours_job_grows_nothing_by_sixty() -> None:
    story = pool(1, most=64)
    story.says(0, Received(0.1))
    story.now = 3600.0
    assert spawns(story.sample(1, 1)) == [1]


# Samples that do not wait for their turn.


def waiting(workers: int) -> Story:
    """A pool whose open poll has found nothing for a while; a sample agreed, and is old enough for
    another one.
    """
    story = pool(workers)
    story.now = 5.0
    story.sample(0)
    story.now += SOONEST * INTERVAL
    return story


def test_a_burst_that_takes_every_dispatcher_wants_a_sample_at_once() -> None:
    story = waiting(2)
    assert OrderScout(SampleDepth()) not in story.says(0, Received(0.1))
    assert OrderScout(SampleDepth()) in story.says(1, Received(0.1))


def test_a_sample_of_a_pool_that_has_just_begun_is_not_of_a_busy_one() -> None:
    """Its polls are as young as those of a pool whose messages come at once; or it still boots."""
    story = pool(1)
    story.sample(0)
    story.now += SOONEST * INTERVAL
    assert OrderScout(SampleDepth()) in story.says(0, Received(1.5))


def test_it_is_asked_for_once() -> None:
    story = waiting(1)
    assert OrderScout(SampleDepth()) in story.says(0, Received(0.1))
    story.now += 60.0
    story.says(0, DONE)
    assert OrderScout(SampleDepth()) not in story.says(0, Received(0.1))
    story.sample(0)
    story.now += 60.0
    story.says(0, DONE)
    assert OrderScout(SampleDepth()) in story.says(0, Received(0.1))


def test_time_alone_may_make_a_sample_worth_its_price() -> None:
    """Long jobs: nobody reports anything, but they turn out to be long."""
    story = waiting(1)
    assert OrderScout(SampleDepth()) in story.says(0, Received(0.1))
    assert spawns(story.sample(50, 1)) == []  # a job that has just begun may be over at once
    assert story.tick(story.wakes_at()) == [OrderScout(SampleDepth())]
    assert spawns(story.sample(50, 1)) == [1, 2, 3]


def test_a_fixed_pool_wants_none() -> None:
    story = running(1)
    story.sample(0)
    story.now = 60.0
    assert OrderScout(SampleDepth()) not in story.says(0, Received(0.1))


# Shrinking.


def test_idle_dispatchers_leave_after_five_quiet_minutes_and_no_sooner() -> None:
    story = pool(8)
    assert quiet(story, 20) == [8] * 20
    assert quiet(story, 3) == [4, 1, 1]
    assert story.states() == [POLLING, *[VACANT] * 7]
    assert (
        story.log("pool.resized").fields["reason"]
        == "at most 0 needed for 300 s, at least 1 (--min-workers)"
    )


def test_the_minimum_is_the_end() -> None:
    assert quiet(pool(8, least=3), 25)[-1] == 3


def test_a_busy_dispatcher_is_never_asked_to_leave() -> None:
    story = full(2, least=1)
    quiet(story, 25)
    assert story.states() == [WORKING, WORKING]
    assert not any(slot.leaving or slot.killed for slot in story.pool.slots)


def test_one_that_is_too_many_finishes_its_job_first() -> None:
    story = full(4)
    story.says(0, DONE)
    story.says(0, Empty(10.0))
    story.happens(ScaleAsked(1))
    assert story.says(2, DONE) == [TerminateDispatcher(2)]
    assert [slot.leaving for slot in story.pool.slots] == [False, False, True, False]


def test_without_samples_the_size_is_held() -> None:
    story = pool(8)
    quiet(story, 10)
    story.now += 3600.0
    assert quiet(story, 20) == [8] * 20
    assert quiet(story, 1) == [4]


# An operator's size.


def test_an_operators_size_is_held_until_auto() -> None:
    story = pool(4)
    story.happens(ScaleAsked(8))
    for slot in range(4, 8):
        story.comes_up(slot)
    assert quiet(story, 40) == [8] * 40
    story.happens(ScaleAsked(None))
    assert quiet(story, 21) == [8] * 20 + [4]


def test_a_paused_pool_does_not_grow() -> None:
    story = full(2)
    story.happens(PauseAsked(True))
    story.now += 2.0
    story.says(0, DONE)
    assert spawns(story.sample(900, 1)) == []


# What is learned.


def test_job_seconds_are_learned_from_what_keeps_a_dispatcher() -> None:
    story = full(2, seconds=3.0)
    found = sizing.job_seconds(story.pool, 0)
    assert found == pytest.approx((3.0, 3.0), rel=0.1)
    assert sizing.job_seconds(pool().pool, 0) is None


def test_a_dispatcher_that_dies_at_work_does_not_work_for_ever() -> None:
    story = full(2)
    story.now += 10.0
    story.dies(0)
    story.now += 600.0
    story.sample(0)
    assert story.queue.work.load < 1.01


# Memory.


def test_without_room_for_one_more_job_no_message_is_taken() -> None:
    story = pool(4, most=4)
    story.says(0, Received(5.0))
    story.says(0, large(300.0))
    story.says(1, Received(5.0))  # 0 polls
    story.happens(MemoryMeasured(200.0, 1000.0, {0: 300.0}))
    assert story.log("memory.short").fields == {
        "available_mib": 200.0,
        "job_mib": 300.0,
        "floor_mib": 64.0,
    }
    assert story.says(0, Empty(10.0)) == []
    assert story.happens(MemoryMeasured(363.0, 1000.0, {0: 300.0})) == []
    assert story.states() == [IDLE, WORKING, IDLE, IDLE]
    assert len(sends(story.happens(MemoryMeasured(364.0, 1000.0, {0: 300.0})), GRANT)) == 1
    assert [event for event in story.events() if event.startswith("memory")] == [
        "memory.short",
        "memory.enough",
    ]


def test_the_first_job_is_always_allowed() -> None:
    story = pool(2)
    story.says(0, Received(5.0))
    story.says(0, large(5000.0))
    for slot in range(2):
        if story.slot(slot).state is POLLING:
            story.says(slot, Empty(10.0))
    story.happens(MemoryMeasured(100.0, 1000.0))
    assert story.states().count(POLLING) == 1


def test_the_memory_limits_growth_and_the_reason_says_so() -> None:
    story = full(2)
    story.now += 2.0
    for slot in (0, 1):
        story.says(slot, large(100.0))
        story.says(slot, Received(0.1))
    story.happens(MemoryMeasured(364.0, 1000.0, {0: 100.0, 1: 100.0}))
    story.sample(900, 2)
    assert story.pool.last_resize
    assert story.pool.last_resize.to == 5
    assert story.pool.last_resize.reason.endswith(", memory allows 5")


def test_a_host_that_is_short_of_memory_is_looked_at_again() -> None:
    story = full(1, most=4)
    story.now += 2.0
    story.says(0, large(300.0))
    story.says(0, Received(0.1))
    story.happens(MemoryMeasured(100.0, 1000.0, {0: 300.0}))
    assert story.wakes_at() == story.now + 5.0


# A step that is not allowed changes nothing.


def test_a_sample_before_the_pool_runs_is_no_evidence() -> None:
    story = Story(pool(8).config)
    story.tick()
    story.sample(0)
    assert story.pool.desired == 8
    assert story.pool.sizing.needs == ()


def test_grants_stay_within_the_room() -> None:
    story = pool(8, most=8)
    story.says(0, Received(0.1))
    story.now = 2.0
    for slot in range(8):
        if story.slot(slot).state is POLLING:
            story.says(slot, Empty(10.0))
    story.says(0, large(100.0))
    story.happens(MemoryMeasured(364.0, 1000.0))
    story.sample(1000)
    assert story.states().count(POLLING) == 3


def test_the_first_message_of_a_burst_may_come_late_into_an_open_poll() -> None:
    assert OrderScout(SampleDepth()) in waiting(1).says(0, Received(9.0))
