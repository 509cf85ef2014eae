"""Which event leads where: `step`, the one function that changes a delivery.

The package's docstring has the theory; the other files hold the rules of one part each.
"""

from typing import assert_never

from fleet.core.delivery.arrival import (
    arrive,
    give_up_start,
    leave_unusable,
    send_back,
    take_turn,
)
from fleet.core.delivery.deadlines import do_what_is_due
from fleet.core.delivery.events import (
    Arrived,
    DispatcherLeaves,
    Due,
    Event,
    Extended,
    ExtendFailed,
    FoundUnusable,
    HandlerExited,
    HookExited,
    JobExited,
    JobFrozen,
    JobNotStarted,
    PolicyNotRead,
    PolicyRead,
    ReleaseAllowed,
    SentBack,
    SettleDone,
    SettleFailed,
    StopBy,
    TurnCame,
)
from fleet.core.delivery.failure_hook import settle_after_hook
from fleet.core.delivery.interrupt import end_handler, end_job, run_handler, weigh_stop
from fleet.core.delivery.lease import confirm_extend, retry_extend
from fleet.core.delivery.retries import retry_policy, retry_settlement, settle_known
from fleet.core.delivery.settling import confirm_settlement, release
from fleet.core.delivery.state import Delivery, DeliveryPhase, Rules, Step, require_phase
from fleet.core.records import replace


def step(delivery: Delivery, event: Event, rules: Rules) -> Step:
    """The next state, and what to do, in order.

    Raises IllegalDeliveryEvent for an event that the state does not allow.
    """
    match event:
        case Due(now):
            return do_what_is_due(delivery, now, rules)
        case Arrived():
            require_phase(delivery, event, DeliveryPhase.WAITING)
            return arrive(delivery, event, rules)
        case TurnCame(now, stop_at):
            require_phase(delivery, event, DeliveryPhase.WAITING)
            return take_turn(delivery, now, stop_at, rules)
        case SentBack(verdict):
            require_phase(delivery, event, DeliveryPhase.WAITING)
            return send_back(delivery, verdict)
        case FoundUnusable(why):
            require_phase(delivery, event, DeliveryPhase.WAITING)
            return leave_unusable(delivery, why)
        case JobNotStarted(now):
            require_phase(delivery, event, DeliveryPhase.RUNNING)
            return give_up_start(delivery, now)
        case StopBy(at):
            require_phase(delivery, event, DeliveryPhase.RUNNING)
            return replace(delivery, stop_at=min(delivery.stop_at, at)), ()
        case JobExited():
            return end_job(delivery, event, rules)
        case JobFrozen(now):
            require_phase(delivery, event, DeliveryPhase.FROZEN)
            return run_handler(delivery, now, rules)
        case HandlerExited():
            return end_handler(delivery, event, rules)
        case DispatcherLeaves():
            require_phase(delivery, event, DeliveryPhase.DOUBTFUL)
            return weigh_stop(delivery, event, rules)
        case PolicyRead():
            require_phase(delivery, event, DeliveryPhase.JUDGING)
            return settle_known(delivery, event, rules)
        case PolicyNotRead():
            require_phase(delivery, event, DeliveryPhase.JUDGING)
            return retry_policy(delivery, event, rules)
        case HookExited(now):
            require_phase(delivery, event, DeliveryPhase.REPORTING)
            return settle_after_hook(delivery, now)
        case ReleaseAllowed(now):
            require_phase(delivery, event, DeliveryPhase.HELD)
            return release(delivery, now)
        case SettleDone():
            require_phase(delivery, event, DeliveryPhase.SETTLING)
            return confirm_settlement(delivery)
        case SettleFailed():
            require_phase(delivery, event, DeliveryPhase.SETTLING)
            return retry_settlement(delivery, event, rules)
        case Extended():
            return confirm_extend(delivery, event)
        case ExtendFailed():
            return retry_extend(delivery, event, rules)
        case _:
            assert_never(event)
