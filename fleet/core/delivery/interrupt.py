"""Stopping a job, its exit handler, and what a job's end means. Part of machine.py.

docs/decisions/0011 has the reasons.
"""

from math import inf

from fleet.core.delivery.actions import CheckForStop, FreezeJob, KillJob, RunHandler, TerminateJob
from fleet.core.delivery.events import DispatcherLeaves, HandlerExited, JobExited
from fleet.core.delivery.settling import conclude
from fleet.core.delivery.state import (
    Delivery,
    DeliveryPhase,
    HandlerResult,
    IllegalDeliveryEvent,
    Rules,
    Step,
    require_phase,
)
from fleet.core.exit_codes import DONE
from fleet.core.outcomes import Exit, Outcome, Stop, outcome_of, was_stopped_from_outside
from fleet.core.records import replace

DOUBT = 2.0  # seconds within which a stop of everything has reached the dispatcher too


def why_stop(delivery: Delivery, now: float, rules: Rules) -> Stop | None:
    """Why a running job must be stopped now, if it must."""
    if now >= delivery.stop_at:
        return Stop.INTERRUPTED
    if now >= delivery.timeout_at:
        return Stop.TIMED_OUT
    return Stop.LEASE_LOST if delivery.lost and rules.config.kills_on_lease_lost else None


def stop_job(delivery: Delivery, now: float, reason: Stop, rules: Rules) -> Step:
    """Freeze the job for its exit handler, or tell it to end."""
    delivery = replace(delivery, stop=reason, stop_at=inf, timeout_at=inf)
    if rules.has_handler:
        return replace(delivery, phase=DeliveryPhase.FROZEN), (FreezeJob(),)
    kill_at = now + rules.config.exit_timeout
    return replace(delivery, phase=DeliveryPhase.STOPPING, kill_at=kill_at), (TerminateJob(),)


def run_handler(delivery: Delivery, now: float, rules: Rules) -> Step:
    """One try of the exit handler."""
    trying = replace(
        delivery,
        phase=DeliveryPhase.HANDLING,
        handler_runs=True,
        handler_tries=delivery.handler_tries + 1,
        handler_until=now + rules.config.exit_timeout,
    )
    return trying, (RunHandler(),)


def end_job(delivery: Delivery, event: JobExited, rules: Rules) -> Step:
    """Nothing of the job exists any more."""
    require_phase(
        delivery,
        event,
        DeliveryPhase.RUNNING,
        DeliveryPhase.STOPPING,
        DeliveryPhase.FROZEN,
        DeliveryPhase.HANDLING,
        DeliveryPhase.KILLING,
    )
    if delivery.exit is not None:
        raise IllegalDeliveryEvent(f"{event} once more")
    now, how = event.now, event.exit
    delivery = replace(delivery, exit=how, stop_at=inf, timeout_at=inf)
    if delivery.phase in (DeliveryPhase.RUNNING, DeliveryPhase.FROZEN):
        if not was_stopped_from_outside(how):
            return conclude_end(delivery, now, None, rules)
        doubtful = replace(
            delivery, phase=DeliveryPhase.DOUBTFUL, stop=None, doubt_until=now + DOUBT
        )
        return doubtful, (CheckForStop(),)
    delivery = replace(delivery, outcome=outcome_of(how, delivery.stop))
    if delivery.phase is DeliveryPhase.HANDLING:
        return (delivery, ()) if delivery.handler_runs else _follow_handler(delivery, now, rules)
    return conclude(delivery)


def weigh_stop(delivery: Delivery, event: DispatcherLeaves, rules: Rules) -> Step:
    """A job ended as if it had been stopped, and a stop has begun: that is why.

    A dispatcher that leaves is no proof that everything stops: the master's word may still come,
    and what is released before the master knows could be swallowed by a sibling's poll. So that
    counts only when the time is over.
    """
    if not event.stops and event.now < delivery.doubt_until:
        return delivery, ()
    return conclude_end(delivery, event.now, Stop.INTERRUPTED, rules)


def conclude_end(delivery: Delivery, now: float, stop: Stop | None, rules: Rules) -> Step:
    """A job ended without our doing; `stop`: why it counts as stopped all the same, if it does.

    Its exit handler finds it gone.
    """
    what = outcome_of(delivery.exit or Exit(), stop)
    delivery = replace(delivery, stop=stop, outcome=what, doubt_until=inf)
    if rules.has_handler and what in (Outcome.SIGNALLED, Outcome.INTERRUPTED):
        return run_handler(delivery, now, rules)
    return conclude(delivery)


def end_handler(delivery: Delivery, event: HandlerExited, rules: Rules) -> Step:
    """The exit handler is gone.

    It ran out of time if `handler_until` had come and it did not end by itself. One that a stop of
    everything has ended, as it may have ended the job, has its second try at once.
    """
    require_phase(delivery, event, DeliveryPhase.HANDLING)
    if not delivery.handler_runs:
        raise IllegalDeliveryEvent(f"{event}, and no handler runs")
    now, how = event.now, event.exit
    in_time = delivery.handler_until < inf or how.code is not None
    delivery = replace(delivery, handler_runs=False, handler_until=inf)
    if in_time and delivery.handler_tries == 1 and was_stopped_from_outside(how):
        return run_handler(delivery, now, rules)
    if in_time:
        result = HandlerResult.DONE if how.code == DONE else HandlerResult.FAILED
        delivery = replace(delivery, handler_result=result)
    elif delivery.handler_tries > 1:
        delivery = replace(delivery, handler_result=HandlerResult.TIMED_OUT_TWICE)
    if delivery.exit is not None:
        return _follow_handler(delivery, now, rules)
    if delivery.handler_result is None:  # killed with its job; the next try comes when that is gone
        return delivery, ()
    return replace(delivery, phase=DeliveryPhase.KILLING), (KillJob(),)


def _follow_handler(delivery: Delivery, now: float, rules: Rules) -> Step:
    """Job and handler are both gone."""
    if delivery.handler_result is None:
        return run_handler(delivery, now, rules)
    return conclude(delivery)
