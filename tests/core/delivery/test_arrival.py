"""Whether a message that was received is worked on at all."""

from dataclasses import replace
from math import inf

import pytest

from fleet.core.config import Config
from fleet.core.delivery import LATE, DeliveryPhase, IllegalDeliveryEvent, Rules
from fleet.core.delivery.actions import AskForRelease, EndDelivery, RunJob
from fleet.core.delivery.events import Arrived, FoundUnusable, SentBack, TurnCame
from fleet.core.outcomes import Settlement, Verdict
from fleet.core.reasons import Reason
from tests.core.delivery.deliveries import running, waiting

LATE_ARRIVAL = Arrived(5.0, leaving=True, drain=40.0)


@pytest.mark.parametrize(
    ("arrival", "stop_at"),
    [
        (Arrived(5.0), inf),
        (Arrived(5.0, drain=40.0, is_last_attempt=True), inf),
        (replace(LATE_ARRIVAL, is_last_attempt=True), 45.0),
        (replace(LATE_ARRIVAL, is_last_attempt=True, drain=3.0), 35.0),  # the exit time-out
        (replace(LATE_ARRIVAL, is_last_attempt=True, drain=None), inf),
        (replace(LATE_ARRIVAL, orphan=True), 45.0),
        (replace(LATE_ARRIVAL, orphan=True, drain=3.0), 8.0),
        (replace(LATE_ARRIVAL, orphan=True, drain=None), inf),
    ],
)
def test_it_is_run_until(arrival: Arrived, stop_at: float) -> None:
    story = waiting(Rules(Config(job_timeout=100.0)))
    assert story.happens(arrival) == [RunJob()]
    assert story.phase is DeliveryPhase.RUNNING
    assert (story.delivery.stop_at, story.delivery.timeout_at) == (stop_at, 105.0)


def test_one_that_comes_late_goes_back() -> None:
    story = waiting()
    assert story.happens(LATE_ARRIVAL) == [AskForRelease()]
    assert (story.phase, story.delivery.verdict) == (DeliveryPhase.HELD, LATE)


def test_a_turn_has_its_own_limit() -> None:
    story = waiting(Rules(Config(job_timeout=100.0)))
    assert story.happens(TurnCame(7.0, 50.0)) == [RunJob()]
    assert (story.delivery.stop_at, story.delivery.timeout_at) == (50.0, 107.0)


def test_one_that_is_sent_back_waits_to_be_released() -> None:
    story, back = waiting(), Verdict(Settlement.RELEASE, "why", 7)
    assert story.happens(SentBack(back)) == [AskForRelease()]
    assert (story.phase, story.delivery.verdict) == (DeliveryPhase.HELD, back)


def test_one_that_is_unusable_is_left() -> None:
    story = waiting()
    assert story.happens(FoundUnusable("its body")) == [EndDelivery()]
    assert story.ended_as(Settlement.LEAVE)
    assert story.delivery.verdict == Verdict(Settlement.LEAVE, "its body")
    assert story.delivery.verdict.reason is Reason.UNUSABLE


def test_one_whose_lease_is_lost_while_it_waits_is_left() -> None:
    story = waiting()
    assert story.at(20.0)[-1] == EndDelivery()
    assert story.ended_as(Settlement.LEAVE)


@pytest.mark.parametrize("event", [Arrived(1.0), TurnCame(1.0), SentBack(LATE), FoundUnusable("")])
def test_nothing_arrives_twice(event: Arrived | TurnCame | SentBack | FoundUnusable) -> None:
    with pytest.raises(IllegalDeliveryEvent):
        running().happens(event)
