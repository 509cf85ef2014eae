"""Which queue of several the grants are for, and what of the pool the choice is made by.

The choice itself has its own tests (tests/core/scheduling).
"""

from dataclasses import replace
from math import inf
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.core.config import Config
from fleet.core.outcomes import Exit
from fleet.core.poll_cuts import Cuts
from fleet.core.polling import Polling
from fleet.core.pool.effects import Send
from fleet.core.pool.events import Died, LimitAsked, MemoryMeasured, PauseAsked
from fleet.core.pool.grants import grant_polls
from fleet.core.pool.orphan import Orphan
from fleet.core.pool.queue_scenes import pool_scene
from fleet.core.pool.slot import Slot
from fleet.core.pool.state import HelperState, PoolPhase, Role
from fleet.core.protocol import Grant, PollFailed
from fleet.core.scheduling import LOOK, Answer, Evidence, is_quiet
from fleet.core.sizing.workload import Workload
from fleet.core.slot_state import State
from tests.core.pool.queues_story import HIGH, LOW, Queues
from tests.core.pool.story import helper_ready

CUT = PollFailed("no answer", unanswered=True, answered=False, took=5.0)
EMPTY = Evidence(Answer.EMPTY, home_at=-60.0)
WEIGHTS = ({"weight": 3.0}, {"weight": 1.0})


# The order.


def test_an_idle_pool_keeps_a_long_poll_open_on_each_queue() -> None:
    queues = Queues(3)
    assert queues.at(0.0) == [(0, HIGH, inf)]
    assert queues.wakes_at() == 0.25, "then the poll would have brought a message"
    assert queues.at(0.25) == [(1, LOW, inf)]
    assert queues.states() == [State.POLLING, State.POLLING, State.IDLE]
    queues.now = 10.0
    assert queues.empty(0) == [(0, HIGH, inf)]
    assert queues.empty(1) == [(1, LOW, inf)]


def test_one_dispatcher_looks_at_each_queue_in_turn() -> None:
    queues = Queues(1)
    assert queues.at(0.0) == [(0, HIGH, LOOK)]
    for second, place in enumerate((LOW, HIGH, LOW, HIGH), start=1):
        queues.now = float(second)
        assert queues.empty(0) == [(0, place, LOOK)]


def test_a_hit_on_the_high_queue_takes_the_dispatchers_as_they_become_free() -> None:
    queues = Queues(3)
    for place in (HIGH, LOW):
        queues.knows(place, evidence=EMPTY)
    assert queues.at(0.0) == [(0, HIGH, inf), (1, LOW, inf)]
    assert queues.hit(1) == [(2, LOW, inf)]
    assert queues.hit(0) == []
    assert queues.done(1) == [(1, HIGH, LOOK)], "though the low one has messages"
    assert queues.hit(2) == []
    assert queues.done(2) == [(2, HIGH, LOOK)]


def test_a_lower_queue_waits_for_a_poll_of_the_higher_one_that_never_came_home() -> None:
    """Its dispatcher died: what the poll before it said is outdated."""
    queues = Queues(3)
    queues.knows(HIGH, evidence=EMPTY)
    queues.knows(LOW, usable=False)
    assert queues.at(0.0) == [(0, HIGH, inf)]
    queues.knows(LOW, usable=True)
    queues.now = 5.0
    assert queues.grants(Died(0, Exit(signal=9), "SIGKILL")) == [(1, HIGH, inf)]
    assert queues.at(5.25) == [(2, LOW, inf)]


def test_nor_does_one_know_after_a_death_that_hid_its_answer() -> None:
    queues = Queues(2)
    queues.knows(HIGH, evidence=EMPTY)
    queues.at(0.0)
    orphan = Orphan("m", 1, "handle", 60.0, 0, None, None, 0, HIGH)
    queues.happens(Died(0, Exit(signal=9), "SIGKILL", (orphan,)))
    assert queues.pool.queues[HIGH].evidence.newest is Answer.NONE


