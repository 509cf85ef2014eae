"""One message, from the answer that brought it to the end of its job, and what cannot happen on the
way.
"""

from collections.abc import Callable
from dataclasses import replace
from math import inf

import pytest

from fleet.core.config import LONGEST_VISIBILITY, Config
from fleet.core.delivery import (
    LEASE_KEPT,
    DeliveryPhase,
    IllegalDeliveryEvent,
    Rules,
    wakes_at,
)
from fleet.core.delivery.actions import (
    Action,
    AskForRelease,
    EndDelivery,
    Extend,
    ReadPolicy,
    Settle,
    TellLeaseLost,
)
from fleet.core.delivery.events import (
    Event,
    HandlerExited,
    JobExited,
    JobFrozen,
    JobNotStarted,
    PolicyNotRead,
    PolicyRead,
    ReleaseAllowed,
    SettleDone,
    SettleFailed,
    StopBy,
)
from fleet.core.outcomes import Exit, Facts, Outcome, Settlement, Verdict
from tests.core.delivery.deliveries import (
    BAD,
    DELETE,
    GOOD,
    KILLED,
    REJECT,
    RETRY,
    RULES,
    SEGV,
    SEND,
    WITH_HANDLER,
    Story,
    done,
    frozen,
    handling,
    handling_after_death,
    held,
    judging,
    killing,
    running,
    sent,
    settling,
    stopping,
    without_a_lease,
)

ALMOST_ONE = 0.999999


# The job ends by itself.


def test_a_success_needs_no_look_at_the_queues_settings() -> None:
    for rules in (RULES, WITH_HANDLER):
        story = running(rules)
        assert story.happens(JobExited(5.0, GOOD)) == [DELETE]
        assert (story.delivery.exit, story.delivery.outcome) == (GOOD, Outcome.SUCCEEDED)
        assert story.happens(SettleDone()) == [EndDelivery()]
        assert story.ended_as(Settlement.DELETE)


@pytest.mark.parametrize(
    ("how", "outcome", "end", "then"),
    [
        (BAD, Outcome.FAILED, Settlement.LEAVE, EndDelivery()),
        (SEGV, Outcome.SIGNALLED, Settlement.RELEASE, AskForRelease()),
        (RETRY, Outcome.RETRIED, Settlement.RELEASE, AskForRelease()),
        (REJECT, Outcome.REJECTED, Settlement.DEAD_LETTER, SEND),
    ],
)
def test_all_else_is_judged_by_them(
    how: Exit, outcome: Outcome, end: Settlement, then: Action
) -> None:
    story = running()
    assert story.happens(JobExited(5.0, how)) == [ReadPolicy()]
    assert (story.delivery.exit, story.delivery.outcome) == (how, outcome)
    assert story.phase is DeliveryPhase.JUDGING
    assert story.delivery.settlement is None
    assert story.known(5.0) == [then]
    assert story.delivery.settlement is end


def test_the_verdict_is_given_on_what_is_known_then() -> None:
    story = running(Rules(Config(visibility_timeout=90.0)), attempt=4)
    story.happens(JobExited(5.0, RETRY))
    story.known(6.0, limit=5, queue=True, after=7.0)
    assert story.delivery.facts == Facts(
        attempt=4,
        limit=5,
        has_dead_letter_queue=True,
        after=7.0,
        room=LONGEST_VISIBILITY - 6.0,
        lost=False,
    )
    assert story.delivery.verdict == Verdict(Settlement.RELEASE, "its job asked for a retry", 7)


def test_what_cannot_be_read_is_asked_for_again_with_backoff_while_the_lease_lasts() -> None:
    story = judging(how=REJECT)
    now, pauses = 2.0, list[float]()
    while story.phase is DeliveryPhase.JUDGING and len(pauses) < 8:
        assert story.happens(PolicyNotRead(now, ALMOST_ONE)) == []
        pauses.append(story.delivery.ask_at - now)
        assert story.wakes_at == min(story.delivery.ask_at, story.delivery.extend_at)
        assert ReadPolicy() not in story.at(now)
        now = story.delivery.ask_at
        asked = story.at(now)
        if Extend(60) in asked:
            story.extended(now)
        assert ReadPolicy() in asked
        assert story.wakes_at > now
    assert pauses[:3] == pytest.approx([0.1, 0.2, 0.4], rel=1e-3)
    assert max(pauses) == pytest.approx(5.0, rel=1e-3)
    assert story.known(now) == [SEND]
    assert (story.delivery.tries, story.delivery.ask_at) == (0, inf)


