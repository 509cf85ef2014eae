"""The size of a pool of several queues: a round of samples, and what each queue asks for."""

from dataclasses import replace
from typing import Any

import pytest

from fleet.core.config import Config
from fleet.core.depth import Depth
from fleet.core.pool import job_memory, sizing
from fleet.core.pool.effects import OrderScout
from fleet.core.pool.events import DispatcherSaid, MemoryMeasured, Tick
from fleet.core.pool.slot import Slot
from fleet.core.protocol import Received
from fleet.core.scout_protocol import SampleDepth
from fleet.core.sizing.workload import Workload
from fleet.core.slot_state import State
from tests.core.pool.queues_story import HIGH, LOW, Queues
from tests.core.pool.story import DONE

BOUNDS = Config(min_workers=1, max_workers=64, depth_interval=15.0)
LEARNED = Workload(worked=2000.0, finished=1000.0)  # jobs of two seconds


def full(workers: int, *given: dict[str, Any], queue: int = LOW) -> Queues:
    """Every dispatcher is busy with a message of one queue."""
    queues = Queues(workers, given or ({}, {}), config=BOUNDS)
    slots = [Slot(n, State.WORKING, places=(0,), queue=queue, born=0.0) for n in range(workers)]
    queues.pool = replace(queues.pool, slots=tuple(slots))
    for place in (HIGH, LOW):
        queues.knows(place, work=LEARNED)
    return queues


def resized(queues: Queues) -> list[tuple[int, str]]:
    return [
        (log.fields["to"], log.fields["reason"])
        for log in queues.logged
        if log.event == "pool.resized"
    ]


def test_the_reason_names_the_queue_that_asked() -> None:
    queues = full(4)
    queues.sample(HIGH, 0)
    queues.sample(LOW, 120)
    assert resized(queues) == [(8, "low: 120 visible × 2 s / 30 s = 8")]


def test_all_queues_ask_by_their_own_options() -> None:
    queues = full(8, {"config": replace(BOUNDS, target_wait=12.0)}, {})
    queues.sample(HIGH, 15)
    queues.sample(LOW, 74)
    assert resized(queues) == [(10, "high: 15 visible × 2 s / 6 s = 5; 10 for all queues")]


def test_a_round_of_samples_is_one_step() -> None:
    queues = full(2)
    for moment, then in ((0.0, 6), (15.0, 12), (30.0, 24)):
        queues.now = moment
        before = queues.pool.desired
        queues.sample(HIGH, 1000)
        assert queues.pool.desired == before, "the other one is still to come"
        queues.sample(LOW, 1000)
        assert queues.pool.desired == then
        slots = [Slot(n, State.WORKING, places=(0,), born=0.0) for n in range(then)]
        queues.pool = replace(queues.pool, slots=tuple(slots))


def test_a_queue_whose_counts_cannot_be_read_holds_up_nothing() -> None:
    queues = full(4)
    queues.sample(LOW, 120)
    assert queues.pool.desired == 4, "the first one has time until the next round"
    queues.now = 15.0
    queues.sample(LOW, 120)
    assert queues.pool.desired == 8


def test_nor_does_one_that_cannot_be_used() -> None:
    queues = full(4)
    queues.knows(HIGH, usable=False)
    queues.sample(LOW, 120)
    assert queues.pool.desired == 8


@pytest.mark.parametrize("changes", [{"paused": True}, {"usable": False}])
def test_what_may_not_be_received_asks_for_nobody(changes: dict[str, Any]) -> None:
    queues = full(4)
    queues.knows(LOW, **changes)
    queues.sample(LOW, 120)
    queues.sample(HIGH, 0)
    assert queues.pool.desired == 4


def test_a_limit_is_all_that_a_queue_asks_for() -> None:
    queues = full(4, {}, {"limit": 5.0})
    queues.sample(HIGH, 15)
    queues.sample(LOW, 300)
    assert queues.pool.desired == 6


def test_work_for_another_queue_is_no_share_in_this_one() -> None:
    """Two of four are busy with it, and two messages of it are in others' hands."""
    queues = full(4, queue=HIGH)
    slots = [replace(slot, queue=slot.number % 2) for slot in queues.pool.slots]
    queues.pool = replace(queues.pool, slots=tuple(slots))
    queues.sample(HIGH, 0, 2)
    queues.sample(LOW, 240, 4)
    assert resized(queues) == [(8, "low: 240 visible × 50.0% ours × 2 s / 30 s = 8")]


