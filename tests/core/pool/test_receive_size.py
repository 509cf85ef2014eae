"""--batch-size: how many are asked for, and the books of those that one dispatcher has in hand."""

from dataclasses import replace

import pytest

from fleet.core.depth import Depth
from fleet.core.outcomes import Exit, Settlement
from fleet.core.pool.effects import Send
from fleet.core.pool.events import Died, Ended
from fleet.core.pool.orphan import Orphan
from fleet.core.pool.receive_size import receive_size
from fleet.core.pool.state import IllegalEvent, PoolPhase
from fleet.core.protocol import Empty, Grant, Held, PollFailed, Received, Report, Settled
from fleet.core.slot_state import State
from tests.core.pool.story import DONE, FREE, KILLED, RELEASED, STARVED, Story, running
from tests.support.queues import change_queue

IDLE, POLLING, WORKING, HOLDING = State.IDLE, State.POLLING, State.WORKING, State.HOLDING


def at(place: int, report: Settled) -> Settled:
    return replace(report, place=place)


def grants(story: Story) -> list[int]:
    """What each slot's open poll may bring."""
    return [slot.asked for slot in story.pool.slots]


def batch(count: int, workers: int = 1, **options: int) -> Story:
    """A pool whose first dispatcher has that many messages in hand."""
    story = running(workers, batch_size=10, **options)
    story.says(0, Received(0.1, count))
    return story


# How many.


@pytest.mark.parametrize(
    ("workers", "visible", "asked"),
    [
        (1, 0, 1),
        (1, 5, 5),
        (1, 10, 10),
        (1, 1000, 10),
        (4, 3, 1),
        (4, 4, 1),
        (4, 8, 2),
        (4, 9, 3),
        (4, 1000, 10),
    ],
)
def test_nobody_asks_for_more_than_his_share(workers: int, visible: int, asked: int) -> None:
    pool = running(workers, batch_size=10).pool
    quiet = tuple(replace(slot, asked=0) for slot in pool.slots)
    pool = replace(pool, slots=quiet)
    assert receive_size(change_queue(pool, 0, depth=Depth(visible, 0, 0)), 0) == asked


def test_what_has_been_taken_since_the_sample_does_not_count() -> None:
    story = running(1, batch_size=10)
    story.sample(12)
    story.says(0, Received(0.1, 1))
    assert receive_size(story.pool, 0) == 10
    story.says(0, DONE)
    assert grants(story) == [10]
    story.says(0, Received(0.1, 10))
    assert receive_size(story.pool, 0) == 1
    story.sample(3)
    assert receive_size(story.pool, 0) == 3


def test_without_batches_or_a_sample_one_is_asked_for() -> None:
    story = running(1)
    story.sample(1000)
    assert receive_size(story.pool, 0) == 1
    assert receive_size(running(1, batch_size=10).pool, 0) == 1


def test_no_more_than_max_jobs_in_all_open_polls() -> None:
    story = running(3, batch_size=10, max_jobs=13)
    story.sample(1000)
    assert grants(story) == [1, 10, 2]
    story.says(1, Received(0.1, 4))
    for place in range(4):
        story.says(1, at(place, DONE))
    assert grants(story) == [1, 6, 2]  # 4 are done, 9 may come


def test_a_host_without_processes_tries_one_at_a_time() -> None:
    """Each try costs a message one of its attempts."""
    story = running(1, batch_size=10)
    story.sample(1000)
    story.says(0, Received(0.1))
    story.says(0, STARVED)
    assert receive_size(story.pool, 0) == 1
    story.tick(60.0)
    assert grants(story) == [1]
    story.says(0, Received(0.1))
    story.says(0, DONE)
    assert grants(story) == [10]


# What receives say beyond the sample.


def receives(story: Story, slot: int, count: int, took: float = 0.1) -> None:
    """The slot's poll brings so many messages, which are done at once."""
    story.says(slot, Received(took, count))
    for place in range(count):
        story.says(slot, at(place, DONE))


def after_a_run(workers: int = 1) -> Story:
    """A pool whose receives have brought as many as they were asked for, until they ask for ten."""
    story = running(workers, batch_size=10)
    while (asked := story.slot(0).asked) < 10:
        receives(story, 0, asked)
    return story


