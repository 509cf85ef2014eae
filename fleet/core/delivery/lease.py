"""The lease of a message: when it is asked for again, and when it is lost. Part of `delivery.py`'s
machine.
"""

from dataclasses import replace
from math import ceil

from fleet.core.delivery.events import Action, Extend, LeaseLost, LimitReached
from fleet.core.delivery.state import KEPT, LONGEST, Delivery, Rules, Step, insists

KEPT_FOR = 300.0  # seconds for which the lease is kept while a delete fails
EXTEND_RETRY = (
    1 / 12
)  # of what is left, at least of the first lease: the pause after a failed extend


def third(lease: float, jitter: float) -> float:
    """When to extend a lease of that length: a third of it, up to a tenth earlier, so that hosts
    spread.
    """
    return lease / 3 * (1 - jitter / 10)


def kept(delivery: Delivery) -> bool:
    """Whether the lease is ours and still needed."""
    return (delivery.phase in KEPT or insists(delivery)) and not delivery.lost


def checked(delivery: Delivery, now: float) -> Step:
    """The lease is lost once its time has passed; that is said once."""
    if delivery.lost or now < delivery.lease_until:
        return delivery, ()
    return replace(delivery, lost=True), (LeaseLost(),)


def extension(delivery: Delivery, now: float, rules: Rules) -> tuple[Action, ...]:
    """The extend that is due, never past SQS's limit: beyond it SQS refuses, it does not clamp."""
    if insists(delivery) and now >= delivery.failing_since + KEPT_FOR:
        return ()
    room = delivery.received_at + LONGEST - now
    seconds = int(min(ceil(rules.config.visibility_timeout), room))
    pointless = (
        room < rules.config.visibility_timeout and now + seconds <= delivery.lease_until + 1
    )  # ever less, near the limit
    return (LimitReached(delivery.lease_until - now) if pointless else Extend(seconds),)
