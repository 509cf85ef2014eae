"""From the verdict to the confirmed request. Part of `delivery.py`'s machine; what fails is in
insisting.py.
"""

from dataclasses import replace
from math import inf

from fleet.core.backoff import pause_before_next
from fleet.core.config import Config
from fleet.core.delivery.events import Ask, End, Hold, Settle
from fleet.core.delivery.state import LONGEST, Delivery, Handled, Phase, Rules, Step, deletes
from fleet.core.outcomes import LOST, Facts, Outcome, Settlement, Verdict, verdict
from fleet.core.reasons import Reason

SETTLE_RETRY_FIRST, SETTLE_RETRY_MOST = 0.1, 5.0  # seconds
SUCCESS = verdict(Outcome.SUCCEEDED, Facts(), Config(), 0)
UNKNOWN = "nobody knows whether it was released"


def conclude(delivery: Delivery) -> Step:
    """A success needs no look at the queue's settings."""
    if delivery.outcome is Outcome.SUCCEEDED:
        return enter(delivery, SUCCESS)
    return replace(delivery, phase=Phase.JUDGING, stop_at=inf, timeout_at=inf, kill_at=inf), (
        Ask(),
    )


def judged(delivery: Delivery, facts: Facts, rules: Rules, jitter: float) -> Verdict:
    """The verdict of exits.py, unless the exit handler has failed."""
    if delivery.outcome is None:
        return Verdict(Settlement.LEAVE, "nobody knows how its job ended", reason=Reason.UNKNOWN)
    if (
        delivery.handled is Handled.TIMED_OUT_TWICE
        and facts.has_dead_letter_queue
        and not facts.lost
    ):
        return Verdict(
            Settlement.DEAD_LETTER, "its exit handler timed out twice", reason=Reason.HANDLER_FAILED
        )
    if delivery.handled in (Handled.FAILED, Handled.TIMED_OUT_TWICE):
        return Verdict(Settlement.LEAVE, "its exit handler failed", reason=Reason.HANDLER_FAILED)
    return verdict(delivery.outcome, facts, rules.config, jitter)


def enter(delivery: Delivery, decided: Verdict) -> Step:
    """Begin to do what was decided."""
    delivery = replace(delivery, verdict=decided, stop_at=inf, timeout_at=inf, kill_at=inf)
    match decided.settlement:
        case Settlement.RELEASE:
            return replace(delivery, phase=Phase.HELD), (Hold(),)
        case Settlement.LEAVE:
            return replace(delivery, phase=Phase.DONE), (End(),)
        case Settlement.DELETE | Settlement.DEAD_LETTER:
            return replace(delivery, phase=Phase.SETTLING), (Settle(decided),)


def left(delivery: Delivery, why: str, reason: Reason) -> Step:
    """The lease runs out, and SQS does the rest."""
    left = Verdict(Settlement.LEAVE, why, reason=reason)
    return replace(delivery, phase=Phase.DONE, verdict=left, settle_at=inf), (End(),)


def lost(delivery: Delivery) -> Step:
    """Others may have it by now."""
    return left(delivery, LOST.why, LOST.reason)


def maybe_released(delivery: Delivery) -> Step:
    """Others may have it by now, too."""
    return left(delivery, UNKNOWN, Reason.MAYBE_RELEASED)


def settle_done(delivery: Delivery) -> Step:
    """Confirmed. A dead letter that was sent is deleted next."""
    if delivery.settlement is Settlement.DEAD_LETTER and not delivery.sent:
        delivery = replace(delivery, sent=True, tries=0)
        return delivery, (Settle(_next_request(delivery)),)
    return replace(delivery, phase=Phase.DONE), (End(),)


def _next_request(delivery: Delivery) -> Verdict:
    if delivery.sent:
        return Verdict(
            Settlement.DELETE, "it was sent to the dead-letter queue", reason=Reason.REJECTED
        )
    return delivery.verdict or Verdict(Settlement.LEAVE, "")


def within_limit(delivery: Delivery, now: float) -> Verdict:
    """The next request; a delay ends where SQS's limit does, seen from now."""
    request = _next_request(delivery)
    return replace(
        request, delay=max(0, min(request.delay, int(delivery.received_at + LONGEST - now)))
    )


def settle_again(delivery: Delivery, now: float) -> Step:
    if not deletes(delivery) and now >= last_moment(delivery):
        return maybe_released(delivery) if now < delivery.lease_until else lost(delivery)
    return replace(delivery, settle_at=inf), (Settle(within_limit(delivery, now)),)


def last_moment(delivery: Delivery) -> float:
    """For what needs a lease."""
    return min(delivery.lease_until, delivery.release_by)


def pause_before(tries: int, jitter: float) -> float:
    """Jitter, so that those who failed together do not come back together; never nothing: that
    would be a hot loop.
    """
    return pause_before_next(tries, SETTLE_RETRY_FIRST, SETTLE_RETRY_MOST, jitter, least=0.25)