def test_the_smallest_batch_is_of_two() -> None:
    story = running(1, batch_size=2)
    story.sample(1000)
    assert receive_size(story.pool, 0) == 2


def test_full_receives_double_what_the_next_one_asks_for() -> None:
    story, asked = running(1, batch_size=10), list[int]()
    for _ in range(7):
        asked += grants(story)
        receives(story, 0, asked[-1])
    assert asked == [1, 1, 2, 4, 8, 10, 10]


def test_a_second_message_is_for_those_who_could_all_have_had_one() -> None:
    """Four messages taken by four dispatchers say nothing of a fifth; the fifth one does."""
    story = running(4, batch_size=10)
    for slot in range(4):
        story.says(slot, Received(0.1))
    story.says(0, DONE)
    assert grants(story) == [1, 0, 0, 0]
    receives(story, 0, 1)
    assert grants(story) == [2, 0, 0, 0]
    story.says(1, DONE)
    assert grants(story) == [2, 2, 0, 0]


def test_many_idle_dispatchers_take_one_each_of_few_messages() -> None:
    story = running(4, batch_size=10)
    for slot in range(4):
        assert story.slot(slot).asked == 1
        story.says(slot, Received(0.1))
    assert story.states() == [WORKING] * 4


@pytest.mark.parametrize(("brought", "then"), [(9, 9), (3, 3), (1, 1)])
def test_a_short_receive_brings_the_size_down_to_what_it_brought(brought: int, then: int) -> None:
    story = after_a_run()
    receives(story, 0, brought)
    assert grants(story) == [then]


def test_a_short_receive_brings_the_size_down_for_all() -> None:
    story = after_a_run(2)
    assert grants(story) == [10, 1]
    receives(story, 0, 4)
    receives(story, 1, 1)  # full
    assert grants(story) == [4, 5]


def test_a_short_receive_does_not_contradict_the_sample() -> None:
    """SQS may bring fewer than there are."""
    story = running(1, batch_size=10)
    story.sample(20)
    receives(story, 0, 1)
    assert grants(story) == [10]
    receives(story, 0, 3)
    assert grants(story) == [10]


@pytest.mark.parametrize(
    "report", [Empty(0.1), Empty(10.0), PollFailed("no answer", False, False, True, 0.1)]
)
def test_a_receive_without_a_message_ends_the_run(report: Report) -> None:
    story = after_a_run()
    story.says(0, report)
    assert receive_size(story.pool, 0) == 1
    story.tick(60.0)
    assert grants(story) == [1]
    receives(story, 0, 1)
    assert grants(story) == [1]  # a new run


def test_a_message_that_was_waited_for_ends_the_run() -> None:
    """The queue was empty before it came."""
    story = after_a_run()
    receives(story, 0, 10, took=1.0)
    assert grants(story) == [1]
    receives(story, 0, 1)
    assert grants(story) == [1]  # a new run


def test_a_sample_ends_the_run_and_says_itself_what_there_is() -> None:
    story = after_a_run()
    story.sample(14)
    assert receive_size(story.pool, 0) == 4  # the open poll may bring ten
    receives(story, 0, 10)
    assert grants(story) == [4]
    receives(story, 0, 4)
    assert grants(story) == [1]  # used up
    receives(story, 0, 1)
    receives(story, 0, 1)
    assert grants(story) == [2]  # two more than it counted


def test_what_the_sample_counted_is_no_run() -> None:
    story = running(1, batch_size=10)
    story.sample(3)
    receives(story, 0, 1)
    assert grants(story) == [2]
    receives(story, 0, 2)
    assert grants(story) == [1]


def test_a_receive_is_full_that_brings_what_max_jobs_allowed() -> None:
    story = running(1, batch_size=10, max_jobs=6)
    for asked in (1, 1, 2):
        receives(story, 0, asked)
    assert grants(story) == [2]
    receives(story, 0, 2)
    assert story.is_in(PoolPhase.DRAINING)