def test_what_polls_and_samples_say_is_noted_of_their_queue() -> None:
    queues = Queues(2)
    for place in (HIGH, LOW):
        queues.knows(place, evidence=EMPTY)
    queues.at(0.0)
    queues.now = 5.0
    queues.hit(1)
    assert queues.pool.queues[LOW].evidence == Evidence(Answer.MESSAGE, 5.0, 0.0)
    queues.now = 10.0
    queues.empty(0)
    assert queues.pool.queues[HIGH].evidence == Evidence(Answer.EMPTY, 10.0, 0.0)
    queues.now = 12.0
    assert queues.polled() == [LOW]
    queues.says(0, PollFailed("no route"))
    assert queues.pool.queues[HIGH].evidence.newest is Answer.EMPTY
    assert queues.pool.queues[LOW].evidence == Evidence(Answer.NONE, 12.0, 10.0)


@pytest.mark.parametrize("has_poll", [False, True])
def test_a_sample_outdates_an_empty_answer_where_no_poll_is_open(has_poll: bool) -> None:
    queues = Queues(1)
    queues.knows(LOW, evidence=EMPTY)
    queues.at(0.0)
    queues.hit(0)
    if has_poll:
        polling = Slot(1, State.POLLING, queue=LOW, asked=1)
        queues.pool = replace(queues.pool, slots=(*queues.pool.slots, polling))
    queues.sample(LOW, 5)
    newest = queues.pool.queues[LOW].evidence.newest
    assert newest is (Answer.EMPTY if has_poll else Answer.NONE)


def test_a_poll_that_fell_silent_brings_nothing_that_a_sample_counts() -> None:
    queues = Queues(1)
    silent = Slot(0, State.POLLING, queue=LOW, asked=1, silent_since=20.0)
    queues.pool = replace(queues.pool, slots=(silent,))
    queues.knows(LOW, evidence=EMPTY)
    queues.sample(LOW, 5)
    assert queues.pool.queues[LOW].evidence.newest is Answer.NONE


def test_nor_does_a_poll_on_another_queue() -> None:
    queues = Queues(1)
    polling = Slot(0, State.POLLING, queue=HIGH, asked=1)
    queues.pool = replace(queues.pool, slots=(polling,))
    queues.knows(LOW, evidence=EMPTY)
    queues.sample(LOW, 5)
    assert queues.pool.queues[LOW].evidence.newest is Answer.NONE


def test_a_starved_queue_is_let_through_once() -> None:
    queues = Queues(1, config=Config(starve_after=60.0))
    queues.at(0.0)
    queues.hit(0)
    queues.now = 59.0
    assert queues.done(0) == [(0, HIGH, LOOK)]
    queues.hit(0)
    queues.now = 61.0
    assert queues.done(0) == [(0, LOW, LOOK)]
    queues.hit(0)
    assert queues.done(0) == [(0, HIGH, LOOK)]


def test_a_queue_may_starve_from_when_the_pool_runs() -> None:
    queues = Queues(1)
    queues.pool = replace(queues.pool, phase=PoolPhase.BOOTING, template=HelperState(alive=True))
    queues.now = 100.0
    queues.happens(helper_ready(Role.TEMPLATE))
    assert queues.is_in(PoolPhase.RUNNING)
    assert [queue.evidence.granted_at for queue in queues.pool.queues] == [100.0, 100.0]


# What may be polled.


@pytest.mark.parametrize(
    "changes",
    [
        {"paused": True},
        {"usable": False},
        {"polling": Polling(not_before=5.0)},
        {"limit": 1, "counts": None},
    ],
    ids=lambda each: next(iter(each)),
)
def test_a_queue_that_may_not_be_polled_holds_back_nobody(changes: dict[str, Any]) -> None:
    queues = Queues(2)
    if "counts" in changes:
        queues.pool = replace(
            queues.pool,
            slots=(Slot(0, State.WORKING, places=(0,)), queues.pool.slots[1]),
        )
        changes = {"limit": 1}
    queues.knows(HIGH, **changes)
    assert {place for _, place, _ in queues.at(0.0)} == {LOW}


def test_a_paused_pool_polls_none_of_its_queues() -> None:
    queues = Queues(2)
    assert queues.grants(PauseAsked(True)) == []
    assert queues.wakes_at() == inf
    assert queues.grants(PauseAsked(False)) != []


