"""From the verdict to the confirmed request: release, dead letter, and every request that fails."""

from collections.abc import Callable
from dataclasses import replace
from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.core.config import LONGEST_VISIBILITY, Config
from fleet.core.delivery import DeliveryPhase, Rules
from fleet.core.delivery.actions import (
    AskForRelease,
    EndDelivery,
    Extend,
    ReadPolicy,
    Settle,
    TellLeaseLost,
)
from fleet.core.delivery.events import (
    Extended,
    ExtendFailed,
    JobExited,
    PolicyNotRead,
    ReleaseAllowed,
    SettleDone,
    SettleFailed,
)
from fleet.core.delivery.lease import KEPT_FOR
from fleet.core.delivery.retries import LATE_DELETE, LETTER_TRIES, POLICY_FOR
from fleet.core.outcomes import Exit, Facts, Settlement, Verdict
from tests.core.delivery.deliveries import (
    BAD,
    DELETE,
    DELETE_SENT,
    GIVE_BACK,
    KILLED,
    REJECT,
    RETRY,
    SEGV,
    SEND,
    Story,
    done,
    held,
    judging,
    releasing,
    retrying,
    sending,
    sent,
    settling,
    stopping,
)

ALMOST_ONE = 0.999999
UNSENT = "rejected, and nobody could send it to a dead-letter queue"


# Release.


def test_a_message_that_came_too_late_is_held_freed_and_released() -> None:
    story = held()
    assert story.delivery.settlement is Settlement.RELEASE
    assert story.happens(ReleaseAllowed(3.0)) == [GIVE_BACK]
    assert story.happens(SettleDone()) == [EndDelivery()]
    assert story.ended_as(Settlement.RELEASE)
    assert story.delivery.outcome is None


def test_a_message_that_is_freed_when_its_lease_has_ended_is_left() -> None:
    story = held()
    assert story.happens(ReleaseAllowed(20.0)) == [TellLeaseLost(), EndDelivery()]
    assert story.ended_as(Settlement.LEAVE)


def test_a_held_message_has_no_deadline_but_its_lease() -> None:
    story = stopping()
    story.happens(JobExited(2.0, KILLED))
    story.known(2.0)
    assert (story.delivery.stop_at, story.delivery.timeout_at, story.delivery.kill_at) == (
        inf,
        inf,
        inf,
    )
    assert story.wakes_at == pytest.approx(20 / 3)


def test_a_delay_counts_from_the_release() -> None:
    story = retrying()
    assert story.happens(ReleaseAllowed(9.0)) == [
        Settle(Verdict(Settlement.RELEASE, "its job asked for a retry", 600))
    ]


def test_a_delay_is_never_more_than_sqs_allows_when_it_is_asked_for() -> None:
    """It was held, and tried, for a while: 12 hours from the receive are nearer now."""
    story = retrying()
    story.delivery = replace(story.delivery, lease_until=LONGEST_VISIBILITY)
    assert story.happens(ReleaseAllowed(LONGEST_VISIBILITY - 100.5)) == [
        Settle(Verdict(Settlement.RELEASE, "its job asked for a retry", 100))
    ]
    story.happens(SettleFailed(LONGEST_VISIBILITY - 50.5, 0.0))
    assert story.at(LONGEST_VISIBILITY - 50.4) == [
        Settle(Verdict(Settlement.RELEASE, "its job asked for a retry", 50))
    ]


# Dead letter: two requests.


def test_a_dead_letter_is_deleted_when_it_is_confirmed_that_it_was_sent() -> None:
    story = sending()
    assert story.happens(SettleDone()) == [DELETE_SENT]
    assert story.delivery.sent
    assert story.phase is DeliveryPhase.SETTLING
    assert story.happens(SettleDone()) == [EndDelivery()]
    assert story.ended_as(Settlement.DEAD_LETTER)


