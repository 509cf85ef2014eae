"""Which queue is next, rule by rule."""

from dataclasses import replace
from math import inf
from typing import Any

import pytest

from fleet.core import scheduling
from fleet.core.scheduling import (
    LOOK,
    SETTLE,
    Answer,
    Choice,
    Evidence,
    PoolScene,
    QueueScene,
    Shares,
)

NOW = 100.0
EMPTY = Evidence(Answer.EMPTY, 90.0, 80.0)
MESSAGE = Evidence(Answer.MESSAGE, 90.0, 80.0)


def queue(evidence: Evidence = MESSAGE, **fields: Any) -> QueueScene:
    if fields.get("open_polls"):
        fields.setdefault("oldest_poll", NOW)
    return QueueScene(evidence=evidence, **fields)


def chosen(*queues: QueueScene, idle: int = 1, size: int = 8, **fields: Any) -> list[int]:
    """The queues of all grants that are given now."""
    fields.setdefault("shares", scheduling.new_shares(len(queues)))
    return [each.queue for each in choices(PoolScene(queues, idle, size, **fields))]


def choices(scene: PoolScene) -> list[Choice]:
    made = []
    while choice := scheduling.choose(scene, NOW):
        made.append(choice)
        scene = scheduling.after_choice(scene, choice, NOW)
    return made


# Strict.


@pytest.mark.parametrize(
    ("high", "then"),
    [
        (queue(MESSAGE), [0]),  # it claims, and has no poll open
        (queue(Evidence()), [0]),  # it was never asked
        (
            queue(MESSAGE, open_polls=1),
            [],
        ),  # nobody goes past it before that poll has said something
        (queue(MESSAGE, open_polls=1, allowed=2), [0]),
        (queue(MESSAGE, open_polls=1, oldest_poll=NOW - SETTLE), [1]),  # it waits
        (queue(MESSAGE, open_polls=1, oldest_poll=NOW - SETTLE, allowed=9), [1]),
        (queue(EMPTY, open_polls=1), [1]),
        (queue(EMPTY), [0]),  # it is due
        (queue(replace(EMPTY, home_at=NOW)), [1]),  # it was found empty now
        (queue(MESSAGE, may_poll=False), [1]),
        (queue(MESSAGE, running=2, limit=2), [1]),
        (queue(MESSAGE, running=1, open_polls=1, allowed=2, limit=2), [1]),
        (queue(MESSAGE, running=1, silent_polls=1, limit=2), [1]),
        (queue(MESSAGE, running=1, limit=2), [0]),
    ],
)
def test_strictly_the_first_queue_that_may_have_messages(high: QueueScene, then: list[int]) -> None:
    assert chosen(high, queue(MESSAGE)) == then


def test_polls_are_given_in_order_up_to_what_each_queue_may_have() -> None:
    high, low = queue(MESSAGE, open_polls=1, allowed=3), queue(MESSAGE)
    assert chosen(high, low, idle=4) == [0, 0]
    waiting = queue(EMPTY, open_polls=1)
    assert chosen(waiting, queue(MESSAGE, allowed=2), queue(MESSAGE), idle=9) == [1, 1]


def test_where_all_are_quiet_they_are_asked_in_turn() -> None:
    quiet = [queue(replace(EMPTY, home_at=NOW - age)) for age in (0.5, 0.2, 0.9)]
    assert chosen(*quiet, size=1) == [2]
    assert chosen(*quiet, size=1, idle=3) == [2, 0, 1]
    assert chosen(*quiet, size=1, weighted=True, idle=2) == [2, 0]


def test_a_dispatcher_without_other_work_looks_though_it_is_not_time() -> None:
    high, low = queue(replace(EMPTY, home_at=NOW)), queue(MESSAGE, open_polls=1)
    assert chosen(high, low) == [0]


@pytest.mark.parametrize(
    ("size", "quiet", "pause"), [(1, 1, 3.0), (2, 1, 1.0), (4, 1, 0.0), (8, 1, 0.0), (8, 7, 2.5)]
)
def test_looks_take_a_quarter_of_the_pool(size: int, quiet: int, pause: float) -> None:
    looked_at = [queue(replace(EMPTY, home_at=NOW - pause)) for _ in range(quiet)]
    scene = PoolScene([*looked_at, queue(MESSAGE), queue(EMPTY)], 1, size)
    assert scheduling.pause_between_looks(scene, NOW) == pause
    if pause:
        assert [each.queue for each in choices(scene)] == [0]
        just_before = replace(looked_at[0], evidence=replace(EMPTY, home_at=NOW - pause + 0.01))
        late = replace(scene, queues=[just_before] * quiet + [queue(MESSAGE)])
        assert [each.queue for each in choices(late)] == [quiet]
        assert scheduling.wakes_at(replace(late, idle=1), NOW) == pytest.approx(NOW + 0.01)


