"""The lease of one message: extended at a third, counted on our own clock, and lost when its time
has passed.
"""

from collections.abc import Callable
from dataclasses import replace
from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.core.config import FIRST_LEASE, LONGEST_VISIBILITY, Config, poll_seconds
from fleet.core.delivery import (
    LATE,
    DeliveryPhase,
    Rules,
    step,
)
from fleet.core.delivery.actions import (
    Action,
    EndDelivery,
    Extend,
    FreezeJob,
    ReadPolicy,
    TellLeaseLimit,
    TellLeaseLost,
    TerminateJob,
)
from fleet.core.delivery.events import (
    Event,
    Extended,
    ExtendFailed,
    JobExited,
    SentBack,
    SettleDone,
    StopBy,
    TurnCame,
)
from fleet.core.outcomes import Exit, Outcome, Settlement, Stop, Verdict
from tests.core.delivery.deliveries import (
    BAD,
    DELETE,
    GOOD,
    KILLED,
    REJECT,
    RETRY,
    SEGV,
    Story,
    done,
    frozen,
    handling,
    handling_after_death,
    held,
    judging,
    killing,
    releasing,
    retrying,
    running,
    sending,
    sent,
    settling,
    stopping,
    waiting,
    without_a_lease,
)

ALMOST_ONE = 0.999999


# The first lease.


@pytest.mark.parametrize(
    ("visibility", "lease"), [(2.0, 2.0), (20.0, 20.0), (60.0, 20.0), (43_200.0, 20.0)]
)
def test_the_first_lease_is_short_and_counts_from_before_the_call(
    visibility: float, lease: float
) -> None:
    rules = Rules(Config(visibility_timeout=visibility))
    story = waiting(rules, before=100.0)
    for event in (None, TurnCame(101.0), SentBack(LATE)):
        delivery = step(story.delivery, event, rules)[0] if event else story.delivery
        assert delivery.received_at == 100.0
        assert delivery.lease_until == 100.0 + lease
        assert delivery.extend_at == pytest.approx(100.0 + lease / 3)


@pytest.mark.parametrize(
    ("wait", "visibility", "poll", "lease"),
    [
        (10.0, 60.0, 10.0, 20.0),
        (20.0, 60.0, 20.0, 30.0),
        (20.0, 25.0, 16.0, 24.0),
        (10.0, 10.0, 6.0, 10.0),
        (10.0, 2.0, 1.0, 2.0),
        (0.0, 2.0, 0.0, 2.0),
        (0.5, 60.0, 0.5, 20.0),
    ],
)
def test_a_poll_is_over_before_the_lease_that_it_brings(
    wait: float, visibility: float, poll: float, lease: float
) -> None:
    assert poll_seconds(wait, visibility) == poll
    assert Rules(Config(visibility_timeout=visibility, wait_time=poll)).first_lease == lease


@given(st.floats(0.0, 20.0), st.floats(2.0, 43_200.0))
def test_what_comes_at_the_end_of_a_poll_has_a_third_of_its_lease_left(
    wait: float, visibility: float
) -> None:
    poll = poll_seconds(wait, visibility)
    rules = Rules(Config(visibility_timeout=visibility, wait_time=poll))
    lease_until = waiting(rules, before=100.0).delivery.lease_until
    assert lease_until >= 100.0 + 1.5 * poll - 1e-9
    assert poll == wait or poll >= 1


@given(st.floats(0, 1, exclude_max=True), st.floats(2, LONGEST_VISIBILITY))
def test_an_extend_comes_at_a_third_or_up_to_a_tenth_earlier(
    jitter: float, visibility: float
) -> None:
    rules = Rules(Config(visibility_timeout=visibility))
    first = running(rules, jitter=jitter).delivery
    third = pytest.approx(rules.first_lease / 3 * (1 - jitter / 10))
    assert first.extend_at == third
    then, _ = step(first, Extended(1.0, 1.1, visibility, jitter), rules)
    assert then.extend_at == pytest.approx(1.0 + visibility / 3 * (1 - jitter / 10))


def test_sqs_hides_no_message_for_longer_than_twelve_hours() -> None:
    assert LONGEST_VISIBILITY == 12 * 60 * 60


