"""One message, from the answer that brought it to its settlement: one table or story for each transition.

The story's clock starts at 0, when the receive call was made. With luck 0 an extend comes at exactly a third.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.core import delivery as core
from fleet.core.delivery import FIRST_LEASE, KEPT, LONGEST, Delivery, Illegal, Phase, Rules, hold, run, step, wakes_at
from fleet.core.delivery_events import (
    Action,
    Due,
    End,
    Event,
    Exited,
    Extend,
    Extended,
    ExtendFailed,
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

RULES = Rules(visibility=60.0, exit_timeout=30.0)
GOOD, BAD, SEGV, KILLED = Exit(code=0), Exit(code=1), Exit(signal=11), Exit(signal=9)
ALMOST_ONE = 0.999999


@dataclass
class Story:
    """A delivery and the rules it lives under; every verb returns what the delivery asked for."""

    delivery: Delivery
    rules: Rules = RULES
    asked: list[Action] = field(default_factory=list)

    def happens(self, event: Event) -> list[Action]:
        """One step."""
        self.delivery, actions = step(self.delivery, event, self.rules)
        self.asked += actions
        return list(actions)

    def at(self, now: float) -> list[Action]:
        """Time passes."""
        return self.happens(Due(now))

    def extended(self, before: float, seconds: float = 60.0) -> list[Action]:
        """SQS confirms at once what was asked for at `before`."""
        return self.happens(Extended(before, before, seconds, 0.0))

    @property
    def phase(self) -> Phase:
        """Where the delivery stands."""
        return self.delivery.phase

    @property
    def wakes_at(self) -> float:
        """When something is due next."""
        return wakes_at(self.delivery)

    def ended_as(self, how: Settlement) -> bool:
        """Over, and settled that way."""
        return self.phase is Phase.DONE and self.delivery.settlement is how


def running(rules: Rules = RULES, stop_at: float = inf) -> Story:
    return Story(run(0.0, 0.0, rules, stop_at), rules)


def stopping(rules: Rules = RULES) -> Story:
    story = running(rules)
    story.happens(StopBy(1.0))
    assert story.at(1.0) == [Terminate()]
    return story


def held(rules: Rules = RULES) -> Story:
    return Story(hold(0.0, 0.0, rules), rules)


def settling(rules: Rules = RULES) -> Story:
    story = running(rules)
    assert story.happens(Exited(2.0, GOOD)) == [Settle(Settlement.DELETE)]
    return story


def releasing() -> Story:
    story = held()
    assert story.happens(Freed(2.0)) == [Settle(Settlement.RELEASE)]
    return story


def done() -> Story:
    story = settling()
    assert story.happens(SettleDone()) == [End()]
    return story


def without_a_lease() -> Story:
    """A running job whose lease ended at 20."""
    story = running()
    story.at(7.0)
    story.happens(ExtendFailed(8.0, 0.0))
    assert story.at(20.0)[0] == LeaseLost()
    return story


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