def test_a_letter_that_is_not_sent_is_sent_again_and_nothing_is_deleted() -> None:
    story = sending()
    assert story.happens(SettleFailed(3.0, 0.5)) == []
    assert story.at(story.wakes_at) == [SEND]
    assert story.happens(SettleFailed(19.9999, ALMOST_ONE)) == [EndDelivery()]
    assert story.delivery.verdict == Verdict(Settlement.LEAVE, UNSENT)
    assert [action for action in story.asked if isinstance(action, Settle)] == [SEND, SEND]


@pytest.mark.parametrize("delete_failed", [False, True])
def test_a_letter_that_cannot_be_sent_makes_a_failure_of_the_message(delete_failed: bool) -> None:
    """With the delay of one; and it is not deleted, for it was meant for a dead-letter queue."""
    rules = Rules(Config(retry_delay=(100.0,), delete_failed=delete_failed))
    story = sending(rules)
    assert story.happens(SettleFailed(3.0, 0.5, final=True)) == [AskForRelease()]
    assert not story.delivery.sent
    assert not (story.delivery.facts or Facts()).has_dead_letter_queue
    assert story.happens(ReleaseAllowed(4.0)) == [Settle(Verdict(Settlement.RELEASE, UNSENT, 100))]
    assert story.happens(SettleDone()) == [EndDelivery()]
    assert story.ended_as(Settlement.RELEASE)


def test_its_lease_is_kept_until_it_is_released() -> None:
    story = sending(Rules(Config(retry_delay=(100.0,))))
    story.happens(SettleFailed(19.99, 0.5))
    assert story.phase is DeliveryPhase.HELD
    assert story.at(19.99) == [Extend(60)]


def test_without_a_retry_delay_it_is_left() -> None:
    story = sending()
    assert story.happens(SettleFailed(3.0, 0.5, final=True)) == [EndDelivery()]
    assert story.delivery.verdict == Verdict(Settlement.LEAVE, UNSENT)


@pytest.mark.parametrize(("how", "direct"), [(BAD, True), (SEGV, True)])
def test_the_same_where_a_last_attempt_was_to_be_moved_directly(how: Exit, direct: bool) -> None:
    """SQS itself moves it, at its next receive."""
    story = judging(
        Rules(Config(dead_letter="direct" if direct else "native", retry_delay=(100.0,))), how
    )
    (send,) = story.known(2.0, limit=1)
    assert isinstance(send, Settle)
    assert send.what.settlement is Settlement.DEAD_LETTER
    assert story.happens(SettleFailed(3.0, 0.5, final=True)) == [AskForRelease()]
    assert story.delivery.settlement is Settlement.RELEASE


def test_a_letter_that_is_not_allowed_is_tried_a_few_times() -> None:
    story = sending(Rules(Config(retry_delay=(100.0,))))
    for _ in range(LETTER_TRIES - 1):
        assert story.happens(SettleFailed(3.0, 0.5, denied=True)) == []
        assert story.at(story.wakes_at) == [SEND]
    assert story.happens(SettleFailed(5.0, 0.5, denied=True)) == [AskForRelease()]


def test_a_letter_that_is_not_sent_when_the_lease_has_ended_is_not_sent_any_more() -> None:
    story = sending()
    story.happens(SettleFailed(3.0, 0.5))
    assert story.at(20.0) == [EndDelivery()]
    assert story.ended_as(Settlement.LEAVE)


def test_a_letter_that_was_sent_is_not_sent_again() -> None:
    """Only the delete is repeated, with a backoff of its own, and for as long as any delete."""
    story = sending()
    story.happens(SettleFailed(3.0, ALMOST_ONE))
    story.at(story.wakes_at)
    story.happens(SettleDone())
    assert story.delivery.tries == 0
    story.happens(SettleFailed(4.0, ALMOST_ONE))
    assert story.wakes_at == pytest.approx(4.1)
    assert story.at(story.wakes_at) == [DELETE_SENT]
    story.happens(SettleFailed(30.0, ALMOST_ONE))
    assert story.at(400.0) == [TellLeaseLost(), DELETE_SENT]
    assert story.happens(SettleFailed(400.0, 0.0)) == [EndDelivery()]
    assert story.delivery.verdict == Verdict(
        Settlement.LEAVE,
        "the queue did not take the settlement after it was sent to the dead-letter queue",
    )
    assert story.delivery.sent