def test_no_more_jobs_run_than_the_limit_allows() -> None:
    queues = Queues(4, ({}, {"limit": 2.0}))
    queues.knows(HIGH, evidence=EMPTY)
    queues.at(0.0)
    slots = [slot.number for slot in queues.pool.slots if slot.queue == LOW]
    while slots:
        slots = [slot for slot, place, _ in queues.hit(slots[0]) if place == LOW]
    assert queues.worked_on() == [LOW, LOW]
    assert queues.pool.queues[LOW].polling.allowed == 2
    queues.sample(LOW, 100)
    assert queues.worked_on() + [each for each in queues.polled() if each == LOW] == [LOW, LOW]
    assert queues.pool.queues[LOW].polling.allowed == 2
    assert any(place == LOW for _, place, _ in queues.grants(LimitAsked(LOW, 3)))


def test_a_poll_that_fell_silent_may_still_bring_a_job_of_a_limited_queue() -> None:
    queues = Queues(3, ({"limit": 1.0}, {}))
    silent = Slot(0, State.POLLING, queue=HIGH, asked=1, silent_since=20.0)
    queues.pool = replace(queues.pool, slots=(silent, *queues.pool.slots[1:]))
    assert {place for _, place, _ in queues.at(0.0)} == {LOW}


def test_a_burst_takes_no_dispatcher_for_messages_that_its_limit_forbids() -> None:
    """Of 20 messages two dispatchers at a time take ten each, not one each for twenty."""
    queues = Queues(20, ({"config": Config(batch_size=10), "limit": 2.0}, {}))
    queues.sample(HIGH, 20)
    asked = [slot.asked for slot in queues.pool.slots if slot.queue == HIGH and slot.asked]
    assert asked == [10, 10]


def test_max_jobs_counts_over_all_queues() -> None:
    queues = Queues(4, config=Config(max_jobs=3))
    queues.sample(HIGH, 2)
    queues.sample(LOW, 10)
    assert queues.polled() == [HIGH, HIGH]
    queues.at(0.25)
    assert queues.polled() == [HIGH, HIGH, LOW]
    assert queues.at(1.0) == []


def test_one_choice_leaves_no_more_than_max_jobs_for_the_next() -> None:
    queues = Queues(4, config=Config(max_jobs=2))
    queues.knows(HIGH, polling=Polling(allowed=4))
    assert [place for _, place, _ in queues.at(0.0)] == [HIGH, HIGH]


# Polls.


def test_the_length_of_a_look_is_told_and_remembered() -> None:
    queues = Queues(1)
    queues.at(0.0)
    assert queues.pool.slots[0].longest == LOOK
    assert not pool_scene(queues.pool, 0.0).queues[HIGH].has_long_poll
    queues = Queues(3)
    queues.at(0.0)
    assert pool_scene(queues.pool, 0.0).queues[HIGH].has_long_poll


def test_a_look_is_no_longer_than_polls_that_are_not_cut() -> None:
    cuts = replace(Polling().cuts, longest=4.0, again_at=600.0)
    queues = Queues(1)
    queues.knows(HIGH, polling=Polling(cuts=cuts))
    assert queues.at(0.0) == [(0, HIGH, LOOK)]
    queues = Queues(3)
    queues.knows(HIGH, polling=Polling(cuts=cuts))
    assert queues.at(0.0) == [(0, HIGH, 4.0)]
    assert not pool_scene(queues.pool, 0.0).queues[LOW].has_long_poll


def test_a_look_is_no_trial_of_a_longer_poll() -> None:
    cuts = replace(Polling().cuts, longest=4.0, again_at=0.0)
    queues = Queues(1)
    queues.knows(HIGH, polling=Polling(cuts=cuts))
    assert queues.at(0.0) == [(0, HIGH, LOOK)]
    assert not queues.pool.queues[HIGH].polling.cuts.tried
    queues = Queues(3)
    queues.knows(HIGH, polling=Polling(cuts=cuts))
    assert queues.at(0.0) == [(0, HIGH, inf)]
    assert queues.pool.queues[HIGH].polling.cuts.tried


