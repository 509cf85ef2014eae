"""From the verdict to the confirmed request. Part of machine.py; retries.py is what fails."""

from math import inf

from fleet.core.backoff import pause_before_next
from fleet.core.config import Config
from fleet.core.delivery.actions import AskForRelease, EndDelivery, ReadPolicy, Settle
from fleet.core.delivery.lease import check_lease
from fleet.core.delivery.state import (
    Delivery,
    DeliveryPhase,
    HandlerResult,
    Rules,
    Step,
    is_delete_next,
    prepend,
    room_left,
)
from fleet.core.outcomes import LOST, Facts, Outcome, Settlement, Verdict, verdict_for
from fleet.core.reasons import Reason
from fleet.core.records import replace

SETTLE_RETRY_FIRST, SETTLE_RETRY_MOST = 0.1, 5.0  # seconds
SUCCESS = verdict_for(Outcome.SUCCEEDED, Facts(), Config(), 0)
UNKNOWN = "nobody knows whether it was released"


def conclude(delivery: Delivery) -> Step:
    """Nothing of the job exists any more. A success needs no look at the queue's settings."""
    if delivery.outcome is Outcome.SUCCEEDED:
        return settle(delivery, SUCCESS)
    judging = replace(
        delivery, phase=DeliveryPhase.JUDGING, stop_at=inf, timeout_at=inf, kill_at=inf
    )
    return judging, (ReadPolicy(),)


def judge(delivery: Delivery, facts: Facts, rules: Rules, jitter: float) -> Verdict:
    """The verdict of outcomes.py, unless the exit handler has failed."""
    if delivery.outcome is None:
        return Verdict(Settlement.LEAVE, "nobody knows how its job ended", reason=Reason.UNKNOWN)
    result, reason = delivery.handler_result, Reason.HANDLER_FAILED
    timed_out_twice = result is HandlerResult.TIMED_OUT_TWICE
    if timed_out_twice and facts.has_dead_letter_queue and not facts.lost:
        why = "its exit handler timed out twice"
        return Verdict(Settlement.DEAD_LETTER, why, reason=reason)
    if timed_out_twice or result is HandlerResult.FAILED:
        return Verdict(Settlement.LEAVE, "its exit handler failed", reason=reason)
    return verdict_for(delivery.outcome, facts, rules.config, jitter)


def settle(delivery: Delivery, decided: Verdict) -> Step:
    """Begin to do what was decided."""
    delivery = replace(delivery, verdict=decided, stop_at=inf, timeout_at=inf, kill_at=inf)
    match decided.settlement:
        case Settlement.RELEASE:
            return replace(delivery, phase=DeliveryPhase.HELD), (AskForRelease(),)
        case Settlement.LEAVE:
            return replace(delivery, phase=DeliveryPhase.DONE), (EndDelivery(),)
        case Settlement.DELETE | Settlement.DEAD_LETTER:
            return replace(delivery, phase=DeliveryPhase.SETTLING), (Settle(decided),)


def leave(delivery: Delivery, why: str, reason: Reason) -> Step:
    """The lease runs out, and SQS does the rest."""
    left = Verdict(Settlement.LEAVE, why, reason=reason)
    done = replace(delivery, phase=DeliveryPhase.DONE, verdict=left, settle_at=inf)
    return done, (EndDelivery(),)


def leave_lost(delivery: Delivery) -> Step:
    """The lease was lost: others may have the message by now."""
    return leave(delivery, LOST.why, LOST.reason)


def leave_maybe_released(delivery: Delivery) -> Step:
    """A release was not answered, and may have been done: others may have the message by now."""
    return leave(delivery, UNKNOWN, Reason.MAYBE_RELEASED)


def release(delivery: Delivery, now: float) -> Step:
    """The master allows the release; it is asked for if the lease is still ours."""
    delivery, told = check_lease(delivery, now)
    if delivery.lost:
        return prepend(told, leave_lost(delivery))
    settling = replace(delivery, phase=DeliveryPhase.SETTLING)
    return settling, (Settle(next_request_at(delivery, now)),)


def confirm_settlement(delivery: Delivery) -> Step:
    """SQS has done what was asked for. A dead letter that was sent is deleted next."""
    if delivery.settlement is Settlement.DEAD_LETTER and not delivery.sent:
        delivery = replace(delivery, sent=True, tries=0)
        return delivery, (Settle(_next_request(delivery)),)
    return replace(delivery, phase=DeliveryPhase.DONE), (EndDelivery(),)


def _next_request(delivery: Delivery) -> Verdict:
    if delivery.sent:
        why = "it was sent to the dead-letter queue"
        return Verdict(Settlement.DELETE, why, reason=Reason.REJECTED)
    return delivery.verdict or Verdict(Settlement.LEAVE, "")


def next_request_at(delivery: Delivery, now: float) -> Verdict:
    """The next request; a delay ends where SQS's limit does, seen from now."""
    request, room = _next_request(delivery), int(room_left(delivery, now))
    return replace(request, delay=max(0, min(request.delay, room)))


def repeat_request(delivery: Delivery, now: float) -> Step:
    """The pause after a request that failed is over: ask again, unless it is too late for that."""
    if not is_delete_next(delivery) and now >= last_moment(delivery):
        is_leased = now < delivery.lease_until
        return leave_maybe_released(delivery) if is_leased else leave_lost(delivery)
    return replace(delivery, settle_at=inf), (Settle(next_request_at(delivery, now)),)


def last_moment(delivery: Delivery) -> float:
    """Until when what needs a lease may be asked for."""
    return min(delivery.lease_until, delivery.release_by)


def pause_before(tries: int, jitter: float) -> float:
    """Seconds before the next try of a request; never nothing, which would be a hot loop."""
    return pause_before_next(tries, SETTLE_RETRY_FIRST, SETTLE_RETRY_MOST, jitter, least=0.25)
