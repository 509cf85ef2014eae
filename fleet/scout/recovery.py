"""The scout recovers messages of dispatchers that died, by order of the master.

`core/pool/recovery.py` gives the orders. An order that fails is tried again later, beside the other
orders and the samples: none waits for another's trouble.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import inf

from fleet.core.backoff import longest_pause
from fleet.core.delivery import delete_until
from fleet.core.outcomes import Settlement
from fleet.core.protocol import RELEASE_MARGIN
from fleet.core.queue import Message, QueueError, Trouble
from fleet.core.queue_names import is_fifo
from fleet.core.scout_protocol import (
    DeleteTried,
    Recover,
    Recovered,
    RecoveryDenied,
    TryDelete,
    Trying,
)
from fleet.scout.probe import try_delete
from fleet.sqs.queue import SqsQueue
from fleet.system import log
from fleet.system.clock import now

PAUSE_FIRST, PAUSE_MOST = 0.125, 5.0  # seconds between two tries of an order
HEALABLE = (Trouble.PASSING, Trouble.SESSION, Trouble.DENIED)


Answer = Recovered | RecoveryDenied | Trying | DeleteTried


@dataclass(slots=True)
class _OpenOrder:
    """An order that is not done: when it is tried next, and how often it has failed."""

    order: Recover
    due: float = -inf
    tries: int = 0
    failing_since: float = inf
    denied_since: float = inf


class Orders:
    """The orders about one queue that are not done yet.

    Each is answered once, and until then the master is told of each try that fails.
    """

    def __init__(
        self, queue: SqsQueue, first_lease: float, say: Callable[[Answer], object]
    ) -> None:
        self._queue, self._first_lease, self._say = queue, first_lease, say
        self._open: list[_OpenOrder] = []

    def take(self, word: Recover | TryDelete) -> None:
        """Take one more order: it is tried at the next `work`.

        A TryDelete is tried at once, and once.
        """
        if isinstance(word, TryDelete):
            self._say(try_delete(word, self._queue))
        else:
            self._open.append(_OpenOrder(word))

    @property
    def wakes_at(self) -> float:
        """When there is work, or infinity."""
        return min((each.due for each in self._open), default=inf)

    def work(self) -> None:
        """Try once whatever is due."""
        for each in [each for each in self._open if each.due <= now()]:
            answer = self._try(each)
            if isinstance(answer, Recovered):
                self._open.remove(each)
            self._say(answer)

    def _try(self, each: _OpenOrder) -> Recovered | RecoveryDenied | Trying:
        order = each.order
        word: RecoveryDenied | Trying = Trying()
        try:
            return self._do(order)
        except QueueError as error:
            self._note_failure(order, error)
            each.failing_since = min(each.failing_since, now())
            each.tries += 1
            pause = longest_pause(each.tries, PAUSE_FIRST, PAUSE_MOST)
            if error.trouble is Trouble.DENIED and each.denied_since == inf:
                each.denied_since = now()
                if order.settlement is Settlement.DELETE:
                    word = RecoveryDenied(order.number, str(error))
            if error.trouble not in HEALABLE or now() + pause >= self._last_try_at(each, error):
                return Recovered(order.number, Settlement.LEAVE)
            each.due = now() + pause
        return word

    def _last_try_at(self, each: _OpenOrder, error: QueueError) -> float:
        """Until when the order is tried again. A release may have been done: it is tried once."""
        order = each.order
        if order.receive_id:
            return order.lease_until
        if order.settlement is not Settlement.DELETE:
            return -inf
        denied_since = each.denied_since if error.trouble is Trouble.DENIED else inf
        fifo = is_fifo(self._queue.name)
        return delete_until(order.lease_until, fifo, each.failing_since, denied_since)

    def _do(self, order: Recover) -> Recovered:
        """One try. Raises QueueError."""
        message = Message(order.message_id, order.handle, "")
        if order.receive_id:
            return self._repeat_poll(order)
        if order.settlement is Settlement.DELETE:
            self._queue.delete(message)
        elif order.lease_until - now() <= RELEASE_MARGIN:
            return Recovered(order.number, Settlement.LEAVE)
        else:
            self._queue.release(message, order.delay)
        return Recovered(order.number, order.settlement)

    def _repeat_poll(self, order: Recover) -> Recovered:
        """Receive by the id of the dead dispatcher's poll, without a wait; release what comes.

        Raises QueueError.
        """
        message = self._queue.receive(0, self._first_lease, order.receive_id)
        if message is None:
            return Recovered(order.number, Settlement.LEAVE)
        settlement = order.settlement
        try:
            self._queue.release(message)
        except QueueError as error:
            self._note_failure(order, error)
            settlement = Settlement.LEAVE
        return Recovered(order.number, settlement, message.id, message.attempt)

    def _note_failure(self, order: Recover, error: QueueError) -> None:
        which = order.message_id or "(which is not known)"
        log.emit(
            "will.failed",
            message_id=which,
            queue=self._queue.name,
            settlement=order.settlement.value,
            error=str(error),
        )
        if error.trouble is Trouble.SESSION:
            self._queue.renew()
