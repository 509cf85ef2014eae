"""What fails is asked for again, and for how long; then something else is done. Part of
`delivery.py`'s machine.

| the request | fails, and                         | is repeated                                                       |
|-------------|------------------------------------|-------------------------------------------------------------------|
| delete      | the handle or the queue is no good | never                                                             |
|             | it is not allowed                  | for DENIED_FOR from its first refusal, the lease kept             |
|             | all else                           | until the lease ends, which is kept for KEPT_FOR (lease.py); on a |
|             |                                    | standard queue LATE_DELETE longer                                 |
| dead letter | there is no queue for it           | never: the message is settled as one that failed                  |
|             | it is not allowed                  | LETTER_TRIES times, then as one that failed                       |
|             | all else                           | until the lease ends, then as one that failed                     |
| release     | the handle or the queue is no good | never                                                             |
|             | all else                           | until the lease ends, or for as long as it cannot have been done  |

When the pool stops, nothing is repeated that could not be answered before its end.
"""

from dataclasses import replace
from math import inf

from fleet.core.delivery.events import NotKnown, SettleFailed
from fleet.core.delivery.failure_hook import decide
from fleet.core.delivery.settling import (
    enter,
    judged,
    last_moment,
    left,
    maybe_released,
    pause_before,
)
from fleet.core.delivery.state import LONGEST, Delivery, Rules, Step, deletes
from fleet.core.outcomes import LOST, Facts, Outcome, Settlement, Verdict
from fleet.core.reasons import Reason

GONE = Verdict(Settlement.LEAVE, "its queue does not exist any more", reason=Reason.QUEUE_GONE)
LATE_DELETE = 300.0  # seconds past the lease for which a standard queue's delete is tried
DENIED_FOR = 60.0  # seconds for which a delete that is not allowed is tried
LETTER_TRIES = 5  # of a letter that is not allowed
POLICY_FOR = 60.0  # seconds for which the redrive policy is asked for
CALL = 10.0  # seconds that one request may take, at the most: to connect, and to be answered
FAREWELL = 1.0  # seconds: to tell of the end, and to be gone


def facts_at(delivery: Delivery, now: float) -> Facts:
    """What is known without the queue's settings."""
    return Facts(
        attempt=delivery.attempt,
        room=delivery.received_at + LONGEST - now,
        lost=delivery.lost,
    )


def settle_by(delivery: Delivery, facts: Facts, now: float, rules: Rules, jitter: float) -> Step:
    """Judge by these facts, and begin to do it."""
    delivery = replace(delivery, facts=facts, tries=0, failing_since=inf)
    return decide(delivery, judged(delivery, facts, rules, jitter), now, rules)


def not_known(delivery: Delivery, event: NotKnown, rules: Rules) -> Step:
    """The policy is asked for again; at some time what can be done without it is done."""
    now = event.now
    if delivery.lost:
        return decide(delivery, LOST, now, rules)
    if event.gone:
        return decide(delivery, GONE, now, rules)
    delivery = replace(
        delivery, tries=delivery.tries + 1, failing_since=min(delivery.failing_since, now)
    )
    pause = pause_before(delivery.tries, event.jitter)
    if event.ends_at < inf or now + pause >= delivery.failing_since + POLICY_FOR:
        facts = replace(facts_at(delivery, now), after=event.after, unsure=True)
        return settle_by(delivery, facts, now, rules, event.jitter)
    return replace(delivery, ask_at=now + pause), ()


def try_later(delivery: Delivery, event: SettleFailed, rules: Rules) -> Step:
    """A settlement that failed is asked for again, by the table above."""
    now = event.now
    tries = delivery.tries + 1
    pause = min(
        pause_before(tries, event.jitter), rules.first_lease / 6
    )  # a beat must come in the last third of a lease
    if deletes(delivery):
        since = min(delivery.failing_since, now)
        denied = min(delivery.denied_since, now) if event.denied else delivery.denied_since
        delivery = replace(delivery, failing_since=since, denied_since=denied)
    until = min(
        _deadline(delivery, event, rules),
        event.ends_at - min(CALL, rules.first_lease / 3) - FAREWELL,
    )
    if (
        event.final
        or now + pause >= until
        or (_sends(delivery) and event.denied and tries >= LETTER_TRIES)
    ):
        return _given_up(delivery, event, rules)
    return replace(delivery, tries=tries, settle_at=now + pause), ()


def _sends(delivery: Delivery) -> bool:
    return delivery.settlement is Settlement.DEAD_LETTER and not delivery.sent


def _deadline(delivery: Delivery, event: SettleFailed, rules: Rules) -> float:
    """Until when it is asked for again, if nothing else ends it."""
    if not deletes(delivery):
        return last_moment(delivery)
    denied_since = delivery.denied_since if event.denied else inf
    return delete_until(delivery.lease_until, rules.is_fifo, delivery.failing_since, denied_since)


def delete_until(
    lease_until: float, fifo: bool, failing_since: float, denied_since: float = inf
) -> float:
    """Until when a delete is asked for again; `denied_since`: when it was first denied, if it is.

    A job may outlive its lease by hours, and its delete is worth as much then.
    """
    until = lease_until if fifo else max(lease_until, failing_since) + LATE_DELETE
    return min(until, denied_since + DENIED_FOR)


def _given_up(delivery: Delivery, event: SettleFailed, rules: Rules) -> Step:
    """A letter that cannot be sent makes a failure of the message, which is tried again with its
    delay.
    """
    now = event.now
    if _sends(delivery) and delivery.facts and now < delivery.lease_until:
        room = delivery.received_at + LONGEST - now
        facts = replace(delivery.facts, has_dead_letter_queue=False, unsure=True, room=room)
        if delivery.outcome is Outcome.REJECTED:
            return settle_by(delivery, facts, now, rules, event.jitter)
        delivery = replace(delivery, facts=facts, tries=0)  # its failure has been told
        return enter(delivery, judged(delivery, facts, rules, event.jitter))
    if delivery.release_by < inf:
        return maybe_released(delivery)
    denied = deletes(delivery) and event.denied
    what = "its delete was not allowed" if denied else "the queue did not take the settlement"
    reason = Reason.DELETE_DENIED if denied else Reason.NOT_SETTLED
    return left(
        delivery,
        what + (" after it was sent to the dead-letter queue" if delivery.sent else ""),
        reason,
    )
