"""One message at a time, or one batch: the process that a slot stands for.

    master ──Grant──▶ receive ──▶ scoreboard ──Received──▶ deliver (runner.py) ──Settled──▶ master

It never polls without a grant, and waits for the master's word, a signal and the master's death at
once.
"""

import os
from collections.abc import Callable, Sequence
from math import inf
from typing import Any, Protocol

from fleet.core.protocol import Empty, PollFailed, Ready, Received
from fleet.core.queue import BatchQueue, Message, QueueError, Trouble
from fleet.core.queue_names import queue_name
from fleet.core.slot_state import State
from fleet.dispatcher.batch import BatchRunner
from fleet.dispatcher.context import Context
from fleet.dispatcher.inbox import Inbox
from fleet.dispatcher.runner import DeliveryRunner
from fleet.ipc.scoreboard import SlotBoard
from fleet.system import log
from fleet.system.clock import now

REFUSED = (Trouble.DENIED, Trouble.GONE)  # no retry heals these
# Seconds: connections to a queue that was not the one in use for so long are closed.
UNUSED = 60.0


class ConnectedQueue(BatchQueue, Protocol):
    """A queue with connections of its own."""

    def close(self) -> None:
        """Hang up; the next call connects anew."""


OpenQueue = Callable[[int], tuple[Context, ConnectedQueue]]
"""One of the pool's queues, by its place, and what its messages are worked on with."""


class PoolDispatcher:
    """Waits for grants until it is told to leave, or its master is gone.

    Deliveries see inbox, board and queue through the narrower protocols of context.py. Only the
    dispatcher takes grants, writes the lines of a batch, and receives. A queue is opened at the
    first grant for it.
    """

    def __init__(self, open_queue: OpenQueue, inbox: Inbox, board: SlotBoard) -> None:
        self._open_queue, self._inbox, self._board = open_queue, inbox, board
        self._opened: dict[int, tuple[Context, ConnectedQueue]] = {}
        self._left: dict[int, float] = {}  # when another queue took the place of one
        self._place = -1  # of the queue in use
        self._context: Context
        self._queue: ConnectedQueue

    def run(self) -> None:
        """Until there is nothing more to do here."""
        self._board.clear()
        self._inbox.say(Ready(self._board.pid))
        while not self._inbox.leaving:
            if not self._inbox.granted:  # it may have been heard at the end of a batch
                self._inbox.wait(inf)
            if self._inbox.granted and not self._inbox.leaving:
                most, self._inbox.granted = self._inbox.granted, 0
                self._turn_to(self._inbox.queue)
                self._receive(most, self._inbox.queue)
        log.tell_left_out()

    def _turn_to(self, place: int) -> None:
        """Use that queue from now on, and hang up on those that are not used any more."""
        if place != self._place:
            if self._opened:
                self._left[self._place] = now()
            if place not in self._opened:
                self._opened[place] = self._open_queue(place)
            self._context, self._queue = self._opened[place]
            self._left.pop(place, None)
            self._place = place
        if self._left:
            self._hang_up_on_unused()

    def _hang_up_on_unused(self) -> None:
        since = now() - UNUSED
        for place in [place for place, left in self._left.items() if left <= since]:
            self._opened[place][1].close()
            del self._left[place]

    def _receive(self, most: int, queue: int) -> None:
        """One long poll, and what it brings."""
        is_repeatable = self._context.rules.is_fifo and most == 1
        receive_id = os.urandom(16).hex() if is_repeatable else ""
        # The last message's end must not be taken for this one's, should we die with it in hand.
        self._board.note(
            state=State.POLLING,
            queue=queue,
            receive_id=receive_id,
            intent="",
            intent_delay=0,
            exit=None,
            job_pid=0,
        )
        before = now()
        try:
            messages = self._call_queue(most, receive_id)
        except QueueError as error:
            self._report_failed_poll(error, took=round(now() - before, 3))
            return
        took = round(now() - before, 4)
        if messages:
            boards = self._record(messages, queue, before)
            self._inbox.say(Received(took, len(messages)))
            self._tell_received(messages, took)
            self._deliver(messages, boards, before)
        else:
            self._board.note(state=State.IDLE)
            self._inbox.say(Empty(took))
            self._tell_poll(took, 0)

    def _call_queue(self, most: int, receive_id: str) -> list[Message]:
        """What one receive call brings. Raises QueueError."""
        wait = min(self._context.rules.config.wait_time, self._inbox.longest)
        first_lease = self._context.rules.first_lease
        if most > 1:
            return self._queue.receive_many(wait, first_lease, most)
        message = self._queue.receive(wait, first_lease, receive_id)
        return [] if message is None else [message]

    def _report_failed_poll(self, error: QueueError, took: float) -> None:
        if error.trouble is Trouble.SESSION:
            self._context.renew()
        self._board.note(state=State.IDLE)
        refused = error.trouble in REFUSED
        self._inbox.say(PollFailed(str(error), error.unanswered, refused, error.answered, took))

    def _record(self, messages: Sequence[Message], queue: int, before: float) -> list[SlotBoard]:
        """Note each message on a line of the scoreboard, for whoever recovers it should we die."""
        boards = [self._board, *(self._board.of(place) for place in range(1, len(messages)))]
        first_lease = self._context.rules.first_lease
        for message, board in zip(messages, boards, strict=True):
            if message.unusable:  # nobody is to settle it
                continue
            board.note(
                state=State.WORKING,
                queue=queue,
                message_id=message.id,
                receipt_handle=message.handle,
                attempt=message.attempt,
                lease_until=before + first_lease,
                lease=first_lease,
            )
        return boards

    def _tell_received(self, messages: Sequence[Message], took: float) -> None:
        self._tell_poll(took, len(messages))
        about = self._about
        for each in messages:
            log.emit("message.received", **about, message_id=each.id, attempt=each.attempt)

    def _tell_poll(self, took: float, messages: int) -> None:
        log.emit("queue.polled", **self._about, took=took, messages=messages)

    @property
    def _about(self) -> dict[str, Any]:
        """What an event about a poll says in each case."""
        return {"slot": self._context.slot, "queue": queue_name(self._context.queue_name)}

    def _deliver(
        self, messages: Sequence[Message], boards: Sequence[SlotBoard], before: float
    ) -> None:
        """Until all of them are settled."""
        if len(messages) == 1:
            DeliveryRunner(self._context, messages[0], before).run()
        else:
            BatchRunner(self._context, list(zip(messages, boards, strict=True)), before).run()
            self._board.title("idle")
