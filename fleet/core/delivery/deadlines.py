"""When a delivery has to be looked at though nothing has happened, and what is due then.

Part of machine.py.
"""

from math import inf

from fleet.core.delivery.actions import Action, KillHandler, KillHook, KillJob, ReadPolicy
from fleet.core.delivery.failure_hook import report_then_settle
from fleet.core.delivery.interrupt import conclude_end, stop_job, why_stop
from fleet.core.delivery.lease import check_lease, needs_lease, request_extend
from fleet.core.delivery.settling import leave_lost, repeat_request
from fleet.core.delivery.state import (
    Delivery,
    DeliveryPhase,
    Rules,
    Step,
    is_repeating_delete,
    prepend,
)
from fleet.core.outcomes import LOST
from fleet.core.records import replace


def wakes_at(delivery: Delivery) -> float:
    """The next moment at which something is due (seconds on the delivery's clock), or infinity."""
    match delivery.phase:
        case DeliveryPhase.DONE:
            return inf
        case DeliveryPhase.SETTLING if not is_repeating_delete(delivery):
            return delivery.settle_at
    lease = inf if delivery.lost else min(delivery.extend_at, delivery.lease_until)
    match delivery.phase:
        case DeliveryPhase.SETTLING:
            return min(lease, delivery.settle_at)
        case DeliveryPhase.RUNNING:
            return min(lease, delivery.stop_at, delivery.timeout_at)
        case DeliveryPhase.DOUBTFUL:
            return min(lease, delivery.doubt_until)
        case DeliveryPhase.STOPPING:
            return min(lease, delivery.kill_at)
        case DeliveryPhase.HANDLING:
            return min(lease, delivery.handler_until)
        case DeliveryPhase.JUDGING:
            return min(lease, delivery.ask_at)
        case DeliveryPhase.REPORTING:
            return min(lease, delivery.hook_until)
        case _:
            return lease


def do_what_is_due(delivery: Delivery, now: float, rules: Rules) -> Step:
    """Everything whose moment has come: the lease first, then what belongs to the phase."""
    told: tuple[Action, ...] = ()
    if needs_lease(delivery):
        delivery, told = check_lease(delivery, now)
        if not delivery.lost and now >= delivery.extend_at:
            told = (*told, *request_extend(delivery, now, rules))
            delivery = replace(delivery, extend_at=inf)
    return prepend(told, _meet_deadline(delivery, now, rules))


def _meet_deadline(delivery: Delivery, now: float, rules: Rules) -> Step:
    """What the phase has waited for no longer than until now."""
    match delivery.phase:
        case DeliveryPhase.SETTLING if now >= delivery.settle_at:
            return repeat_request(delivery, now)
        case DeliveryPhase.WAITING | DeliveryPhase.HELD if delivery.lost:
            return leave_lost(delivery)
        case DeliveryPhase.JUDGING if delivery.lost:
            return report_then_settle(delivery, LOST, now, rules)
        case DeliveryPhase.JUDGING if now >= delivery.ask_at:
            return replace(delivery, ask_at=inf), (ReadPolicy(),)
        case DeliveryPhase.RUNNING if reason := why_stop(delivery, now, rules):
            stopped, actions = stop_job(delivery, now, reason, rules)
            # --exit-timeout 0: it is killed at once.
            return prepend(actions, _meet_deadline(stopped, now, rules))
        case DeliveryPhase.DOUBTFUL if now >= delivery.doubt_until:
            return conclude_end(delivery, now, None, rules)
        case DeliveryPhase.STOPPING if now >= delivery.kill_at:
            return replace(delivery, kill_at=inf), (KillJob(),)
        case DeliveryPhase.HANDLING if now >= delivery.handler_until:
            job = () if delivery.exit else (KillJob(),)
            return replace(delivery, handler_until=inf), (KillHandler(), *job)
        case DeliveryPhase.REPORTING if now >= delivery.hook_until:
            return replace(delivery, hook_until=inf), (KillHook(),)
        case _:
            return delivery, ()
