"""What the scout does for dispatchers that died: one order of the master's at a time (core/wills.py)."""

import time
from collections.abc import Callable
from math import inf
from typing import TypeVar

from fleet.core.estates import MARGIN
from fleet.core.exits import Settlement
from fleet.core.messages import Execute, Executed
from fleet.core.queue import Message, QueueError, Trouble
from fleet.system import log
from fleet.system.clock import now
from fleet.system.sqs import SqsQueue

PAUSE_FIRST, PAUSE_MOST = 0.125, 5.0  # seconds
HEALABLE = (Trouble.PASSING, Trouble.SESSION)

Answer = TypeVar("Answer")


def executed(order: Execute, queue: SqsQueue, first_lease: float, trying: Callable[[], object]) -> Executed:
    """Carry it out. A release is tried once, what can be repeated is while the lease lasts.

    `trying` is called before each try but the first: the master waits for a sign of life.
    """
    message = Message(order.message_id, order.handle, "")
    try:
        if order.receive_id:
            return _repeated(order, queue, first_lease, trying)
        if order.settlement is Settlement.DELETE:
            _tried(lambda: queue.delete(message), order, queue, order.lease_until, trying)
        elif order.lease_until - now() <= MARGIN:
            return Executed(order.order, Settlement.LEAVE)
        else:
            _tried(lambda: queue.release(message, order.delay), order, queue, -inf, trying)
    except QueueError:
        return Executed(order.order, Settlement.LEAVE)
    return Executed(order.order, order.settlement)


def _repeated(order: Execute, queue: SqsQueue, first_lease: float, trying: Callable[[], object]) -> Executed:
    """Ask as the dead dispatcher did, by the same id and without a wait; release what comes. Raises QueueError."""

    def poll() -> Message | None:
        return queue.receive(0, first_lease, order.receive_id)

    message = _tried(poll, order, queue, order.lease_until, trying)
    if message is None:
        return Executed(order.order, Settlement.LEAVE)
    how = order.settlement
    try:
        _tried(lambda: queue.release(message), order, queue, -inf, trying)
    except QueueError:
        how = Settlement.LEAVE
    return Executed(order.order, how, message.id, message.attempt)


def _tried(
    call: Callable[[], Answer], order: Execute, queue: SqsQueue, until: float, trying: Callable[[], object]
) -> Answer:
    """The call's answer; what can heal is tried again until then. Raises the last QueueError."""
    pause = PAUSE_FIRST
    while True:
        try:
            return call()
        except QueueError as error:
            which = order.message_id or "(which is not known)"
            log.emit("will.failed", message_id=which, settlement=order.settlement.value, error=str(error))
            if error.trouble is Trouble.SESSION:
                queue.renew()
            if error.trouble not in HEALABLE or now() + pause >= until:
                raise
        trying()
        time.sleep(pause)  # nothing else is to be done meanwhile: the order is what the master waits for
        pause = min(2 * pause, PAUSE_MOST)
