"""One message at a time, or one batch: the process that a slot stands for.

    master ──Grant──▶ receive ──▶ scoreboard ──Received──▶ deliver (delivering.py) ──Settled──▶ master

It never polls without a grant, and waits for the master's word, a signal and the master's death at
once.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from math import inf

from fleet.core.delivery.machine import Rules
from fleet.core.pool.slot import State
from fleet.core.protocol import Empty, Plan, PollFailed, Ready, Received
from fleet.core.queue import BatchQueue, Message, QueueError, Trouble
from fleet.dispatcher import job_process
from fleet.dispatcher.batch import Batch
from fleet.dispatcher.context import Bench
from fleet.dispatcher.inbox import Inbox
from fleet.dispatcher.runner import Delivering
from fleet.ipc.channel import Channel
from fleet.ipc.scoreboard import Board
from fleet.ipc.shared_page import SharedPage
from fleet.job import process
from fleet.system import log
from fleet.system.cgroup import OomKills
from fleet.system.clock import now

REFUSED = (Trouble.DENIED, Trouble.GONE)  # what no retry heals


@dataclass(frozen=True, slots=True)
class Post:
    """What a dispatcher is given at its birth."""

    plan: Plan
    rules: Rules
    slot: int
    channel: Channel
    board: Board
    queue: BatchQueue
    renew: Callable[[], None]
    work: Callable[[Message, SharedPage], process.Work]


class Dispatcher:
    """Waits for grants until it is told to leave, or is alone."""

    def __init__(self, post: Post) -> None:
        self._post, self._queue, self._board = post, post.queue, post.board
        self._inbox = Inbox(post.plan, post.channel)
        self._bench = Bench(
            post.plan,
            post.rules,
            post.slot,
            post.queue,
            post.renew,
            post.work,
            lambda act: job_process.start(act, post.board.pid, self._inbox.poll),
            self._inbox,
            post.board,
            SharedPage(),
            OomKills(),
        )

    def run(self) -> None:
        """Until there is nothing more to do here."""
        self._board.clear()
        self._inbox.say(Ready(self._board.pid))
        while not self._inbox.leaving:
            if not self._inbox.granted:  # it may have been heard at the end of a batch
                self._inbox.wait(inf)
            if self._inbox.granted and not self._inbox.leaving:
                most, self._inbox.granted = self._inbox.granted, 0
                self._receive(most)
        log.tell_left_out()

    def _receive(self, most: int) -> None:
        """One long poll, and what it brings."""
        first_lease = self._post.rules.first_lease
        receive_id = os.urandom(16).hex() if self._post.rules.is_fifo and most == 1 else ""
        # The last message's end must not be taken for this one's, should we die with it in hand.
        self._board.note(
            state=State.POLLING,
            receive_id=receive_id,
            intent="",
            intent_delay=0,
            exit=None,
            job_pid=0,
        )
        before = now()
        try:
            messages = self._messages(most, first_lease, receive_id)
        except QueueError as error:
            if error.trouble is Trouble.SESSION:
                self._post.renew()
            self._board.note(state=State.IDLE)
            refused, took = error.trouble in REFUSED, round(now() - before, 3)
            self._inbox.say(PollFailed(str(error), error.unanswered, refused, error.answered, took))
            return
        took = round(now() - before, 4)
        if not messages:
            self._board.note(state=State.IDLE)
            self._inbox.say(Empty(took))
            self._tell_poll(took, 0)
            return
        boards = [self._board, *(self._board.of(place) for place in range(1, len(messages)))]
        for message, board in zip(messages, boards, strict=True):
            if message.unusable:  # nobody is to settle it, should we die
                continue
            board.note(
                state=State.WORKING,
                message_id=message.id,
                receipt_handle=message.handle,
                attempt=message.attempt,
                lease_until=before + first_lease,
                lease=first_lease,
            )
        self._inbox.say(Received(took, len(messages)))
        self._tell_poll(took, len(messages))
        for message in messages:
            log.emit(
                "message.received",
                slot=self._post.slot,
                message_id=message.id,
                attempt=message.attempt,
            )
        if len(messages) == 1:
            Delivering(self._bench, messages[0], before).run()
        else:
            Batch(self._bench, list(zip(messages, boards, strict=True)), before).run()
            self._board.title("idle")

    def _tell_poll(self, took: float, messages: int) -> None:
        log.emit("queue.polled", slot=self._post.slot, took=took, messages=messages)

    def _messages(self, most: int, first_lease: float, receive_id: str) -> list[Message]:
        """What one receive call brings. Raises QueueError."""
        wait = min(self._post.plan.config.wait_time, self._inbox.longest)
        if most > 1:
            return self._queue.receive_many(wait, first_lease, most)
        message = self._queue.receive(wait, first_lease, receive_id)
        return [] if message is None else [message]
