"""The beginning of a delivery: whether its message is worked on at all. Part of machine.py."""

from math import inf

from fleet.core.delivery.actions import AskForRelease, RunJob
from fleet.core.delivery.events import Arrived
from fleet.core.delivery.lease import check_lease, extend_after
from fleet.core.delivery.settling import leave, settle
from fleet.core.delivery.state import Delivery, DeliveryPhase, Rules, Step, prepend
from fleet.core.outcomes import Settlement, Verdict
from fleet.core.reasons import Reason
from fleet.core.records import replace

LATE = Verdict(Settlement.RELEASE, "it came too late to be worked on", reason=Reason.TOO_LATE)
NO_PROCESS = Verdict(
    Settlement.RELEASE, "this host had no process for it", reason=Reason.NO_PROCESS
)


def begin(before: float, jitter: float, rules: Rules, *, attempt: int = 1) -> Delivery:
    """The delivery of a message that a receive call, asked at `before`, has brought.

    `jitter`: a number in [0, 1) that spreads the first extend.
    """
    lease = rules.first_lease
    extend_at = before + extend_after(lease, jitter)
    return Delivery(before, before + lease, extend_at, attempt=attempt)


def arrive(delivery: Delivery, event: Arrived, rules: Rules) -> Step:
    """Work on the message, unless the dispatcher leaves: then it goes back.

    On its last attempt a message is run all the same: going back would dead-letter it unworked.
    Without a master it is run as well: to give it back would gain nothing, and costs an attempt.
    """
    if not event.leaving:
        return take_turn(delivery, event.now, inf, rules)
    seconds = inf if event.drain is None else event.drain
    if event.orphan:
        return take_turn(delivery, event.now, event.now + seconds, rules)
    if not event.is_last_attempt:
        return send_back(delivery, LATE)
    stop_at = event.now + max(seconds, rules.config.exit_timeout)
    return take_turn(delivery, event.now, stop_at, rules)


def take_turn(delivery: Delivery, now: float, stop_at: float, rules: Rules) -> Step:
    """A job is started for the message at once."""
    timeout_at = now + rules.config.job_timeout
    running = replace(delivery, phase=DeliveryPhase.RUNNING, stop_at=stop_at, timeout_at=timeout_at)
    return running, (RunJob(),)


def send_back(delivery: Delivery, verdict: Verdict) -> Step:
    """The message goes back untouched: `verdict` is the release."""
    return replace(delivery, phase=DeliveryPhase.HELD, verdict=verdict), (AskForRelease(),)


def leave_unusable(delivery: Delivery, why: str) -> Step:
    """Nobody works on the message, and nobody is given it before its lease runs out."""
    return leave(delivery, why, Reason.UNUSABLE)


def give_up_start(delivery: Delivery, now: float) -> Step:
    """The host has no process for the job: another host may have one."""
    delivery, told = check_lease(delivery, now)
    settlement = Settlement.LEAVE if delivery.lost else Settlement.RELEASE
    return prepend(told, settle(delivery, replace(NO_PROCESS, settlement=settlement)))
