"""A delivery, from its job to its settlement: one table or story for each transition."""

from collections.abc import Callable
from dataclasses import replace
from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.core import delivery as core
from fleet.core.delivery import KEPT, Illegal, Phase, Rules
from fleet.core.delivery_events import (
    Action,
    End,
    Event,
    Exited,
    Extend,
    Freed,
    Hold,
    Kill,
    LeaseLost,
    NotStarted,
    Settle,
    SettleDone,
    SettleFailed,
    StopBy,
    Terminate,
)
from fleet.core.exits import Exit, Outcome, Settlement
from tests.core.delivery_story import (
    ALMOST_ONE,
    BAD,
    GOOD,
    KILLED,
    SEGV,
    Story,
    done,
    held,
    releasing,
    running,
    settling,
    stopping,
)

# The job ends.


@pytest.mark.parametrize(
    ("how", "outcome", "actions", "phase"),
    [
        (GOOD, Outcome.SUCCEEDED, [Settle(Settlement.DELETE)], Phase.SETTLING),
        (BAD, Outcome.FAILED, [End()], Phase.DONE),
        (SEGV, Outcome.SIGNALLED, [End()], Phase.DONE),
    ],
)
def test_a_job_ends_by_itself(how: Exit, outcome: Outcome, actions: list[Action], phase: Phase) -> None:
    story = running()
    assert story.happens(Exited(5.0, how)) == actions
    assert story.phase is phase
    assert (story.delivery.exit, story.delivery.outcome) == (how, outcome)
    assert story.delivery.settlement is (Settlement.DELETE if how is GOOD else Settlement.LEAVE)


@pytest.mark.parametrize("how", [BAD, SEGV, KILLED, Exit(signal=15)])
def test_a_job_that_was_told_to_stop_and_did_is_held(how: Exit) -> None:
    story = stopping()
    assert story.happens(Exited(2.0, how)) == [Hold()]
    assert story.phase is Phase.HELD
    assert story.delivery.settlement is Settlement.RELEASE
    assert story.delivery.outcome is Outcome.INTERRUPTED


def test_a_job_that_finishes_although_it_was_told_to_stop_is_deleted() -> None:
    story = stopping()
    assert story.happens(Exited(2.0, GOOD)) == [Settle(Settlement.DELETE)]
    assert story.delivery.outcome is Outcome.SUCCEEDED


def test_a_job_that_could_not_be_started_has_no_outcome() -> None:
    story = running()
    assert story.happens(NotStarted(1.0)) == [Hold()]
    assert (story.delivery.exit, story.delivery.outcome) == (None, None)


def test_a_job_that_could_not_be_started_in_time_is_left() -> None:
    story = running()
    assert story.happens(NotStarted(20.0)) == [LeaseLost(), End()]
    assert story.ended_as(Settlement.LEAVE)


# The job is stopped.


def test_a_running_job_is_terminated_when_its_time_is_up_and_killed_after_the_exit_timeout() -> None:
    story = running(stop_at=5.0)
    assert story.at(4.999) == []
    assert story.wakes_at == 5.0
    assert story.at(5.0) == [Terminate()]
    assert story.at(6.7) == [Extend(60)]
    story.extended(6.7)
    assert story.at(26.8) == [Extend(60)]
    story.extended(26.8)
    assert story.at(34.999) == []
    assert story.wakes_at == 35.0
    assert story.at(35.0) == [Kill()]
    assert story.at(35.1) == []
    assert story.phase is Phase.STOPPING


def test_the_exit_timeout_counts_from_the_terminate() -> None:
    story = running(stop_at=5.0)
    assert story.at(6.0) == [Terminate()]
    assert story.delivery.kill_at == 36.0


def test_without_an_exit_timeout_the_job_is_killed_at_once() -> None:
    story = running(Rules(exit_timeout=0.0), stop_at=1.0)
    assert story.at(1.0) == [Terminate(), Kill()]


@pytest.mark.parametrize(
    ("first", "second", "then"), [(9.0, 5.0, 5.0), (5.0, 9.0, 5.0), (5.0, 5.0, 5.0), (inf, 3.0, 3.0)]
)
def test_a_deadline_is_only_ever_shortened(first: float, second: float, then: float) -> None:
    story = running(stop_at=first)
    assert story.happens(StopBy(second)) == []
    assert story.wakes_at == then


def test_one_late_moment_does_all_that_is_due() -> None:
    story = running(Rules(exit_timeout=0.0), stop_at=5.0)
    assert story.at(10.0) == [Extend(60), Terminate(), Kill()]


# Release.


def test_a_message_that_came_too_late_is_held_freed_and_released() -> None:
    story = held()
    assert story.delivery.settlement is Settlement.RELEASE
    assert story.happens(Freed(3.0)) == [Settle(Settlement.RELEASE)]
    assert story.happens(SettleDone()) == [End()]
    assert story.ended_as(Settlement.RELEASE)
    assert story.delivery.outcome is None


def test_an_interrupted_job_is_held_freed_and_released() -> None:
    story = stopping()
    story.happens(Exited(2.0, KILLED))
    assert story.happens(Freed(3.0)) == [Settle(Settlement.RELEASE)]
    assert story.happens(SettleDone()) == [End()]
    assert story.ended_as(Settlement.RELEASE)


