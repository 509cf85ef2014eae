"""From the verdict to the confirmed request. Part of `delivery.py`'s machine."""

from dataclasses import replace
from math import inf

from fleet.core.delivery_books import LONGEST, Delivery, Handled, Phase, Rules, Step
from fleet.core.delivery_events import Ask, End, Hold, Settle
from fleet.core.exits import Facts, Outcome, Policy, Settlement, Verdict, verdict

SETTLE_RETRY_FIRST, SETTLE_RETRY_MOST = 0.1, 5.0  # seconds
UNKNOWN = "nobody knows whether it was released"
LATE_DELETE = 300.0  # seconds past the lease for which a standard queue's delete is tried


def conclude(delivery: Delivery) -> Step:
    """A success needs no look at the queue's settings."""
    if delivery.outcome is Outcome.SUCCEEDED:
        return enter(delivery, verdict(Outcome.SUCCEEDED, Facts(), Policy(), 0))
    return replace(delivery, phase=Phase.JUDGING, stop_at=inf, timeout_at=inf, kill_at=inf), (Ask(),)


def judged(delivery: Delivery, facts: Facts, rules: Rules, luck: float) -> Verdict:
    """The verdict of exits.py, unless the exit handler has failed."""
    if delivery.outcome is None:
        return Verdict(Settlement.LEAVE, "nobody knows how its job ended")
    if delivery.handled is Handled.TIMED_OUT_TWICE and facts.has_dead_letter_queue and not facts.lost:
        return Verdict(Settlement.DEAD_LETTER, "its exit handler timed out twice")
    if delivery.handled in (Handled.FAILED, Handled.TIMED_OUT_TWICE):
        return Verdict(Settlement.LEAVE, "its exit handler failed")
    return verdict(delivery.outcome, facts, rules.policy, luck)


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


def left(delivery: Delivery, why: str) -> Step:
    """The lease runs out, and SQS does the rest."""
    left = Verdict(Settlement.LEAVE, why)
    return replace(delivery, phase=Phase.DONE, verdict=left, settle_at=inf), (End(),)


def settle_done(delivery: Delivery) -> Step:
    """Confirmed. A dead letter that was sent is deleted next."""
    if delivery.settlement is Settlement.DEAD_LETTER and not delivery.sent:
        return replace(delivery, sent=True, tries=0), (Settle(_next_request(replace(delivery, sent=True))),)
    return replace(delivery, phase=Phase.DONE), (End(),)


def _next_request(delivery: Delivery) -> Verdict:
    if delivery.sent:
        return Verdict(Settlement.DELETE, "it was sent to the dead-letter queue")
    return delivery.verdict or Verdict(Settlement.LEAVE, "")


def within_limit(delivery: Delivery, now: float) -> Verdict:
    """The next request; a delay ends where SQS's limit does, seen from now."""
    request = _next_request(delivery)
    return replace(request, delay=max(0, min(request.delay, int(delivery.received_at + LONGEST - now))))


def settle_again(delivery: Delivery, now: float) -> Step:
    if delivery.settlement is not Settlement.DELETE and not delivery.sent and now >= _last_moment(delivery):
        return left(delivery, UNKNOWN if now < delivery.lease_until else "its lease was lost")
    return replace(delivery, settle_at=inf), (Settle(within_limit(delivery, now)),)


def _last_moment(delivery: Delivery) -> float:
    """For what needs a lease."""
    return min(delivery.lease_until, delivery.release_by)


def pause_before(tries: int, luck: float) -> float:
    """Jitter, so that those who failed together do not come back together; never nothing: that would be a hot loop."""
    longest: float = min(SETTLE_RETRY_MOST, SETTLE_RETRY_FIRST * 2 ** min(tries - 1, 16))
    return longest * (0.25 + 0.75 * luck)


def try_later(delivery: Delivery, now: float, luck: float, final: bool, rules: Rules) -> Step:
    """A settlement that failed is asked for again until the lease ends; a standard queue's delete for longer."""
    tries = delivery.tries + 1
    pause = min(pause_before(tries, luck), rules.first_lease / 6)  # a beat must come in the last third of a lease
    deleting = delivery.settlement is Settlement.DELETE or delivery.sent
    late = LATE_DELETE if deleting and not rules.fifo else 0.0
    deadline = delivery.lease_until + late if deleting else _last_moment(delivery)
    if final or now + pause >= deadline:
        if delivery.release_by < inf:
            return left(delivery, UNKNOWN)
        sent = " after it was sent to the dead-letter queue" if delivery.sent else ""
        return left(delivery, f"the queue did not take the settlement{sent}")
    return replace(delivery, tries=tries, settle_at=now + pause), ()