def test_the_jitter_is_not_lost() -> None:
    assert waiting(jitter=ALMOST_ONE).delivery.extend_at == pytest.approx(
        0.9 * FIRST_LEASE / 3, rel=1e-4
    )


@pytest.mark.parametrize("attempt", [1, 7])
def test_a_delivery_knows_its_attempt(attempt: int) -> None:
    assert waiting(attempt=attempt).delivery.attempt == attempt
    assert running(attempt=attempt).delivery.attempt == attempt


# Keeping it.


@pytest.mark.parametrize(
    "begin",
    [running, stopping, frozen, handling, handling_after_death, killing, judging, held, retrying],
)
def test_the_lease_is_extended_to_its_full_length_at_a_third(begin: Callable[[], Story]) -> None:
    story = begin()
    story.rules = replace(story.rules, config=replace(story.rules.config, exit_timeout=1000.0))
    story.delivery = replace(story.delivery, handler_until=inf)
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
    assert story.wakes_at == pytest.approx(8.0 + 0.75 * 20 / 12)
    assert story.at(story.wakes_at) == [Extend(60)]


@given(st.floats(2, LONGEST_VISIBILITY), st.floats(0, 1, exclude_max=True))
def test_every_lease_has_time_for_several_extends(visibility: float, jitter: float) -> None:
    """However long the visibility timeout is: the first lease is short."""
    story = running(Rules(Config(visibility_timeout=visibility)))
    first = story.rules.first_lease
    tries = 0
    while story.wakes_at < first:
        now = story.wakes_at
        assert len(story.at(now)) == 1
        story.happens(ExtendFailed(now, jitter))
        tries += 1
    assert tries >= 3
    assert story.at(first) == [TellLeaseLost()]


def test_the_deadline_counts_from_before_the_call() -> None:
    story = running()
    story.at(7.0)
    story.happens(Extended(7.0, 12.0, 60.0, 0.0))
    assert story.delivery.lease_until == 67.0
    assert story.wakes_at == pytest.approx(27.0)


def test_a_short_visibility_timeout_is_extended_just_the_same() -> None:
    story = running(Rules(Config(visibility_timeout=2.0)))
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
        (40.5, 39.0, [TellLeaseLimit(39.0)]),  # a second more is not worth a call
        (40.5, 40.5, [TellLeaseLimit(40.5)]),
        (0.75, 0.5, [TellLeaseLimit(0.5)]),
    ],
)
def test_no_extend_reaches_beyond_what_sqs_allows(
    left: float, lease_left: float, asked: list[Action]
) -> None:
    story = running()
    now = LONGEST_VISIBILITY - left
    story.delivery = replace(story.delivery, lease_until=now + lease_left, extend_at=now)
    assert story.at(now) == asked
    assert story.wakes_at == now + lease_left  # no second try before that
    assert story.at(now + lease_left) == [TellLeaseLost()]


@pytest.mark.parametrize("kill_on_loss", [False, True])
@pytest.mark.parametrize("handler", [False, True])
def test_a_job_of_twelve_hours_is_extended_up_to_the_limit_and_no_further(
    kill_on_loss: bool, handler: bool
) -> None:
    story = running(
        Rules(Config(on_lease_lost="kill" if kill_on_loss else "continue"), has_handler=handler)
    )
    while not story.delivery.lost:
        now = story.wakes_at
        for action in story.at(now):
            if isinstance(action, Extend):
                assert now + action.seconds <= LONGEST_VISIBILITY
                story.extended(now, action.seconds)
                assert story.delivery.lease_until <= LONGEST_VISIBILITY
            elif isinstance(action, TellLeaseLimit):
                assert action.left == story.delivery.lease_until - now > 10  # said in time
    assert now >= LONGEST_VISIBILITY - 2
    ending = [action for action in story.asked if not isinstance(action, Extend)]
    stop: list[Action] = [FreezeJob() if handler else TerminateJob()] if kill_on_loss else []
    assert [type(action) for action in ending[:2]] == [TellLeaseLimit, TellLeaseLost]
    assert ending[2:] == stop
    assert story.phase is (
        DeliveryPhase.RUNNING
        if not stop
        else DeliveryPhase.FROZEN
        if handler
        else DeliveryPhase.STOPPING
    )


# Losing it.