# What is done when the queue's settings cannot be read.


def test_they_are_asked_for_again_for_a_minute_and_then_it_is_settled_without_them() -> None:
    story = judging(Rules(Config(retry_delay=(100.0,))))
    asked = 1
    now = 2.0
    while story.phase is DeliveryPhase.JUDGING:
        story.happens(PolicyNotRead(now, ALMOST_ONE))
        while story.phase is DeliveryPhase.JUDGING:
            now = story.wakes_at
            actions = story.at(now)
            if Extend(60) in actions:
                story.extended(now)
            if ReadPolicy() in actions:
                asked += 1
                break
    assert POLICY_FOR - 5.0 <= now - 2.0 < POLICY_FOR
    assert asked > 10
    assert story.delivery.settlement is Settlement.RELEASE
    assert story.delivery.tries == 0


@pytest.mark.parametrize(
    ("how", "settlement", "delay"),
    [(RETRY, Settlement.RELEASE, 7), (REJECT, Settlement.RELEASE, 100)],
)
def test_at_a_stop_it_is_settled_without_them_at_once(
    how: Exit, settlement: Settlement, delay: int
) -> None:
    """What a Retry asked for is known; a rejected message may have a dead-letter queue, so it is
    not deleted.
    """
    story = judging(Rules(Config(retry_delay=(100.0,), delete_failed=how is REJECT)), how)
    assert story.happens(PolicyNotRead(3.0, 0.5, after=7.0, ends_at=50.0)) == [AskForRelease()]
    assert story.delivery.verdict is not None
    assert (story.delivery.settlement, story.delivery.verdict.delay) == (settlement, delay)


def test_the_settings_of_a_queue_that_is_gone_are_not_asked_for_again() -> None:
    story = judging(Rules(Config(retry_delay=(100.0,))))
    assert story.happens(PolicyNotRead(3.0, 0.5, gone=True)) == [EndDelivery()]
    assert story.delivery.verdict == Verdict(Settlement.LEAVE, "its queue does not exist any more")


# Settling.


def test_a_settlement_is_asked_for_once_until_it_is_answered() -> None:
    story = settling()
    assert story.wakes_at == inf
    assert story.at(3.0) == []
    assert story.happens(SettleDone()) == [EndDelivery()]
    assert story.ended_as(Settlement.DELETE)


def fails_until_the_end(
    story: Story,
    request: Settle,
    *,
    now: float = 2.0,
    kept_until: float = -inf,
    denied: bool = False,
) -> tuple[float, list[float]]:
    """Every answer is bad: when the last request was made, and the pauses.

    Extends are confirmed until `kept_until`.
    """
    last, pauses = now, []
    while story.phase is DeliveryPhase.SETTLING:
        story.happens(SettleFailed(now, ALMOST_ONE, denied=denied))
        while story.phase is DeliveryPhase.SETTLING:
            now = story.wakes_at
            asked = story.at(now)
            if Extend(60) in asked:
                story.happens(
                    Extended(now, now, 60.0, 0.0) if now < kept_until else ExtendFailed(now, 0.0)
                )
            if request in asked:
                pauses.append(now - last)
                last = now
                break
    assert story.asked[-1] == EndDelivery()
    assert story.ended_as(Settlement.LEAVE)
    return last, pauses


@pytest.mark.parametrize("begin", [settling, sent, releasing, sending])
def test_a_failed_settlement_is_asked_for_again_with_backoff(begin: Callable[[], Story]) -> None:
    request = {settling: DELETE, sent: DELETE_SENT, releasing: GIVE_BACK, sending: SEND}[begin]
    _, pauses = fails_until_the_end(begin(), request)
    assert len(pauses) >= 5
    assert pauses[0] == pytest.approx(0.1, rel=1e-3)
    assert pauses[1] == pytest.approx(2 * pauses[0], rel=1e-3)
    assert max(pauses) <= 5.0


