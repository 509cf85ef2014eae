"""The lease of a delivery: the first one, how it is kept, and how it is lost."""

from collections.abc import Callable
from dataclasses import replace
from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.core.delivery import FIRST_LEASE, LONGEST, Phase, Rules, hold, run, step
from fleet.core.delivery_events import (
    Action,
    End,
    Event,
    Exited,
    Extend,
    Extended,
    ExtendFailed,
    LeaseLost,
    Settle,
    StopBy,
    Terminate,
)
from fleet.core.exits import Exit, Outcome, Settlement
from tests.core.delivery_story import (
    ALMOST_ONE,
    BAD,
    GOOD,
    KILLED,
    RULES,
    SEGV,
    Story,
    done,
    held,
    releasing,
    running,
    settling,
    stopping,
    without_a_lease,
)

# The first lease.


@pytest.mark.parametrize(("visibility", "first"), [(2.0, 2.0), (20.0, 20.0), (60.0, 20.0), (43_200.0, 20.0)])
def test_the_first_lease_is_short_and_counts_from_before_the_call(visibility: float, first: float) -> None:
    rules = Rules(visibility=visibility)
    for delivery in (run(100.0, 0.0, rules), hold(100.0, 0.0, rules)):
        assert delivery.received_at == 100.0
        assert delivery.lease_until == 100.0 + first
        assert delivery.extend_at == pytest.approx(100.0 + first / 3)


@given(st.floats(0, 1, exclude_max=True), st.floats(2, LONGEST))
def test_an_extend_comes_at_a_third_or_up_to_a_tenth_earlier(luck: float, visibility: float) -> None:
    rules = Rules(visibility=visibility)
    first = run(0.0, luck, rules)
    assert 0.9 * rules.first_lease / 3 - 1e-9 <= first.extend_at <= rules.first_lease / 3
    then, _ = step(first, Extended(1.0, 1.1, visibility, luck), rules)
    assert 1.0 + 0.9 * visibility / 3 - 1e-9 <= then.extend_at <= 1.0 + visibility / 3 + 1e-9


def test_the_jitter_is_not_lost() -> None:
    assert run(0.0, ALMOST_ONE, RULES).extend_at == pytest.approx(0.9 * FIRST_LEASE / 3, rel=1e-4)


# Keeping it.


@pytest.mark.parametrize("begin", [running, stopping, held])
def test_the_lease_is_extended_to_its_full_length_at_a_third(begin: Callable[[], Story]) -> None:
    story = begin()
    assert story.at(6.6) == []
    assert story.at(6.7) == [Extend(60)]
    assert story.extended(6.7) == []
    assert story.delivery.lease_until == 66.7
    assert story.at(26.6) == []
    assert Extend(60) in story.at(26.8)


def test_one_extend_at_a_time() -> None:
    story = running()
    assert story.at(7.0) == [Extend(60)]
    assert story.at(8.0) == []
    assert story.wakes_at == 20.0


def test_a_failed_extend_does_not_move_the_deadline_and_is_tried_again() -> None:
    story = running()
    story.at(7.0)
    assert story.happens(ExtendFailed(8.0, 0.5)) == []
    assert story.delivery.lease_until == 20.0
    assert 8.0 < story.wakes_at < 20.0
    assert story.at(story.wakes_at) == [Extend(60)]


@given(st.floats(2, LONGEST), st.floats(0, 1, exclude_max=True))
def test_every_lease_has_time_for_several_extends(visibility: float, luck: float) -> None:
    """However long the visibility timeout is: the first lease is short."""
    story = running(Rules(visibility=visibility))
    first = story.rules.first_lease
    tries = 0
    while story.wakes_at < first:
        now = story.wakes_at
        assert len(story.at(now)) == 1
        story.happens(ExtendFailed(now, luck))
        tries += 1
    assert tries >= 3
    assert story.at(first) == [LeaseLost()]


def test_the_deadline_counts_from_before_the_call() -> None:
    story = running()
    story.at(7.0)
    story.happens(Extended(7.0, 12.0, 60.0, 0.0))
    assert story.delivery.lease_until == 67.0
    assert story.wakes_at == pytest.approx(27.0)


def test_a_short_visibility_timeout_is_extended_just_the_same() -> None:
    story = running(Rules(visibility=2.0))
    assert story.at(0.7) == [Extend(2)]
    story.extended(0.7, 2)
    assert story.delivery.lease_until == 2.7
    assert story.wakes_at == pytest.approx(0.7 + 2 / 3)


