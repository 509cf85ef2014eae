"""A failure is told to the --on-failure hook before its message is settled. Part of `delivery.py`'s
machine.

It comes after the verdict, because only then it is known whether a Reject is a failure (there is no
dead-letter queue) and whether this was the last attempt. The verdict waits for its end,
`exit_timeout` at the most, and stays what it is.
"""

from dataclasses import replace
from math import inf

from fleet.core.delivery.events import RunHook
from fleet.core.delivery.lease import checked
from fleet.core.delivery.settling import enter, lost
from fleet.core.delivery.state import Delivery, Phase, Rules, Step, then
from fleet.core.outcomes import FAILURES, Outcome, Settlement, Verdict


def decide(delivery: Delivery, verdict: Verdict, now: float, rules: Rules) -> Step:
    """The hook first, if there is one and the job has failed."""
    if rules.config.on_failure is None or not _has_failed(delivery):
        return enter(delivery, verdict)
    return replace(
        delivery,
        phase=Phase.REPORTING,
        verdict=verdict,
        ask_at=inf,
        hook_until=now + rules.config.exit_timeout,
    ), (RunHook(),)


def hook_exited(delivery: Delivery, now: float) -> Step:
    """Now the message is settled; what needs a lease, only if that is still there."""
    delivery, said = checked(replace(delivery, hook_until=inf), now)
    verdict = delivery.verdict or Verdict(Settlement.LEAVE, "")
    if delivery.lost and verdict.settlement in (Settlement.RELEASE, Settlement.DEAD_LETTER):
        return then(said, lost(delivery))
    return then(said, enter(delivery, verdict))


def _has_failed(delivery: Delivery) -> bool:
    """It failed, timed out or died by a signal; or it rejected its message, and there is no
    dead-letter queue.
    """
    rejected = delivery.outcome is Outcome.REJECTED
    no_letters = delivery.facts is not None and not delivery.facts.has_dead_letter_queue
    return delivery.outcome in FAILURES or (rejected and no_letters)