def test_weighted_pools_look_at_all_quiet_queues() -> None:
    scene = PoolScene([queue(EMPTY), queue(MESSAGE), queue(EMPTY)], 1, 1, weighted=True)
    assert scheduling.pause_between_looks(scene, NOW) == 7.0


# Memory.


def test_a_higher_queue_whose_job_does_not_fit_holds_back_the_lower_one() -> None:
    big, small = queue(MESSAGE, job_mib=200, running=1), queue(MESSAGE, job_mib=10)
    assert chosen(big, small, memory_mib=100) == []
    assert chosen(small, big, memory_mib=100, idle=3) == [0]
    assert chosen(big, small, memory_mib=200) == [0]
    assert chosen(big, small, memory_mib=100, weighted=True) == []


def test_a_quiet_queue_whose_job_does_not_fit_is_passed() -> None:
    big, small = queue(EMPTY, job_mib=200, running=1), queue(MESSAGE, job_mib=10)
    assert chosen(big, small, memory_mib=100) == [1]
    assert chosen(big, small, memory_mib=100, weighted=True) == [1]


def test_the_first_job_of_a_pool_always_fits() -> None:
    assert chosen(queue(MESSAGE, job_mib=200), memory_mib=100, idle=3) == [0]
    polled = queue(EMPTY, open_polls=1)
    assert chosen(queue(MESSAGE, job_mib=200), polled, memory_mib=100) == []
    for taken in ({"running": 1}, {"silent_polls": 1}, {"running": 1, "open_polls": 1}):
        other = queue(EMPTY, **taken)
        assert chosen(queue(MESSAGE, job_mib=200), other, memory_mib=100, weighted=True) == []


# How long.


@pytest.mark.parametrize(
    ("other", "idle", "longest"),
    [
        (queue(EMPTY, open_polls=1), 1, inf),  # one waits there
        (queue(EMPTY), 2, inf),
        (queue(EMPTY), 1, LOOK),
        (queue(MESSAGE), 2, inf),
        (queue(MESSAGE, allowed=2), 2, LOOK),  # it may ask for both
        (queue(MESSAGE, allowed=2, open_polls=1), 2, inf),
        (queue(MESSAGE, open_polls=1), 1, LOOK),
        (queue(MESSAGE, may_poll=False), 1, inf),
        (queue(MESSAGE, running=1, limit=1), 1, inf),
    ],
)
def test_a_long_poll_leaves_a_dispatcher_for_the_others(
    other: QueueScene, idle: int, longest: float
) -> None:
    first = scheduling.choose(PoolScene([queue(MESSAGE), other], idle, 8), NOW)
    assert first == Choice(0, longest)


def test_a_second_poll_of_a_queue_is_short() -> None:
    busy = queue(MESSAGE, allowed=3)
    waiting = queue(EMPTY, open_polls=1)
    lengths = [each.longest for each in choices(PoolScene([busy, waiting], 9, 9))]
    assert lengths == [inf, LOOK, LOOK]


# --starve-after.


def starving(*granted: float, **fields: Any) -> list[int]:
    queues = [queue(replace(MESSAGE, granted_at=at)) for at in granted]
    return chosen(*queues, starve_after=10.0, **fields)


def test_a_starved_queue_is_let_through_once() -> None:
    assert starving(99.0, 90.0) == [1]
    assert starving(99.0, 90.1) == [0]
    assert starving(99.0, 80.0, 70.0) == [2]  # the longest first
    assert starving(70.0, 80.0) == [0]  # nothing was granted above it since


def test_between_two_are_grants_of_those_above() -> None:
    assert starving(99.0, 99.5, 70.0) == [2]
    assert starving(99.0, 80.0, 99.5) == [0]
    assert starving(99.0, 80.0, 70.0, idle=3) == [2, 0]


def test_a_queue_that_may_not_be_polled_is_not_let_through() -> None:
    high = queue(replace(MESSAGE, granted_at=99.0))
    starved = queue(replace(MESSAGE, granted_at=0.0), may_poll=False)
    assert chosen(high, starved, starve_after=10.0) == [0]
    polled = replace(starved, may_poll=True, open_polls=1, oldest_poll=NOW)
    assert chosen(high, polled, starve_after=10.0) == [0]