def test_a_run_does_not_make_single_messages_more() -> None:
    story = running(1)
    for _ in range(20):
        receives(story, 0, 1)
    assert grants(story) == [1]


# In hand.


def test_it_is_idle_after_the_last_one() -> None:
    story = batch(3)
    assert (story.states(), story.slot(0).places, story.pool.counts.received) == (
        [WORKING],
        (0, 1, 2),
        3,
    )
    assert story.says(0, at(0, DONE)) == []
    assert story.says(0, at(2, RELEASED)) == []
    assert (story.states(), story.slot(0).places) == ([WORKING], (1,))
    assert story.says(0, at(1, DONE)) == [Send(0, Grant(3))]
    assert story.pool.counts.in_hand == 0


def test_the_end_of_one_does_not_answer_for_another() -> None:
    story = running(2, batch_size=10)
    story.says(0, Received(5.0, 2))
    assert story.states() == [WORKING, POLLING]
    story.stop()
    assert story.says(0, Held()) == []  # the other poll could swallow what is released
    assert story.says(0, at(0, DONE)) == []
    assert story.states() == [HOLDING, POLLING]
    assert Send(0, FREE) in story.says(1, Empty(5.0))
    story.says(0, at(1, RELEASED))
    assert story.states() == [IDLE, IDLE]


@pytest.mark.parametrize("place", [1, 2, 9, -1])
def test_nobody_settles_what_he_has_not(place: int) -> None:
    story = batch(2)
    story.says(0, at(1, DONE))
    with pytest.raises(IllegalEvent):
        story.says(0, at(place, DONE))


# A death.


def orphan(
    place: int, name: str, intent: Settlement | None = None, exit_: Exit | None = None
) -> Orphan:
    return Orphan(name, 1, "handle", 60.0, 0, intent, exit_, place)


def dies(story: Story, *orphans: Orphan, settled: dict[int, Settlement] | None = None) -> None:
    story.happens(Ended(0))
    story.happens(Died(0, KILLED, "SIGKILL", orphans, settled or {}))


def test_each_is_settled_by_its_own_record() -> None:
    story = batch(4)
    dies(
        story,
        orphan(0, "zero", exit_=Exit(code=0)),
        orphan(1, "one"),
        orphan(3, "three", Settlement.RELEASE),
        settled={2: Settlement.RELEASE},
    )
    assert {each.order.message_id: each.order.settlement for each in story.pool.recoveries} == {
        "zero": Settlement.DELETE,
        "one": Settlement.RELEASE,
    }
    assert (story.pool.counts.released, story.pool.counts.left, story.pool.counts.in_hand) == (
        1,
        1,
        2,
    )


def test_what_was_told_is_not_booked_again() -> None:
    story = batch(3)
    story.says(0, at(0, DONE))
    dies(story, orphan(1, "one"), orphan(2, "two"), settled={0: Settlement.DELETE})
    assert [each.order.message_id for each in story.pool.recoveries] == ["one", "two"]
    assert (story.pool.counts.deleted, story.pool.counts.in_hand) == (1, 2)


def test_one_that_nobody_knows_of_is_left() -> None:
    story = batch(2)
    dies(story, orphan(0, "zero"))
    assert (story.pool.counts.left, story.pool.counts.in_hand) == (1, 1)


def test_a_poll_that_had_come_home_untold_brought_all_that_is_written() -> None:
    story = running(1, batch_size=10)
    story.sample(10)
    assert story.states() == [POLLING]
    dies(story, orphan(0, "zero"), orphan(1, "one"), settled={2: Settlement.DELETE})
    assert (story.pool.counts.received, story.pool.counts.polls) == (2, 1)
    assert len(story.pool.recoveries) == 2
    assert not story.queue.dead_polls
    assert story.is_in(PoolPhase.RUNNING)


def test_what_such_a_poll_brought_and_nobody_can_settle_is_told() -> None:
    story = running(1, batch_size=10)
    story.sample(10)
    dies(story, orphan(0, "zero", Settlement.RELEASE), orphan(1, "one"))
    assert story.log("message.left").fields["message_id"] == "zero"
    assert (story.pool.counts.left, story.pool.counts.in_hand) == (1, 1)
