"""A failure is told to the --on-failure hook before its message is settled. Part of machine.py.

The hook comes after the verdict, because only then it is known whether a Reject is a failure (there
is no dead-letter queue) and whether this was the last attempt. The verdict waits for its end,
`exit_timeout` seconds at the most, and stays what it is.

docs/decisions/0010 has the reasons.
"""

from math import inf

from fleet.core.delivery.actions import RunHook
from fleet.core.delivery.lease import check_lease
from fleet.core.delivery.settling import leave_lost, settle
from fleet.core.delivery.state import Delivery, DeliveryPhase, Rules, Step, prepend
from fleet.core.outcomes import Settlement, Verdict, has_failed
from fleet.core.records import replace

NEED_A_LEASE = (Settlement.RELEASE, Settlement.DEAD_LETTER)


def report_then_settle(delivery: Delivery, decided: Verdict, now: float, rules: Rules) -> Step:
    """The hook first, if there is one and the job has failed."""
    if rules.config.on_failure is None or not has_failed(delivery.outcome, delivery.facts):
        return settle(delivery, decided)
    reporting = replace(
        delivery,
        phase=DeliveryPhase.REPORTING,
        verdict=decided,
        ask_at=inf,
        hook_until=now + rules.config.exit_timeout,
    )
    return reporting, (RunHook(),)


def settle_after_hook(delivery: Delivery, now: float) -> Step:
    """The message is settled now; what needs a lease, only if that is still there."""
    delivery, told = check_lease(replace(delivery, hook_until=inf), now)
    decided = delivery.verdict or Verdict(Settlement.LEAVE, "")
    if delivery.lost and decided.settlement in NEED_A_LEASE:
        return prepend(told, leave_lost(delivery))
    return prepend(told, settle(delivery, decided))