def test_a_message_that_is_freed_when_its_lease_has_ended_is_left() -> None:
    story = held()
    assert story.happens(Freed(20.0)) == [LeaseLost(), End()]
    assert story.ended_as(Settlement.LEAVE)


def test_a_held_message_has_no_deadline_but_its_lease() -> None:
    story = stopping()
    story.happens(Exited(2.0, KILLED))
    assert (story.delivery.stop_at, story.delivery.kill_at) == (inf, inf)
    assert story.wakes_at == pytest.approx(20 / 3)


# Settling.


def test_a_settlement_is_asked_for_once_until_it_is_answered() -> None:
    story = settling()
    assert story.wakes_at == inf
    assert story.at(3.0) == []
    assert story.happens(SettleDone()) == [End()]
    assert story.ended_as(Settlement.DELETE)


def test_a_failed_settlement_is_asked_for_again_with_backoff_until_the_lease_ends() -> None:
    story = settling()
    now, pauses = 2.0, []
    while story.phase is Phase.SETTLING:
        story.happens(SettleFailed(now, ALMOST_ONE))
        if story.phase is Phase.SETTLING:
            pauses.append(story.wakes_at - now)
            now = story.wakes_at
            assert story.at(now) == [Settle(Settlement.DELETE)]
            assert story.wakes_at == inf
    assert len(pauses) >= 5
    assert pauses[1] == pytest.approx(2 * pauses[0], rel=1e-3)
    assert max(pauses) <= 5.0
    assert now < 20.0
    assert story.asked[-1] == End()
    assert story.ended_as(Settlement.LEAVE)


@given(st.integers(0, 100), st.floats(0, 1, exclude_max=True))
def test_the_pause_before_another_settlement_is_bounded(tries: int, luck: float) -> None:
    story = settling(Rules(visibility=1000.0))
    story.delivery = replace(story.delivery, tries=tries, lease_until=1000.0)
    assert story.happens(SettleFailed(3.0, luck)) == []
    assert story.delivery.tries == tries + 1
    assert 3.0 <= story.wakes_at <= 8.0


def test_the_pause_grows_to_its_bound() -> None:
    story = settling(Rules(visibility=1000.0))
    story.delivery = replace(story.delivery, tries=50, lease_until=1000.0)
    story.happens(SettleFailed(3.0, ALMOST_ONE))
    assert story.wakes_at == pytest.approx(8.0, rel=1e-4)


@pytest.mark.parametrize("begin", [settling, releasing])
def test_a_settlement_that_cannot_succeed_is_left_at_once(begin: Callable[[], Story]) -> None:
    story = begin()
    assert story.happens(SettleFailed(3.0, 0.0, final=True)) == [End()]
    assert story.ended_as(Settlement.LEAVE)


def test_nothing_is_released_after_the_lease_has_ended_however_late_the_clock() -> None:
    story = releasing()
    story.happens(SettleFailed(3.0, 0.5))
    assert story.at(500.0) == [End()]
    assert story.ended_as(Settlement.LEAVE)


def test_finished_work_is_deleted_however_late_the_clock() -> None:
    story = settling()
    story.happens(SettleFailed(3.0, 0.5))
    assert story.at(500.0) == [Settle(Settlement.DELETE)]


@pytest.mark.parametrize("begin", [settling, done])
def test_what_is_being_settled_is_extended_no_more(begin: Callable[[], Story]) -> None:
    story = begin()
    assert story.at(7.0) == []
    assert story.at(50.0) == []


def test_a_delivery_that_is_done_waits_for_nothing() -> None:
    assert done().wakes_at == inf


# What cannot happen.

LEGAL: dict[type[Event], set[Phase]] = {
    Exited: {Phase.RUNNING, Phase.STOPPING},
    NotStarted: {Phase.RUNNING},
    StopBy: {Phase.RUNNING},
    Freed: {Phase.HELD},
    SettleDone: {Phase.SETTLING},
    SettleFailed: {Phase.SETTLING},
}
EXAMPLES: list[Event] = [
    Exited(3.0, GOOD),
    NotStarted(3.0),
    StopBy(3.0),
    Freed(3.0),
    SettleDone(),
    SettleFailed(3.0, 0.5),
]
BEGINNINGS = [running, stopping, held, settling, done]


@pytest.mark.parametrize("event", EXAMPLES, ids=lambda event: type(event).__name__)
@pytest.mark.parametrize("begin", BEGINNINGS)
def test_an_event_that_does_not_fit_raises(begin: Callable[[], Story], event: Event) -> None:
    story = begin()
    if story.phase in LEGAL[type(event)]:
        story.happens(event)
        return
    with pytest.raises(Illegal, match=story.phase.name):
        story.happens(event)


def test_the_lease_is_kept_while_the_message_is_ours_and_unsettled() -> None:
    assert {Phase.RUNNING, Phase.STOPPING, Phase.HELD} == KEPT
    assert frozenset(Phase) - {Phase.SETTLING, Phase.DONE} == core.KEPT
