"""The lease of a message: when it is extended, and when it is lost. Part of machine.py."""

from math import ceil, inf

from fleet.core.config import extend_interval
from fleet.core.delivery.actions import Action, Extend, TellLeaseLimit, TellLeaseLost
from fleet.core.delivery.events import Extended, ExtendFailed
from fleet.core.delivery.state import (
    LEASE_KEPT,
    Delivery,
    Rules,
    Step,
    is_repeating_delete,
    room_left,
)
from fleet.core.records import replace

KEPT_FOR = 300.0  # seconds for which the lease is kept while a delete fails
# Of what is left, at least of the first lease: the pause after a failed extend.
EXTEND_RETRY = 1 / 12


def extend_after(lease: float, jitter: float) -> float:
    """How many seconds after its beginning a lease of that length is extended.

    At its interval, or up to a tenth earlier, so that hosts spread.
    """
    return extend_interval(lease) * (1 - jitter / 10)


def needs_lease(delivery: Delivery) -> bool:
    """Whether the lease is ours and still needed."""
    needed = delivery.phase in LEASE_KEPT or is_repeating_delete(delivery)
    return needed and not delivery.lost


def check_lease(delivery: Delivery, now: float) -> Step:
    """The lease is lost once its time has passed; that is told once."""
    if delivery.lost or now < delivery.lease_until:
        return delivery, ()
    return replace(delivery, lost=True), (TellLeaseLost(),)


def request_extend(delivery: Delivery, now: float, rules: Rules) -> tuple[Action, ...]:
    """The extend that is due, never past SQS's limit: beyond it SQS refuses, it does not clamp."""
    if is_repeating_delete(delivery) and now >= delivery.failing_since + KEPT_FOR:
        return ()
    room, lease = room_left(delivery, now), rules.config.visibility_timeout
    seconds = int(min(ceil(lease), room))
    # Near the limit every extend would gain less than the one before.
    is_pointless = room < lease and now + seconds <= delivery.lease_until + 1
    return (TellLeaseLimit(delivery.lease_until - now) if is_pointless else Extend(seconds),)


def confirm_extend(delivery: Delivery, event: Extended) -> Step:
    """The lease begins anew, unless the answer came too late: somebody else may have it by now."""
    if not needs_lease(delivery) or event.now >= delivery.lease_until:
        return delivery, ()
    until = event.before + event.seconds
    extend_at = event.before + extend_after(event.seconds, event.jitter)
    return replace(delivery, lease_until=until, extend_at=extend_at), ()


def retry_extend(delivery: Delivery, event: ExtendFailed, rules: Rules) -> Step:
    """Ask again after a pause, if that can help."""
    if not needs_lease(delivery):
        return delivery, ()
    if event.final:
        return replace(delivery, extend_at=inf), ()
    left = max(rules.first_lease, delivery.lease_until - event.now)
    pause = left * EXTEND_RETRY * (0.5 + event.jitter / 2)
    return replace(delivery, extend_at=event.now + pause), ()
