"""The resolver: it finds out by botocore where the queues are, and what calls are signed with.

    scout ──Plan──▶ resolver ──Resolved | Unresolved──▶ scout

A program of its own, which ends then: botocore's memory is nobody's afterwards, and a source of
credentials that hangs can be killed. It leads a group, so that its credential process is killed
with it.

docs/decisions/0031 has the reasons.
"""

import os
from collections.abc import Sequence

from fleet.core.protocol import Plan
from fleet.core.queue import QueueError
from fleet.core.scout_protocol import Resolved, Unresolved
from fleet.ipc import channel
from fleet.sqs.address import address_of
from fleet.sqs.resolve import resolve
from fleet.system import signals, titles

MOST_WHY = 8_000  # bytes of a packet


def main(arguments: Sequence[str]) -> None:
    """`arguments`: the descriptor of the channel to the scout."""
    signals.let_pass()
    os.setpgid(0, 0)
    control = int(arguments[0])
    os.set_inheritable(control, False)
    scout = channel.adopt(control)
    plan = scout.wait()
    if isinstance(plan, Plan):
        titles.show("fleet: resolver")
        scout.send(answer(plan), wait=True)


def answer(plan: Plan) -> Resolved | Unresolved:
    """What is found out."""
    addresses = [address_of(plan, queue) for queue in plan.queues]
    try:
        return Resolved(*resolve(addresses, plan.config.transport))
    except QueueError as error:
        return Unresolved(error.trouble.name, channel.shorten(str(error), MOST_WHY))
