"""A request that fails is repeated for some time, then something else is done. Part of machine.py.

| the request | fails, and           | is repeated                                                 |
|-------------|----------------------|-------------------------------------------------------------|
| delete      | the handle or the    | never                                                       |
|             | queue is no good     |                                                             |
|             | it is not allowed    | for DENIED_FOR from its first refusal, the lease kept       |
|             | all else             | until the lease ends, which is kept for KEPT_FOR (lease.py);|
|             |                      | on a standard queue LATE_DELETE longer                      |
| dead letter | there is no queue    | never: the message is settled as one that failed            |
|             | for it               |                                                             |
|             | it is not allowed    | LETTER_TRIES times, then as one that failed                 |
|             | all else             | until the lease ends, then as one that failed               |
| release     | the handle or the    | never                                                       |
|             | queue is no good     |                                                             |
|             | all else             | until the lease ends, or as long as it cannot have been done|

When the pool stops, nothing is repeated that could not be answered before its end.

docs/decisions/0009 has the reasons.
"""

from math import inf

from fleet.core.delivery.events import PolicyNotRead, PolicyRead, SettleFailed
from fleet.core.delivery.failure_hook import report_then_settle
from fleet.core.delivery.lease import check_lease
from fleet.core.delivery.settling import (
    judge,
    last_moment,
    leave,
    leave_maybe_released,
    pause_before,
    settle,
)
from fleet.core.delivery.state import (
    Delivery,
    Rules,
    Step,
    is_delete_next,
    prepend,
    room_left,
)
from fleet.core.outcomes import LOST, Facts, Outcome, Settlement, Verdict
from fleet.core.reasons import Reason
from fleet.core.records import replace

GONE = Verdict(Settlement.LEAVE, "its queue does not exist any more", reason=Reason.QUEUE_GONE)
LATE_DELETE = 300.0  # seconds past the lease for which a standard queue's delete is tried
DENIED_FOR = 60.0  # seconds for which a delete that is not allowed is tried
LETTER_TRIES = 5  # of a letter that is not allowed
POLICY_FOR = 60.0  # seconds for which the redrive policy is asked for
CALL = 10.0  # seconds that one request may take, at the most: to connect, and to be answered
# Shares of a first lease: the longest pause, so that the dispatcher shows in the last third of a
# lease that it lives, and the longest call, twice `Config.call_timeout`.
PAUSE_SHARE, CALL_SHARE = 1 / 6, 1 / 3
FAREWELL = 1.0  # seconds: to tell of the end, and to be gone


def known_facts(delivery: Delivery, now: float) -> Facts:
    """The facts that are known without the queue's settings."""
    return Facts(
        attempt=delivery.attempt,
        room=room_left(delivery, now),
        lost=delivery.lost,
    )


def settle_known(delivery: Delivery, event: PolicyRead, rules: Rules) -> Step:
    """The queue's policy was read, so all is known that a verdict needs."""
    delivery, told = check_lease(delivery, event.now)
    facts = replace(
        known_facts(delivery, event.now),
        limit=event.limit,
        has_dead_letter_queue=event.has_dead_letter_queue,
        after=event.after,
    )
    return prepend(told, settle_by_facts(delivery, facts, event.now, rules, event.jitter))


def settle_by_facts(
    delivery: Delivery, facts: Facts, now: float, rules: Rules, jitter: float
) -> Step:
    """Judge by these facts, and begin to do it."""
    delivery = replace(delivery, facts=facts, tries=0, failing_since=inf)
    return report_then_settle(delivery, judge(delivery, facts, rules, jitter), now, rules)


def retry_policy(delivery: Delivery, event: PolicyNotRead, rules: Rules) -> Step:
    """Ask for the queue's policy again, for POLICY_FOR; then do what can be done without it."""
    now = event.now
    delivery, told = check_lease(delivery, now)
    if delivery.lost or event.gone:
        decided = LOST if delivery.lost else GONE
        return prepend(told, report_then_settle(delivery, decided, now, rules))
    delivery = replace(
        delivery, tries=delivery.tries + 1, failing_since=min(delivery.failing_since, now)
    )
    pause = pause_before(delivery.tries, event.jitter)
    if event.ends_at < inf or now + pause >= delivery.failing_since + POLICY_FOR:
        facts = replace(known_facts(delivery, now), after=event.after, unsure=True)
        return settle_by_facts(delivery, facts, now, rules, event.jitter)
    return replace(delivery, ask_at=now + pause), ()


def retry_settlement(delivery: Delivery, event: SettleFailed, rules: Rules) -> Step:
    """Ask again for a settlement that failed, by the table above."""
    now, tries = event.now, delivery.tries + 1
    release_by = min(delivery.release_by, event.visible_at)
    delivery = replace(delivery, release_by=release_by)
    pause = min(pause_before(tries, event.jitter), rules.first_lease * PAUSE_SHARE)
    if is_delete_next(delivery):
        since = min(delivery.failing_since, now)
        denied = min(delivery.denied_since, now) if event.denied else delivery.denied_since
        delivery = replace(delivery, failing_since=since, denied_since=denied)
    until = min(
        _deadline(delivery, event, rules),
        event.ends_at - min(CALL, rules.first_lease * CALL_SHARE) - FAREWELL,
    )
    letter_is_denied = _is_sending(delivery) and event.denied and tries >= LETTER_TRIES
    if event.final or now + pause >= until or letter_is_denied:
        return _give_up(delivery, event, rules)
    return replace(delivery, tries=tries, settle_at=now + pause), ()


def _is_sending(delivery: Delivery) -> bool:
    """Whether the request is to send a dead letter."""
    return delivery.settlement is Settlement.DEAD_LETTER and not delivery.sent


def _deadline(delivery: Delivery, event: SettleFailed, rules: Rules) -> float:
    """Until when the settlement is asked for again, if nothing else ends that."""
    if not is_delete_next(delivery):
        return last_moment(delivery)
    denied_since = delivery.denied_since if event.denied else inf
    return delete_until(delivery.lease_until, rules.is_fifo, delivery.failing_since, denied_since)


def delete_until(
    lease_until: float, fifo: bool, failing_since: float, denied_since: float = inf
) -> float:
    """Until when a delete is asked for again; `denied_since`: when it was first denied, if it was.

    A job may outlive its lease by hours, and its delete is worth as much then.
    """
    until = lease_until if fifo else max(lease_until, failing_since) + LATE_DELETE
    return min(until, denied_since + DENIED_FOR)


def _give_up(delivery: Delivery, event: SettleFailed, rules: Rules) -> Step:
    """Leave the message. One whose dead letter cannot be sent becomes a failure, with its delay."""
    now = event.now
    if _is_sending(delivery) and delivery.facts and now < delivery.lease_until:
        room = room_left(delivery, now)
        facts = replace(delivery.facts, has_dead_letter_queue=False, unsure=True, room=room)
        if delivery.outcome is Outcome.REJECTED:
            return settle_by_facts(delivery, facts, now, rules, event.jitter)
        delivery = replace(delivery, facts=facts, tries=0)  # its failure has been told
        return settle(delivery, judge(delivery, facts, rules, event.jitter))
    if delivery.release_by < inf:
        return leave_maybe_released(delivery)
    denied = is_delete_next(delivery) and event.denied
    what = "its delete was not allowed" if denied else "the queue did not take the settlement"
    reason = Reason.DELETE_DENIED if denied else Reason.NOT_SETTLED
    return leave(
        delivery,
        what + (" after it was sent to the dead-letter queue" if delivery.sent else ""),
        reason,
    )