@pytest.mark.parametrize(
    ("begin", "request_", "fifo", "until"),
    [
        (settling, DELETE, False, 320.0),  # the work is done: a standard queue takes a late delete
        (sent, DELETE_SENT, False, 320.0),
        (settling, DELETE, True, 20.0),  # a FIFO queue does not
        (sent, DELETE_SENT, True, 20.0),
        (releasing, GIVE_BACK, False, 20.0),
        (sending, SEND, False, 20.0),
    ],
)
def test_a_settlement_is_asked_for_until_the_lease_ends_and_a_delete_for_longer(
    begin: Callable[[], Story], request_: Settle, fifo: bool, until: float
) -> None:
    story = begin()
    story.rules = replace(story.rules, is_fifo=fifo)
    last, _ = fails_until_the_end(story, request_)
    assert until - 5.1 <= last < until


@pytest.mark.parametrize(
    ("begin", "fifo", "end"),
    [(releasing, False, 20.0), (settling, True, 20.0), (settling, False, 320.0)],
)
def test_the_last_moment_for_a_settlement(
    begin: Callable[[], Story], fifo: bool, end: float
) -> None:
    for now, over in ((end - 0.1, False), (end - 0.01, True), (end, True)):
        story = begin()
        story.rules = replace(story.rules, is_fifo=fifo)
        story.delivery = replace(story.delivery, failing_since=2.0)
        story.happens(SettleFailed(now, 0.0))
        assert (story.phase is DeliveryPhase.DONE) == over


@given(st.integers(0, 100), st.floats(0, 1, exclude_max=True), st.sampled_from([2.0, 12.0, 1000.0]))
def test_the_pause_before_another_settlement_is_bounded(
    tries: int, jitter: float, visibility: float
) -> None:
    """Never nothing, which would be a hot loop; never more than a lease has room for."""
    story = settling(Rules(Config(visibility_timeout=visibility)))
    story.delivery = replace(story.delivery, tries=tries, lease_until=1000.0, extend_at=500.0)
    assert story.happens(SettleFailed(3.0, jitter)) == []
    assert story.delivery.tries == tries + 1
    assert 3.0 + 0.1 / 4 <= story.wakes_at <= 3.0 + min(5.0, story.rules.first_lease / 6)


@pytest.mark.parametrize(
    ("tries", "jitter", "pause"), [(0, 0.0, 0.025), (0, ALMOST_ONE, 0.1), (50, ALMOST_ONE, 20 / 6)]
)
def test_the_pause_grows_to_its_bound(tries: int, jitter: float, pause: float) -> None:
    story = settling()
    story.delivery = replace(story.delivery, tries=tries)
    story.happens(SettleFailed(3.0, jitter))
    assert story.wakes_at == pytest.approx(3.0 + pause, rel=1e-4)


@pytest.mark.parametrize("begin", [settling, sent])
def test_while_a_delete_is_insisted_on_nobody_else_gets_the_message(
    begin: Callable[[], Story],
) -> None:
    """A FIFO queue's, too. For five minutes; then it is tried until the lease ends, and after."""
    for fifo in (False, True):
        story = begin()
        story.rules = replace(story.rules, is_fifo=fifo)
        last, _ = fails_until_the_end(
            story, DELETE if begin is settling else DELETE_SENT, kept_until=inf
        )
        extends = [action for action in story.asked if isinstance(action, Extend)]
        assert len(extends) > 10
        assert not fifo or TellLeaseLost() not in story.asked
        until = 2.0 + KEPT_FOR + 60.0 + (0.0 if fifo else LATE_DELETE)
        assert until - 30.0 < last <= until