# Weights.


def test_the_least_job_time_for_its_weight_is_next() -> None:
    shares = Shares(0.0, (0.0, 0.0), (True, True))
    heavy, light = queue(weight=3, job_time=31), queue(weight=1, job_time=10)
    assert chosen(heavy, light, weighted=True, shares=shares) == [1]
    assert chosen(replace(heavy, job_time=29), light, weighted=True, shares=shares) == [0]
    longer = replace(light, evidence=replace(MESSAGE, granted_at=70.0))
    assert chosen(replace(heavy, job_time=30), longer, weighted=True, shares=shares) == [1]


def test_a_grant_counts_as_a_job_of_the_usual_length() -> None:
    shares = Shares(0.0, (0.0, 0.0), (True, True))
    heavy, light = queue(weight=3, allowed=9), queue(weight=1, allowed=9)
    assert chosen(heavy, light, weighted=True, shares=shares, idle=8).count(0) == 6
    slow = replace(heavy, job_seconds=3.0)
    assert chosen(slow, light, weighted=True, shares=shares, idle=8).count(0) == 4


def test_at_the_start_nobody_claims_and_nobody_was_forgiven() -> None:
    assert scheduling.new_shares(2) == Shares(0.0, (0.0, 0.0), (False, False))


def test_what_was_missed_while_nothing_was_claimed_is_forgiven() -> None:
    asleep = scheduling.advance(scheduling.new_shares(2), [0.0, 0.0], [1.0, 2.0], [True, False])
    later = scheduling.advance(asleep, [50.0, 0.0], [1.0, 2.0], [True, False])
    assert later.clock == 50.0
    awake = scheduling.advance(later, [60.0, 0.0], [1.0, 2.0], [True, True])
    assert awake.clock == 60.0
    assert scheduling.job_time_for_weight(awake, 1, 0.0, 2.0) == 60.0
    assert scheduling.job_time_for_weight(awake, 1, 10.0, 2.0) == 65.0
    still = scheduling.advance(awake, [60.0, 10.0], [1.0, 2.0], [False, False])
    assert still.clock == 60.0  # nobody claims, and it does not go back


def test_a_queue_that_claims_nothing_is_never_behind_the_clock() -> None:
    state = Shares(50.0, (10.0, 10.0), (True, False))
    had = scheduling.job_time_for_weight
    assert [had(state, place, 30.0, 2.0) for place in (0, 1)] == [20.0, 50.0]
    assert [had(state, place, 130.0, 2.0) for place in (0, 1)] == [70.0, 70.0]


def test_a_queue_that_is_ahead_is_not_set_back() -> None:
    state = Shares(50.0, (0.0,), (False,))
    after = scheduling.advance(state, [80.0], [1.0], [True])
    assert scheduling.job_time_for_weight(after, 0, 80.0, 1.0) == 80.0


# Evidence.


def test_a_sample_outdates_an_empty_answer_where_no_poll_waits() -> None:
    assert scheduling.note_sample(EMPTY, 3, 0).newest is Answer.NONE
    assert scheduling.note_sample(EMPTY, 3, 1) == EMPTY
    assert scheduling.note_sample(EMPTY, 0, 0) == EMPTY
    assert scheduling.note_sample(MESSAGE, 3, 0) == MESSAGE


def test_what_a_poll_says() -> None:
    assert scheduling.note_grant(EMPTY, NOW) == Evidence(Answer.EMPTY, 90.0, NOW)
    assert scheduling.note_answer(EMPTY, NOW, 2) == Evidence(Answer.MESSAGE, NOW, 80.0)
    assert scheduling.note_answer(MESSAGE, NOW, 0) == Evidence(Answer.EMPTY, NOW, 80.0)
    assert scheduling.note_failure(EMPTY, NOW) == Evidence(Answer.NONE, NOW, 80.0)


# When.


def test_time_alone_says_something() -> None:
    unknown = queue(MESSAGE, open_polls=1, oldest_poll=NOW - 0.1)
    scene = PoolScene([unknown, queue(MESSAGE)], 2, 8)
    assert scheduling.wakes_at(scene, NOW) == NOW - 0.1 + SETTLE
    assert scheduling.wakes_at(replace(scene, idle=0), NOW) == inf
    waits = replace(unknown, oldest_poll=NOW - 5)
    starving_soon = queue(replace(MESSAGE, granted_at=95.0), may_poll=True)
    scene = PoolScene([waits, starving_soon], 1, 8, starve_after=10.0)
    assert scheduling.wakes_at(scene, NOW) == 105.0
