"""Stopping a job, and its exit handler. Part of `delivery.py`'s machine."""

from dataclasses import replace
from math import inf

from fleet.core.delivery_books import Delivery, Handled, Illegal, Phase, Rules, Step, only
from fleet.core.delivery_events import Event, Freeze, Kill, RunHandler, Terminate
from fleet.core.exits import Exit, Outcome, Stop, outcome
from fleet.core.settling import conclude


def stop_due(delivery: Delivery, now: float, rules: Rules) -> Stop | None:
    """Why a running job must be stopped now, if it must."""
    if now >= delivery.stop_at:
        return Stop.INTERRUPTED
    if now >= delivery.timeout_at:
        return Stop.TIMED_OUT
    return Stop.LEASE_LOST if delivery.lost and rules.kill_on_loss else None


def stop_job(delivery: Delivery, now: float, reason: Stop, rules: Rules) -> Step:
    """Freeze it for its exit handler, or tell it to end."""
    delivery = replace(delivery, stop=reason, stop_at=inf, timeout_at=inf)
    if rules.handler:
        return replace(delivery, phase=Phase.FROZEN), (Freeze(),)
    return replace(delivery, phase=Phase.STOPPING, kill_at=now + rules.exit_timeout), (Terminate(),)


def handle(delivery: Delivery, now: float, rules: Rules) -> Step:
    """One try of the exit handler."""
    trying = replace(
        delivery,
        phase=Phase.HANDLING,
        handler_runs=True,
        handler_tries=delivery.handler_tries + 1,
        handler_until=now + rules.exit_timeout,
    )
    return trying, (RunHandler(),)


def exited(delivery: Delivery, event: Event, now: float, how: Exit, rules: Rules) -> Step:
    """Nothing of the job exists any more."""
    only(delivery, event, Phase.RUNNING, Phase.STOPPING, Phase.FROZEN, Phase.HANDLING, Phase.KILLING)
    if delivery.exit is not None:
        raise Illegal(f"{event} once more")
    by_itself = delivery.phase in (Phase.RUNNING, Phase.FROZEN)
    stop = None if by_itself else delivery.stop
    delivery = replace(delivery, exit=how, stop=stop, outcome=outcome(how, stop), stop_at=inf, timeout_at=inf)
    match delivery.phase:
        case Phase.HANDLING:
            return (delivery, ()) if delivery.handler_runs else _after_handler(delivery, now, rules)
        case Phase.RUNNING | Phase.FROZEN if rules.handler and delivery.outcome is Outcome.SIGNALLED:
            return handle(delivery, now, rules)
        case _:
            return conclude(delivery)


def handler_exited(delivery: Delivery, now: float, how: Exit, rules: Rules) -> Step:
    """The handler is gone. It ran out of time if `handler_until` had come and it did not end by itself."""
    in_time = delivery.handler_until < inf or how.code is not None
    delivery = replace(delivery, handler_runs=False, handler_until=inf)
    if in_time:
        delivery = replace(delivery, handled=Handled.DONE if how.code == 0 else Handled.FAILED)
    elif delivery.handler_tries > 1:
        delivery = replace(delivery, handled=Handled.TIMED_OUT_TWICE)
    if delivery.exit is not None:
        return _after_handler(delivery, now, rules)
    if delivery.handled is None:  # the job was killed with it; the next try comes when it is gone
        return delivery, ()
    return replace(delivery, phase=Phase.KILLING), (Kill(),)


def _after_handler(delivery: Delivery, now: float, rules: Rules) -> Step:
    """Job and handler are both gone."""
    return handle(delivery, now, rules) if delivery.handled is None else conclude(delivery)