def test_a_dispatcher_that_is_connected_to_the_queue_goes_before_others() -> None:
    queues = Queues(3)
    slots = queues.pool.slots
    queues.pool = replace(queues.pool, slots=(*slots[:2], replace(slots[2], queue=LOW)))
    queues.knows(HIGH, evidence=EMPTY)
    assert queues.at(0.0) == [(0, HIGH, inf), (2, LOW, inf)]


def test_dispatchers_that_leave_or_are_killed_get_no_grant() -> None:
    queues = Queues(3)
    first, second, third = queues.pool.slots
    changed = (replace(first, leaving=True), replace(second, killed=True), third)
    queues.pool = replace(queues.pool, slots=changed)
    assert [slot for slot, _, _ in queues.at(0.0)] == [2]


# Memory.


def test_a_large_job_of_the_high_queue_holds_back_the_small_ones_behind_it() -> None:
    queues = Queues(3)
    queues.knows(HIGH, jobs_mib=(500.0,))
    queues.knows(LOW, jobs_mib=(10.0,), evidence=EMPTY)
    working = Slot(0, State.WORKING, places=(0,), queue=LOW)
    queues.pool = replace(queues.pool, slots=(working, *queues.pool.slots[1:]))
    assert queues.grants(MemoryMeasured(364.0, 1000.0, {0: 10.0})) == []
    assert queues.logged[-1].event == "memory.short"
    assert queues.logged[-1].fields["queue"] == "high"
    assert queues.logged[-1].fields["job_mib"] == 500.0
    assert queues.wakes_at() == 5.0, "it is measured again"
    queues.knows(HIGH, evidence=EMPTY)
    assert [each[1] for each in queues.at(0.1)] == [LOW]
    queues.now = 1.0
    assert [each[1] for each in queues.grants(MemoryMeasured(700.0, 1000.0, {0: 10.0}))] == [HIGH]
    assert queues.logged[-1].event == "memory.enough"


def test_each_poll_may_bring_a_job_of_its_own_queue() -> None:
    queues = Queues(4)
    queues.knows(HIGH, jobs_mib=(100.0,), evidence=EMPTY)
    queues.knows(LOW, jobs_mib=(30.0,), polling=Polling(allowed=4))
    queues.happens(MemoryMeasured(230.0, 1000.0))  # 64 stay free
    assert sorted(queues.polled()) == [HIGH, LOW, LOW]
    assert queues.at(0.1) == [], "nor does another step give more"


def test_the_first_job_of_a_pool_is_always_allowed() -> None:
    queues = Queues(2)
    queues.knows(HIGH, jobs_mib=(5000.0,))
    assert [each[1] for each in queues.grants(MemoryMeasured(364.0, 1000.0))] == [HIGH]
    assert queues.logged == [], "nothing waits for memory"


def test_a_queue_that_is_paused_does_not_wait_for_memory() -> None:
    queues = Queues(1)
    queues.knows(HIGH, jobs_mib=(5000.0,), paused=True)
    queues.at(0.0)
    queues.happens(MemoryMeasured(364.0, 1000.0))
    assert queues.logged == []


def test_what_running_jobs_have_is_a_measure_of_their_own_queue() -> None:
    queues = Queues(2)
    slots = tuple(Slot(place, State.WORKING, places=(0,), queue=place) for place in (HIGH, LOW))
    queues.pool = replace(queues.pool, slots=slots)
    queues.happens(MemoryMeasured(364.0, 1000.0, {0: 200.0, 1: 50.0, 7: 900.0}))
    scene = pool_scene(queues.pool, 0.0)
    assert [queue.job_mib for queue in scene.queues] == [200.0, 50.0]
    assert scene.memory_mib == 300.0
    # One that began since then has everything still to take, and is not what was measured.
    newer = (slots[0], replace(slots[1], since=1.0))
    assert pool_scene(replace(queues.pool, slots=newer), 1.0).queues[LOW].job_mib == 0
    queues.knows(LOW, jobs_mib=(50.0,))
    queues.pool = replace(queues.pool, slots=newer)
    assert pool_scene(queues.pool, 1.0).memory_mib == 250.0