def test_a_lease_that_ends_is_lost_once_and_the_job_runs_on() -> None:
    story = running()
    story.at(7.0)
    assert story.at(19.999) == []
    assert story.at(20.0) == [TellLeaseLost()]
    assert story.phase is DeliveryPhase.RUNNING
    assert story.at(1000.0) == []
    assert story.wakes_at == inf


def test_a_lost_lease_stops_the_job_if_people_want_it() -> None:
    story = running(Rules(Config(on_lease_lost="kill")))
    story.at(7.0)
    assert story.at(20.0) == [TellLeaseLost(), TerminateJob()]
    assert story.delivery.stop is Stop.LEASE_LOST
    assert story.happens(JobExited(21.0, KILLED)) == [ReadPolicy()]
    assert story.known(21.0) == [EndDelivery()]
    assert story.delivery.outcome is Outcome.INTERRUPTED
    assert story.delivery.verdict == Verdict(Settlement.LEAVE, "its lease was lost")


def test_a_late_clock_loses_the_lease_before_it_extends_it() -> None:
    story = running()
    assert story.at(500.0) == [TellLeaseLost()]


@pytest.mark.parametrize("late", [Extended(7.0, 21.0, 60.0, 0.0), ExtendFailed(21.0, 0.0)])
def test_no_answer_brings_a_lost_lease_back(late: Event) -> None:
    story = without_a_lease()
    assert story.happens(late) == []
    assert story.delivery.lost
    assert story.delivery.lease_until == 20.0
    assert story.at(1000.0) == []


def test_a_confirmation_that_comes_when_the_lease_has_ended_is_too_late() -> None:
    """The server may have handled it after the end, when somebody else had the message."""
    story = running()
    story.at(19.9)
    assert story.happens(Extended(19.9, 20.0, 60.0, 0.0)) == []
    assert story.delivery.lease_until == 20.0
    assert story.at(20.0) == [TellLeaseLost()]


@pytest.mark.parametrize("begin", [settling, releasing, sending, sent, done])
@pytest.mark.parametrize("late", [Extended(7.0, 8.0, 60.0, 0.0), ExtendFailed(8.0, 0.0)])
def test_an_extend_that_is_answered_when_it_is_needed_no_more_changes_nothing(
    begin: Callable[[], Story], late: Event
) -> None:
    story = begin()
    before = story.delivery
    assert story.happens(late) == []
    assert story.delivery == before


def test_without_a_lease_finished_work_is_still_deleted() -> None:
    story = without_a_lease()
    assert story.happens(JobExited(30.0, GOOD)) == [DELETE]
    assert story.happens(SettleDone()) == [EndDelivery()]
    assert story.ended_as(Settlement.DELETE)


@pytest.mark.parametrize("how", [BAD, SEGV, RETRY, REJECT])
def test_without_a_lease_all_else_is_left(how: Exit) -> None:
    story = without_a_lease()
    assert story.happens(JobExited(30.0, how)) == [ReadPolicy()]
    assert story.known(30.0, after=5.0) == [EndDelivery()]
    assert story.delivery.verdict == Verdict(Settlement.LEAVE, "its lease was lost")


def test_interrupted_without_a_lease_is_left() -> None:
    story = without_a_lease()
    story.happens(StopBy(25.0))
    assert story.at(25.0) == [TerminateJob()]
    assert story.happens(JobExited(26.0, KILLED)) == [ReadPolicy()]
    assert story.known(26.0) == [EndDelivery()]
    assert story.ended_as(Settlement.LEAVE)
    assert story.delivery.outcome is Outcome.INTERRUPTED


def test_the_lease_counts_as_lost_the_moment_it_ends_even_unnoticed() -> None:
    story = stopping()
    assert story.happens(JobExited(19.0, KILLED)) == [ReadPolicy()]
    assert story.known(20.0) == [TellLeaseLost(), EndDelivery()]
    assert story.ended_as(Settlement.LEAVE)


@pytest.mark.parametrize("begin", [held, retrying])
def test_a_held_message_whose_lease_ends_is_left(begin: Callable[[], Story]) -> None:
    story = begin()
    story.at(7.0)
    assert story.at(20.0) == [TellLeaseLost(), EndDelivery()]
    assert story.delivery.verdict == Verdict(Settlement.LEAVE, "its lease was lost")