@pytest.mark.parametrize(
    ("left", "lease_left", "asked"),
    [
        (61.0, 10.0, [Extend(60)]),
        (60.0, 10.0, [Extend(60)]),
        (40.5, 10.0, [Extend(40)]),  # whole seconds, and SQS refuses more than is left
        (40.5, 38.9, [Extend(40)]),
        (40.5, 39.0, []),  # a second more is not worth a call
        (40.5, 40.5, []),
        (0.9, 0.5, []),
    ],
)
def test_no_extend_reaches_beyond_what_sqs_allows(left: float, lease_left: float, asked: list[Action]) -> None:
    story = running()
    now = LONGEST - left
    story.delivery = replace(story.delivery, lease_until=now + lease_left, extend_at=now)
    assert story.at(now) == asked
    assert story.wakes_at == now + lease_left  # no second try before that
    assert story.at(now + lease_left) == [LeaseLost()]


def test_a_job_of_twelve_hours_is_extended_up_to_the_limit_and_no_further() -> None:
    story = running()
    while not story.delivery.lost:
        now = story.wakes_at
        for action in story.at(now):
            if isinstance(action, Extend):
                assert now + action.seconds <= LONGEST
                story.extended(now, action.seconds)
                assert story.delivery.lease_until <= LONGEST
    assert now >= LONGEST - 2
    assert story.phase is Phase.RUNNING


# Losing it.


def test_a_lease_that_ends_is_lost_once_and_the_job_runs_on() -> None:
    story = running()
    story.at(7.0)
    assert story.at(19.999) == []
    assert story.at(20.0) == [LeaseLost()]
    assert story.phase is Phase.RUNNING
    assert story.at(1000.0) == []
    assert story.wakes_at == inf


def test_a_late_clock_loses_the_lease_before_it_extends_it() -> None:
    story = running()
    assert story.at(500.0) == [LeaseLost()]


@pytest.mark.parametrize("late", [Extended(7.0, 21.0, 60.0, 0.0), ExtendFailed(21.0, 0.0)])
def test_no_answer_brings_a_lost_lease_back(late: Event) -> None:
    story = without_a_lease()
    assert story.happens(late) == []
    assert story.delivery.lost
    assert story.delivery.lease_until == 20.0
    assert story.at(1000.0) == []


def test_a_confirmation_that_comes_when_the_lease_has_ended_is_too_late() -> None:
    """The server may have handled it after the end, when the message was somebody else's already."""
    story = running()
    story.at(19.9)
    assert story.happens(Extended(19.9, 20.0, 60.0, 0.0)) == []
    assert story.delivery.lease_until == 20.0
    assert story.at(20.0) == [LeaseLost()]


@pytest.mark.parametrize("begin", [settling, releasing, done])
@pytest.mark.parametrize("late", [Extended(7.0, 8.0, 60.0, 0.0), ExtendFailed(8.0, 0.0)])
def test_an_extend_that_is_answered_when_it_is_needed_no_more_changes_nothing(
    begin: Callable[[], Story], late: Event
) -> None:
    story = begin()
    before = story.delivery
    assert story.happens(late) == []
    assert story.delivery == before


@pytest.mark.parametrize(
    ("how", "asked", "outcome", "end"),
    [
        (GOOD, Settle(Settlement.DELETE), Outcome.SUCCEEDED, None),
        (BAD, End(), Outcome.FAILED, Settlement.LEAVE),
        (SEGV, End(), Outcome.SIGNALLED, Settlement.LEAVE),
    ],
)
def test_without_a_lease_finished_work_is_still_deleted_and_all_else_is_left(
    how: Exit, asked: Action, outcome: Outcome, end: Settlement | None
) -> None:
    story = without_a_lease()
    assert story.happens(Exited(30.0, how)) == [asked]
    assert story.delivery.outcome is outcome
    assert end is None or story.ended_as(end)


def test_interrupted_without_a_lease_is_left() -> None:
    story = without_a_lease()
    story.happens(StopBy(25.0))
    assert story.at(25.0) == [Terminate()]
    assert story.happens(Exited(26.0, KILLED)) == [End()]
    assert story.ended_as(Settlement.LEAVE)
    assert story.delivery.outcome is Outcome.INTERRUPTED


def test_the_lease_counts_as_lost_the_moment_it_ends_even_unnoticed() -> None:
    story = stopping()
    assert story.happens(Exited(20.0, KILLED)) == [LeaseLost(), End()]
    assert story.ended_as(Settlement.LEAVE)


def test_a_held_message_whose_lease_ends_is_left() -> None:
    story = held()
    story.at(7.0)
    assert story.at(20.0) == [LeaseLost(), End()]
    assert story.ended_as(Settlement.LEAVE)
