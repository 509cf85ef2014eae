"""The requests to the queue about one message, each answered by an event of its delivery.

Each is made once; the delivery decides whether it is made again. That the queue does not answer as
it should, and that it does so again, is told to the master once each.
"""

from math import ceil, inf

from fleet.core.delivery import Delivery
from fleet.core.delivery import events as on
from fleet.core.outcomes import Settlement, Verdict
from fleet.core.protocol import Denied, Healed, Troubled
from fleet.core.queue import Message, QueueError, Trouble
from fleet.dispatcher.context import Context
from fleet.dispatcher.delivery_log import DeliveryLog
from fleet.system import jitter
from fleet.system.clock import now

FINAL = (Trouble.GONE, Trouble.MESSAGE, Trouble.FINAL)  # to ask once more cannot help


class QueueRequests:
    """The queue, as one delivery asks it.

    `refusal`: why the last request to settle was not done, if it was not. `delay`: of the release
    that was asked for, in seconds.
    """

    def __init__(self, context: Context, message: Message, delivery_log: DeliveryLog) -> None:
        self._context, self._message, self._log = context, message, delivery_log
        self._queue, self._inbox, self._board = context.queue, context.inbox, context.board
        self.refusal: QueueError | None = None
        self.delay = 0
        self._asked: Settlement | None = None  # what was asked for last
        self._denied = False  # the master was told that the delete is not allowed
        self._in_trouble = False  # it was told that the queue does not answer as it should

    def read_limit(self) -> int | None:
        """The queue's limit on deliveries, read when it is needed; None: none, or not known."""
        try:
            return self._queue.max_receive_count()
        except QueueError as error:
            self._tell_trouble(error)
            return None

    def read_policy(self) -> on.PolicyRead | on.PolicyNotRead:
        """What the redrive policy says, and what a Retry asked for."""
        try:
            limit = self._queue.max_receive_count()
        except QueueError as error:
            self._tell_trouble(error)
            self._log.say("policy.unknown", error=str(error))
            gone = error.trouble is Trouble.GONE
            return on.PolicyNotRead(
                now(), jitter.draw(), self._retry_delay(), gone, self._inbox.ends_at
            )
        return on.PolicyRead(now(), limit, limit is not None, self._retry_delay(), jitter.draw())

    def _retry_delay(self) -> float | None:
        """The delay that a Retry asked for, in seconds."""
        after = self._context.page.read().get("after")
        return float(after) if isinstance(after, int | float) else None

    def extend(self, seconds: int, delivery: Delivery) -> on.Extended | on.ExtendFailed:
        """Hide the message for that long from now on."""
        before = now()
        self._board.note()  # a sign of life, whatever comes of it
        try:
            self._queue.extend(self._message, seconds)
        except QueueError as error:
            self._tell_trouble(error)
            self._log.say("lease.failed", error=str(error), left=delivery.lease_until - now())
            final = error.trouble in FINAL
            if final:
                self._board.note(lease=0)  # no extend will come, and that is no hang
            return on.ExtendFailed(now(), jitter.draw(), final)
        self._tell_health()
        if now() < delivery.lease_until:  # else it is not ours any more, whatever SQS says
            self._board.note(lease_until=before + seconds, lease=seconds)
        self._log.say("lease.extended", seconds=seconds)
        return on.Extended(before, now(), seconds, jitter.draw())

    def settle(self, verdict: Verdict) -> on.SettleDone | on.SettleFailed:
        """Ask for what was decided. The intent is in the scoreboard first."""
        settlement = self._asked = verdict.settlement
        self._board.note(intent=settlement.value, intent_delay=verdict.delay)
        before = now()
        try:
            self._send(verdict)
        except QueueError as error:
            self._tell_trouble(error)
            self.refusal = error
            self._log.say("message.unsettled", settlement=settlement.value, error=str(error))
            denied = error.trouble is Trouble.DENIED
            if denied and settlement is Settlement.DELETE and not self._denied:
                self._denied = True
                self._inbox.say(Denied(str(error), 0, self._message.id, self._message.handle))
            may_be_done = error.unanswered and settlement is Settlement.RELEASE
            return on.SettleFailed(
                now(),
                jitter.draw(),
                final=error.trouble in FINAL,
                visible_at=before + self.delay if may_be_done else inf,
                denied=denied,
                ends_at=self._inbox.ends_at,
            )
        self.refusal = None
        self._tell_health()
        return on.SettleDone()

    def _send(self, verdict: Verdict) -> None:
        match verdict.settlement:
            case Settlement.DELETE:
                self._queue.delete(self._message)
            case Settlement.DEAD_LETTER:
                attributes = self._log.dead_letter_attributes(verdict.why)
                self._queue.dead_letter(self._message, attributes)
            case _:
                # Nobody knows our siblings' polls without a master: hide it until they are over.
                least = ceil(self._context.rules.config.wait_time) + 1 if self._inbox.blind else 0
                self.delay = max(verdict.delay, least)
                self._queue.release(self._message, self.delay)

    @property
    def is_delete_unconfirmed(self) -> bool:
        """Whether the last request was a delete that was not done, of a queue that exists."""
        return (
            self._asked is Settlement.DELETE
            and self.refusal is not None
            and self.refusal.trouble is not Trouble.GONE
        )

    @property
    def gone_queue(self) -> str:
        """What was said of the queue, if it does not exist any more; else nothing.

        The refusal of a dead letter is about another queue.
        """
        gone = self.refusal is not None and self.refusal.trouble is Trouble.GONE
        return str(self.refusal) if gone and self._asked is not Settlement.DEAD_LETTER else ""

    def _tell_trouble(self, error: QueueError) -> None:
        """A session remembers a failed look-up of credentials for ever; a new one may heal it."""
        if error.trouble is Trouble.SESSION:
            self._context.renew()
        if not self._in_trouble and error.trouble not in (Trouble.MESSAGE, Trouble.FINAL):
            self._in_trouble = True
            self._inbox.say(Troubled(str(error)))

    def _tell_health(self) -> None:
        """A call has succeeded."""
        if self._in_trouble:
            self._in_trouble = False
            self._inbox.say(Healed())