# Weights.


def test_job_time_is_what_jobs_have_taken_and_what_is_to_be_expected() -> None:
    queues = Queues(4, WEIGHTS)
    work = Workload(at=10.0, worked=40.0, worked_total=50.0, finished=20.0, finished_total=20)
    queues.knows(HIGH, work=work)
    slots = (
        Slot(0, State.WORKING, since=9.5, places=(0, 1)),  # two of 2 s, 0.5 s are over
        Slot(1, State.WORKING, since=1.0, places=(0,)),  # longer than usual
        Slot(2, State.POLLING, since=9.0),
        Slot(3, State.POLLING, since=9.0, silent_since=9.5),
    )
    queues.pool = replace(queues.pool, slots=slots)
    scene = pool_scene(queues.pool, 10.0)
    high, low = scene.queues
    assert scene.weighted
    assert high.job_seconds == 2.0
    assert high.job_time == pytest.approx(50.0 + 3.5 + 0.0 + 2 * 2.0)
    assert (high.weight, low.weight) == (3.0, 1.0)
    assert low.job_time == 0.0


def test_weights_share_the_job_time_of_queues_that_are_full() -> None:
    """Two dispatchers; each job of high takes 0.5 s, each of low 2 s."""
    queues = Queues(2, WEIGHTS)
    ends: dict[int, float] = {}
    queues.at(0.0)
    while queues.now < 400.0:
        for slot in [each for each in queues.pool.slots if each.state is State.POLLING]:
            queues.hit(slot.number, 0.01)
            ends[slot.number] = queues.now + (0.5 if slot.queue == HIGH else 2.0)
        number = min(ends, key=lambda each: ends[each])
        queues.now = ends.pop(number)
        queues.done(number)
    had = [queue.work.worked_total for queue in queues.pool.queues]
    assert sum(had) == pytest.approx(800.0, abs=4.0)
    assert had[HIGH] == pytest.approx(600.0, abs=4.0), "three quarters, up to two jobs"


def test_the_time_that_running_jobs_have_taken_counts_up_to_the_grant() -> None:
    """Whatever has led to it: here an operator's word, of which no dispatcher's time is counted."""
    queues = Queues(2, WEIGHTS)
    working = Slot(0, State.WORKING, places=(0,), queue=HIGH, born=0.0)
    queues.pool = replace(queues.pool, slots=(working, queues.pool.slots[1]), paused=True)
    queues.now = 50.0
    queues.happens(PauseAsked(False))
    assert queues.pool.queues[HIGH].work.worked_total == 50.0


def test_a_queue_that_was_quiet_has_saved_nothing_up() -> None:
    queues = Queues(1, WEIGHTS)
    queues.knows(LOW, evidence=EMPTY)
    queues.at(0.0)
    for _ in range(50):
        queues.hit(0, 0.01)
        queues.now += 1.0
        queues.done(0)
        if queues.polled() == [LOW]:
            queues.empty(0)
    assert queues.pool.queues[HIGH].work.worked_total >= 25.0
    queues.knows(LOW, evidence=Evidence())
    had = [0, 0]
    for _ in range(40):
        had[queues.polled()[0]] += 1
        queues.hit(0, 0.01)
        queues.now += 1.0
        queues.done(0)
    assert 8 <= had[LOW] <= 12, "a quarter, and nothing for the time before"


# Whatever the state is.

SLOTS = st.builds(
    Slot,
    st.just(0),
    state=st.sampled_from([State.IDLE, State.IDLE, State.POLLING, State.WORKING, State.HOLDING]),
    since=st.sampled_from([90.0, 99.9, 100.0]),
    queue=st.integers(0, 2),
    places=st.just((0,)),
    leaving=st.booleans(),
    silent_since=st.sampled_from([inf, inf, 99.0]),
    longest=st.sampled_from([inf, LOOK]),
)
QUEUES = st.fixed_dictionaries(
    {
        "limit": st.sampled_from([inf, 1.0, 2.0, 5.0]),
        "paused": st.sampled_from([False, False, True]),
        "usable": st.sampled_from([True, True, False]),
        "polling": st.builds(
            Polling, st.integers(1, 9), not_before=st.sampled_from([0.0, 100.0, 100.5])
        ),
        "evidence": st.builds(
            Evidence, st.sampled_from(Answer), st.sampled_from([0.0, 99.0, 100.0]), st.just(99.0)
        ),
    }
)


