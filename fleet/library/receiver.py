"""Receives one message for a standalone dispatcher.

It makes the pauses that keep a caller's loop from spinning.

It remembers what went wrong with earlier calls: polls that failed, polls that something on the way
cuts (core/poll_cuts.py), messages for which this host had no process to give (core/polling.py).
"""

import os
from collections.abc import Callable

from fleet.core import poll_cuts, polling
from fleet.core.config import poll_seconds
from fleet.core.delivery import pause_before
from fleet.core.queue import Message, MessageQueue, QueueError, Trouble
from fleet.library.queue import name_of, renew
from fleet.library.standalone import StandaloneInbox
from fleet.system import jitter, log
from fleet.system.clock import now

WAIT_TIME = 10.0  # seconds of a long poll, where neither the caller nor the queue says anything


class Receiver:
    """Polls `queue`. `wait_time`: seconds of a long poll, None to ask the queue for its own."""

    def __init__(self, queue: MessageQueue, wait_time: float | None, visibility: float) -> None:
        self._queue, self._wait_time, self._visibility = queue, wait_time, visibility
        self._name = name_of(queue)
        self._failures = 0  # polls in a row
        self._user_pid = 0  # the process that has used the queue's connections; 0: none yet
        self._cuts = poll_cuts.Cuts()
        self.polling = polling.Polling()

    def wait_seconds(self) -> float:
        """How long a poll is to last. Asks the queue for its own setting once; raises QueueError.

        A setting of 0 is SQS's default, which nobody has chosen: then it is `WAIT_TIME`.
        """
        if self._wait_time is None:
            ask: Callable[[], float] = getattr(self._queue, "wait_time", lambda: 0.0)
            self._wait_time = ask() or WAIT_TIME
        return poll_seconds(self._wait_time, self._visibility)

    def receive(
        self, inbox: StandaloneInbox, wait_time: float, lease: float
    ) -> tuple[float, Message | None]:
        """One poll: the moment before it, and its message, hidden for `lease` seconds.

        No message either when a signal that ends the program comes before the poll. Raises
        QueueError; the call after one that failed waits before it polls.
        """
        self._own_connections()
        self._pause(inbox)
        asked_at = now()
        if inbox.leaving:
            return asked_at, None
        seconds = poll_cuts.longest_poll(self._cuts, asked_at, wait_time)
        self._cuts = poll_cuts.note_poll(self._cuts, asked_at)
        try:
            message = self._queue.receive(seconds, lease)
        except QueueError as error:
            self._note_failure(error, asked_at, seconds, wait_time)
            raise
        self._failures = 0
        self._set_cuts(poll_cuts.note_answer(self._cuts, now() - asked_at), wait_time)
        if message:
            about = {"slot": 0, "queue": self._name, "message_id": message.id}
            log.emit("message.received", **about, attempt=message.attempt)
        return asked_at, message

    def note_start(self, *, starved: bool) -> None:
        """Whether the host had a process to give to the job of the message that came last."""
        if starved:
            self.polling = polling.note_starvation(self.polling, now(), jitter.draw())
        else:
            self.polling = polling.end_starvation(self.polling)

    def _own_connections(self) -> None:
        """After a fork open new connections: the parent's are not shared with it."""
        if self._user_pid not in (0, os.getpid()):
            renew(self._queue)
        self._user_pid = os.getpid()

    def _pause(self, inbox: StandaloneInbox) -> None:
        """Wait, where there is a reason to; a signal that ends the program ends the wait."""
        if self.polling.not_before > now():
            # This host had no process for a job: each further message would lose an attempt.
            inbox.wait(self.polling.not_before)
        if self._failures:
            inbox.wait(now() + pause_before(self._failures, jitter.draw()))

    def _note_failure(
        self, error: QueueError, asked_at: float, seconds: float, wait_time: float
    ) -> None:
        """The poll of `seconds` failed."""
        self._failures += 1
        if error.unanswered:
            cuts = poll_cuts.note_cut(self._cuts, now(), now() - asked_at, seconds)
            self._set_cuts(cuts, wait_time)
        if error.trouble is Trouble.SESSION:
            renew(self._queue)

    def _set_cuts(self, cuts: poll_cuts.Cuts, wait_time: float) -> None:
        """Keep what is known of polls that are cut, and log it when it changes their length."""
        if cuts.longest < self._cuts.longest:
            log.emit(
                "poll.shortened",
                queue=self._name,
                age=round(cuts.age, 1),
                seconds=int(cuts.longest),
            )
        elif cuts.longest > self._cuts.longest:
            log.emit("poll.lengthened", queue=self._name, seconds=wait_time)
        self._cuts = cuts
