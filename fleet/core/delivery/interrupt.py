"""Stopping a job, and its exit handler. Part of `delivery.py`'s machine."""

from dataclasses import replace
from math import inf

from fleet.core.delivery.events import Doubt, Event, Freeze, Kill, RunHandler, Terminate
from fleet.core.delivery.settling import conclude
from fleet.core.delivery.state import Delivery, Handled, Illegal, Phase, Rules, Step, only
from fleet.core.exit_codes import DONE
from fleet.core.outcomes import Exit, Outcome, Stop, outcome, stopped_from_outside

DOUBT = 2.0  # seconds within which a stop of everything has reached us too


def stop_due(delivery: Delivery, now: float, rules: Rules) -> Stop | None:
    """Why a running job must be stopped now, if it must."""
    if now >= delivery.stop_at:
        return Stop.INTERRUPTED
    if now >= delivery.timeout_at:
        return Stop.TIMED_OUT
    return Stop.LEASE_LOST if delivery.lost and rules.config.kills_on_lease_lost else None


def stop_job(delivery: Delivery, now: float, reason: Stop, rules: Rules) -> Step:
    """Freeze it for its exit handler, or tell it to end."""
    delivery = replace(delivery, stop=reason, stop_at=inf, timeout_at=inf)
    if rules.has_handler:
        return replace(delivery, phase=Phase.FROZEN), (Freeze(),)
    return replace(delivery, phase=Phase.STOPPING, kill_at=now + rules.config.exit_timeout), (
        Terminate(),
    )


def handle(delivery: Delivery, now: float, rules: Rules) -> Step:
    """One try of the exit handler."""
    trying = replace(
        delivery,
        phase=Phase.HANDLING,
        handler_runs=True,
        handler_tries=delivery.handler_tries + 1,
        handler_until=now + rules.config.exit_timeout,
    )
    return trying, (RunHandler(),)


def exited(delivery: Delivery, event: Event, now: float, how: Exit, rules: Rules) -> Step:
    """Nothing of the job exists any more."""
    only(
        delivery, event, Phase.RUNNING, Phase.STOPPING, Phase.FROZEN, Phase.HANDLING, Phase.KILLING
    )
    if delivery.exit is not None:
        raise Illegal(f"{event} once more")
    delivery = replace(delivery, exit=how, stop_at=inf, timeout_at=inf)
    if delivery.phase in (Phase.RUNNING, Phase.FROZEN):
        if stopped_from_outside(how):
            return replace(delivery, phase=Phase.DOUBTFUL, stop=None, doubt_until=now + DOUBT), (
                Doubt(),
            )
        return ended_by_itself(delivery, now, None, rules)
    delivery = replace(delivery, outcome=outcome(how, delivery.stop))
    if delivery.phase is Phase.HANDLING:
        return (delivery, ()) if delivery.handler_runs else _after_handler(delivery, now, rules)
    return conclude(delivery)


def leaving(delivery: Delivery, now: float, stops: bool, rules: Rules) -> Step:
    """A job ended as if it had been stopped, and a stop has begun: that is why.

    A dispatcher that leaves is no proof that everything stops: the master's word may still come,
    and what is released before he knows could be swallowed by a sibling's poll. So that counts only
    when the time is over.
    """
    if not stops and now < delivery.doubt_until:
        return delivery, ()
    return ended_by_itself(delivery, now, Stop.INTERRUPTED, rules)


def ended_by_itself(delivery: Delivery, now: float, stop: Stop | None, rules: Rules) -> Step:
    """Without our doing: `stop` says why all the same, if it was stopped. Its exit handler finds it
    gone.
    """
    what = outcome(delivery.exit or Exit(), stop)
    delivery = replace(delivery, stop=stop, outcome=what, doubt_until=inf)
    if rules.has_handler and what in (Outcome.SIGNALLED, Outcome.INTERRUPTED):
        return handle(delivery, now, rules)
    return conclude(delivery)


def handler_exited(delivery: Delivery, now: float, how: Exit, rules: Rules) -> Step:
    """The handler is gone. It ran out of time if `handler_until` had come and it did not end by
    itself.

    One that a stop of everything has ended, as it may have ended the job, has its second try at
    once.
    """
    in_time = delivery.handler_until < inf or how.code is not None
    delivery = replace(delivery, handler_runs=False, handler_until=inf)
    if in_time and delivery.handler_tries == 1 and stopped_from_outside(how):
        return handle(delivery, now, rules)
    if in_time:
        delivery = replace(delivery, handled=Handled.DONE if how.code == DONE else Handled.FAILED)
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