@given(st.lists(SLOTS, max_size=9), st.lists(QUEUES, min_size=3, max_size=3), st.booleans())
def test_limits_and_the_strict_order_hold_in_every_state(
    slots: list[Slot], known: list[dict[str, Any]], weighted: bool
) -> None:
    given = [{"weight": 1.0} if weighted else {} for _ in known]
    queues = Queues(len(slots) or 1, given)
    numbered = tuple(replace(slot, number=number) for number, slot in enumerate(slots))
    queues.pool = replace(queues.pool, slots=numbered)
    for place, changes in enumerate(known):
        queues.knows(place, **changes)
    before = queues.pool
    after, effects = grant_polls(before, 100.0)
    sent = [each.order for each in effects if isinstance(each, Send)]
    orders = [order for order in sent if isinstance(order, Grant)]
    for place, queue in enumerate(before.queues):
        granted = sum(order.queue == place for order in orders)
        taken = sum(
            slot.queue == place and (slot.is_busy or slot.state is State.POLLING)
            for slot in before.slots
        )
        if granted:
            assert queue.may_be_polled
            assert queue.polling.not_before <= 100.0
            assert taken + granted <= queue.limit
    if not weighted and orders:
        scene = pool_scene(before, 100.0)
        for higher in range(max(order.queue for order in orders)):
            seen = pool_scene(after, 100.0).queues[higher]
            is_known = is_quiet(scene.queues[higher], 100.0) or is_quiet(seen, 100.0)
            assert not seen.is_open or is_known, f"{higher} may have messages"
    assert grant_polls(after, 100.0)[1] == (), "a second time there is nothing to be granted"


# No answer.


def silence(took: float) -> PollFailed:
    return PollFailed("no answer", unanswered=True, answered=False, took=took)


@pytest.mark.parametrize("took", [0.6, 11.0])
@pytest.mark.parametrize("wait_time", [2.0, 20.0])
def test_a_look_that_fails_does_not_say_that_polls_are_cut(took: float, wait_time: float) -> None:
    queues = Queues(1, config=Config(wait_time=wait_time))
    queues.knows(LOW, usable=False)
    for _ in range(4):
        queues.at(queues.now + 10.0)
        slot = queues.pool.slots[0]
        queues.pool = replace(queues.pool, slots=(replace(slot, longest=LOOK),))
        queues.now += took
        queues.says(0, silence(took))
    assert queues.pool.queues[HIGH].polling.cuts == Cuts()


@pytest.mark.parametrize("workers", [1, 2])
def test_a_high_queue_that_does_not_answer_leaves_the_low_one_its_dispatchers(
    workers: int,
) -> None:
    """But one, and of that one they have five seconds after every look of eleven."""
    queues = Queues(workers)
    queues.knows(LOW, evidence=EMPTY)
    worked = 0
    queues.at(0.0)
    while queues.now < 160.0:
        polls = [slot for slot in queues.pool.slots if slot.state is State.POLLING]
        assert len([slot for slot in polls if slot.queue == HIGH]) <= 1
        for slot in polls:
            if slot.queue == LOW:
                queues.hit(slot.number)
        queues.now += 0.5
        for slot in queues.pool.slots:
            if slot.is_busy and queues.now >= slot.since + 1.0:
                queues.done(slot.number)
                worked += 1
        for slot in queues.pool.slots:
            took = queues.now - slot.since
            if (
                slot.state is State.POLLING
                and took >= min(queues.config.wait_time, slot.longest) + 10.0
            ):
                queues.says(slot.number, silence(took))
        queues.at(queues.now)
    assert worked >= (workers - 1) * 120 + 40