@pytest.mark.parametrize("begin", [settling, sent])
@pytest.mark.parametrize("fifo", [False, True])
def test_a_denied_delete_is_insisted_on_for_a_minute_from_its_first_refusal(
    begin: Callable[[], Story], fifo: bool
) -> None:
    story = begin()
    story.rules = replace(story.rules, is_fifo=fifo)
    story.happens(SettleFailed(2.0, 0.0))
    (request,) = story.at(5.0)
    assert isinstance(request, Settle)
    last, pauses = fails_until_the_end(story, request, now=5.0, kept_until=inf, denied=True)
    assert 65.0 - 5.1 <= last < 65.0
    assert pauses == pytest.approx(sorted(pauses))
    assert story.delivery.verdict is not None
    assert story.delivery.verdict.why.startswith("its delete was not allowed")
    assert TellLeaseLost() not in story.asked


def test_a_denial_that_passes_is_no_denial_any_more() -> None:
    """What follows it is repeated for as long as that is."""
    story = settling()
    story.happens(SettleFailed(3.0, 0.5, denied=True))
    assert story.happens(SettleFailed(100.0, 0.5)) == []
    assert story.happens(SettleFailed(100.0, 0.5, denied=True)) == [EndDelivery()]


@pytest.mark.parametrize("begin", [settling, releasing, sending, sent])
def test_a_stop_ends_it_in_time_for_the_last_answer(begin: Callable[[], Story]) -> None:
    """Two time-outs of a call, a sixth of the first lease each, and a second to be gone."""
    for now, over in ((40.0 - 20 / 3 - 1.1, False), (40.0 - 20 / 3 - 1.0, True)):
        story = begin()
        story.delivery = replace(story.delivery, lease_until=100.0)
        story.happens(SettleFailed(now, 0.0, ends_at=40.0))
        assert (story.phase is DeliveryPhase.DONE) == over


@pytest.mark.parametrize("begin", [settling, releasing, sending, sent])
def test_a_settlement_that_cannot_succeed_is_left_at_once(begin: Callable[[], Story]) -> None:
    story = begin()
    assert story.happens(SettleFailed(3.0, 0.0, final=True)) == [EndDelivery()]
    assert story.ended_as(Settlement.LEAVE)


def test_nothing_is_released_after_the_lease_has_ended_however_late_the_clock() -> None:
    for now in (20.0, 500.0):
        story = releasing()
        story.happens(SettleFailed(3.0, 0.5))
        assert story.at(now) == [EndDelivery()]
        assert story.ended_as(Settlement.LEAVE)


def test_a_release_that_may_have_been_done_is_not_made_again() -> None:
    """Somebody else may have the message by then, and would lose it."""
    story = releasing()
    assert story.happens(SettleFailed(3.0, 0.0, visible_at=2.9)) == [EndDelivery()]
    assert story.delivery.verdict == Verdict(
        Settlement.LEAVE, "nobody knows whether it was released"
    )


def test_its_delay_would_still_hide_the_message() -> None:
    """Until then it can be made again, and not a moment later, whatever was answered meanwhile."""
    story = releasing()
    assert story.happens(SettleFailed(3.0, 0.5, visible_at=8.0)) == []
    assert story.at(story.wakes_at) == [GIVE_BACK]
    assert story.happens(SettleFailed(4.0, 0.5, visible_at=9.0)) == []
    assert story.happens(SettleFailed(5.0, 0.5)) == []
    assert story.at(8.0) == [EndDelivery()]
    assert story.delivery.verdict == Verdict(
        Settlement.LEAVE, "nobody knows whether it was released"
    )


def test_finished_work_is_deleted_however_late_the_clock() -> None:
    story = settling()
    story.happens(SettleFailed(3.0, 0.5))
    assert story.at(500.0) == [TellLeaseLost(), DELETE]


@pytest.mark.parametrize("begin", [settling, sending, sent, done])
def test_what_is_being_settled_is_not_extended_before_its_delete_has_failed(
    begin: Callable[[], Story],
) -> None:
    story = begin()
    assert story.at(7.0) == []
    assert story.at(50.0) == []


def test_a_delivery_that_is_done_waits_for_nothing() -> None:
    assert done().wakes_at == inf