def test_what_cannot_be_read_before_the_lease_ends_leaves_the_message() -> None:
    story = judging(how=REJECT)
    story.happens(PolicyNotRead(19.9, 0.5))
    story.delivery = replace(story.delivery, extend_at=inf)
    assert story.at(20.0) == [TellLeaseLost(), EndDelivery()]
    assert story.delivery.verdict == Verdict(Settlement.LEAVE, "its lease was lost")
    assert story.at(100.0) == []


def test_what_cannot_be_read_without_a_lease_leaves_the_message_at_once() -> None:
    story = without_a_lease()
    assert story.happens(JobExited(30.0, BAD)) == [ReadPolicy()]
    assert story.happens(PolicyNotRead(31.0, ALMOST_ONE)) == [EndDelivery()]
    assert story.ended_as(Settlement.LEAVE)


def test_the_verdict_follows_the_options() -> None:
    story = judging(Rules(Config(retry_delay=(10.0, 100.0))))
    assert story.known(2.0) == [AskForRelease()]
    assert story.delivery.verdict == Verdict(Settlement.RELEASE, "its job failed", 10)
    story = judging(Rules(Config(dead_letter="direct")))
    assert story.known(2.0, limit=1)[0] == Settle(
        Verdict(Settlement.DEAD_LETTER, "its job failed on its last attempt (--dead-letter direct)")
    )
    story = judging(Rules(Config(delete_failed=True)))
    assert story.known(2.0) == [
        Settle(Verdict(Settlement.DELETE, "its job failed (--delete-failed)"))
    ]


def test_a_job_that_could_not_be_started_has_no_outcome() -> None:
    story = running(Rules(Config(job_timeout=9.0)), stop_at=5.0)
    assert story.happens(JobNotStarted(1.0)) == [AskForRelease()]
    assert (story.delivery.exit, story.delivery.outcome) == (None, None)
    assert (story.delivery.stop_at, story.delivery.timeout_at) == (inf, inf)
    assert story.delivery.verdict == Verdict(Settlement.RELEASE, "this host had no process for it")


def test_a_job_that_could_not_be_started_in_time_is_left() -> None:
    story = running()
    assert story.happens(JobNotStarted(20.0)) == [TellLeaseLost(), EndDelivery()]
    assert story.ended_as(Settlement.LEAVE)


# What cannot happen.

WITH_A_JOB = {
    DeliveryPhase.RUNNING,
    DeliveryPhase.STOPPING,
    DeliveryPhase.FROZEN,
    DeliveryPhase.HANDLING,
    DeliveryPhase.KILLING,
}
LEGAL: dict[type[Event], set[DeliveryPhase]] = {
    JobExited: WITH_A_JOB,
    JobNotStarted: {DeliveryPhase.RUNNING},
    JobFrozen: {DeliveryPhase.FROZEN},
    HandlerExited: {DeliveryPhase.HANDLING},
    PolicyRead: {DeliveryPhase.JUDGING},
    PolicyNotRead: {DeliveryPhase.JUDGING},
    StopBy: {DeliveryPhase.RUNNING},
    ReleaseAllowed: {DeliveryPhase.HELD},
    SettleDone: {DeliveryPhase.SETTLING},
    SettleFailed: {DeliveryPhase.SETTLING},
}
EXAMPLES: list[Event] = [
    JobExited(3.0, GOOD),
    JobNotStarted(3.0),
    JobFrozen(3.0),
    HandlerExited(3.0, GOOD),
    PolicyRead(3.0, None, False, None, 0.5),
    PolicyNotRead(3.0, 0.5),
    StopBy(3.0),
    ReleaseAllowed(3.0),
    SettleDone(),
    SettleFailed(3.0, 0.5),
]
BEGINNINGS = [running, stopping, frozen, handling, killing, judging, held, settling, sent, done]


@pytest.mark.parametrize("event", EXAMPLES, ids=lambda event: type(event).__name__)
@pytest.mark.parametrize("begin", BEGINNINGS)
def test_an_event_that_does_not_fit_raises(begin: Callable[[], Story], event: Event) -> None:
    story = begin()
    if story.phase in LEGAL[type(event)]:
        story.happens(event)
        return
    with pytest.raises(IllegalDeliveryEvent, match=story.phase.name):
        story.happens(event)


def test_nobody_dies_twice() -> None:
    story = handling_after_death()
    with pytest.raises(IllegalDeliveryEvent):
        story.happens(JobExited(2.0, KILLED))
    story = handling()
    story.at(6.0)
    story.happens(HandlerExited(6.0, KILLED))
    with pytest.raises(IllegalDeliveryEvent):
        story.happens(HandlerExited(6.1, KILLED))


def test_the_lease_is_kept_while_the_message_is_ours_and_unsettled() -> None:
    assert frozenset(DeliveryPhase) - {DeliveryPhase.SETTLING, DeliveryPhase.DONE} == LEASE_KEPT
    assert wakes_at(done().delivery) == inf