def test_messages_in_hand_of_another_queue_are_others_work_here() -> None:
    queues = full(2)
    batch = replace(queues.pool.slots[0], queue=HIGH, places=(0, 1, 2, 3, 4, 5, 6, 7))
    queues.pool = replace(queues.pool, slots=(batch, queues.pool.slots[1]))
    queues.sample(HIGH, 0, 8)
    queues.sample(LOW, 300, 5)
    assert resized(queues) == [(4, "low: 300 visible × 20.0% ours × 2 s / 30 s = 4")]


def test_a_sample_is_asked_for_when_any_queue_may_need_more() -> None:
    queues = Queues(1, config=BOUNDS)
    queues.at(0.0)
    queues.now = 5.0
    sampled = OrderScout(SampleDepth())
    assert sampled not in queues.happens(DispatcherSaid(0, Received(0.1))), "nothing is known"
    queues.done(0)
    queues.knows(LOW, depth=Depth(0, 0))
    assert sampled in queues.happens(DispatcherSaid(0, Received(0.1)))


def test_how_busy_a_queue_keeps_the_pool_is_averaged_over_its_own_target_wait() -> None:
    queues = full(2, {"config": replace(BOUNDS, target_wait=1.0)}, {})
    slots = [replace(slot, queue=slot.number) for slot in queues.pool.slots]
    queues.pool = replace(queues.pool, slots=tuple(slots))
    queues.now = 10.0
    queues.happens(Tick())
    high, low = (queue.work for queue in queues.pool.queues)
    assert high.load == pytest.approx(1.0, abs=0.001)
    assert low.load == pytest.approx(0.154, abs=0.001)
    assert (high.worked_total, low.worked_total) == (10.0, 10.0)
    assert sizing.busy_with(queues.pool, LOW) == 1


# Memory.


def test_the_memory_limits_growth_by_the_jobs_that_wait() -> None:
    queues = full(2)
    queues.knows(HIGH, jobs_mib=(500.0,))
    queues.knows(LOW, jobs_mib=(100.0,))
    queues.happens(MemoryMeasured(364.0, 1000.0, {0: 100.0, 1: 100.0}))
    queues.sample(HIGH, 0)
    queues.sample(LOW, 900)
    assert resized(queues) == [(5, "low: 900 visible × 2 s / 30 s = 60, memory allows 5")]


def test_room_is_for_the_smallest_jobs_that_wait() -> None:
    queues = full(1)
    queues.happens(MemoryMeasured(364.0, 1000.0, {0: 30.0}))
    for place, mib in ((HIGH, 100.0), (LOW, 30.0)):
        queues.knows(place, depth=Depth(1, 0), jobs_mib=(mib,))
    assert job_memory.room(queues.pool) == 10
    queues.knows(LOW, paused=True)
    assert job_memory.room(queues.pool) == 3
    queues.knows(HIGH, jobs_mib=())
    assert job_memory.room(queues.pool) is None, "nobody knows what its jobs need"
    queues.knows(HIGH, jobs_mib=(100.0,), depth=Depth(0, 5))
    assert job_memory.room(queues.pool) is None, "nothing waits"


def test_what_a_poll_may_bring_takes_no_room_from_a_growing_pool() -> None:
    queues = full(1)
    polling = Slot(1, State.POLLING, queue=LOW, asked=1, born=0.0)
    queues.pool = replace(queues.pool, slots=(*queues.pool.slots, polling))
    queues.knows(LOW, depth=Depth(9, 0), jobs_mib=(100.0,))
    queues.happens(MemoryMeasured(364.0, 1000.0, {0: 100.0}))
    assert job_memory.room(queues.pool) == 3


def test_a_job_says_what_it_needed_of_its_own_queue() -> None:
    queues = full(2)
    queues.says(0, replace(DONE, max_rss_mib=77.0))
    assert [queue.jobs_mib for queue in queues.pool.queues] == [(), (77.0,)]
