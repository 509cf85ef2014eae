"""One message at a time: the process that a slot stands for.

      master ──Grant──▶ receive ──▶ scoreboard ──▶ fork job ──▶ wait ──▶ settle ──Settled──▶ master
                                                     ▲   job's pidfd │
                                                     └── extend ◀────┘ every third of the lease

`core/delivery.py` decides; this file waits, and does what it says. It waits for the job's end, a signal, the
master's word and the master's death at once, never for a fixed time. It runs no user code, starts no thread,
and what it touches between two forks is paid for twice, so the path of a quiet message is kept short.
"""

import os
import random
import select
import signal
from collections.abc import Callable
from dataclasses import dataclass
from math import ceil, inf

import setproctitle

from fleet import job
from fleet.core import delivery as core
from fleet.core import delivery_events as on
from fleet.core.delivery import Delivery, Phase, Rules
from fleet.core.exits import Outcome, Settlement, ended_badly
from fleet.core.messages import Drain, Empty, Free, Grant, Held, Plan, PollFailed, Ready, Received, Settled
from fleet.core.queue import Message, Queue, QueueError, Trouble
from fleet.core.slots import State
from fleet.running import Running
from fleet.system import log, processes
from fleet.system.channel import Channel
from fleet.system.clock import now
from fleet.system.scoreboard import Record, Scoreboard
from fleet.system.signals import Wakeup

CUT_ID = 8  # characters of a message id in a title


@dataclass(frozen=True, slots=True)
class Post:
    """What a dispatcher is given at its birth."""

    plan: Plan
    slot: int
    channel: Channel
    scoreboard: Scoreboard
    queue: Queue
    renew: Callable[[], None]
    work: Callable[[Message], job.Work]


class Dispatcher:
    """Waits for grants until it is told to leave, or is alone."""

    def __init__(self, post: Post) -> None:
        self._post, self._plan, self._channel, self._queue = post, post.plan, post.channel, post.queue
        self._rules = Rules(visibility=post.plan.visibility, exit_timeout=post.plan.exit_timeout)
        self._pid = os.getpid()
        self._leaving = False
        self._orphan = False
        self._drain: float | None = None  # seconds, as the master said
        self._granted = self._freed = False
        self._job: Running | None = None
        self._starved = False  # no process was to be had for the message in hand
        self._record = Record(State.IDLE, self._pid)
        self._wakeup = Wakeup([signal.SIGTERM])
        for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT):
            signal.signal(number, signal.SIG_IGN)
        self._poll = select.poll()
        self._poll.register(self._wakeup.fileno(), select.POLLIN)
        self._poll.register(self._channel.fileno(), select.POLLIN)
        self._master = processes.open_pidfd(post.plan.master)
        self._poll.register(self._master, select.POLLIN)

    def run(self) -> None:
        """Until there is nothing more to do here."""
        processes.unblock_signals()
        self._title("idle")
        self._note(state=State.IDLE)
        self._channel.send(Ready(self._pid))
        while not self._leaving:
            self._wait(inf)
            if self._granted and not self._leaving:
                self._granted = False
                self._receive()

    # Waiting.

    def _wait(self, until: float) -> None:
        """Until something happens or the moment comes; then take in what has been said."""
        timeout = None if until == inf else max(0, ceil((until - now()) * 1000))
        ready = {fd for fd, _ in self._poll.poll(timeout)}
        if self._wakeup.fileno() in ready and signal.SIGTERM in self._wakeup.signals():
            self._leaving = True
        if not self._channel.closed and self._channel.fileno() in ready:
            self._hear()
        if self._master in ready:
            self._alone()

    def _hear(self) -> None:
        for word in self._channel.receive():
            match word:
                case Grant():
                    self._granted = True
                case Drain(seconds):
                    self._leaving, self._drain = True, seconds
                case Free():
                    self._freed = True
                case _:
                    raise ValueError(f"the master said {type(word).__name__}")
        if self._channel.closed:
            self._alone()

    def _alone(self) -> None:
        """The master is gone: finish what is in hand within the drain time-out, and leave."""
        if not self._orphan:
            self._orphan = self._leaving = True
            self._drain = self._plan.drain_timeout
            self._poll.unregister(self._channel.fileno())
            self._poll.unregister(self._master)

    # One message.

    def _receive(self) -> None:
        """One long poll, and what it brings."""
        self._note(state=State.POLLING)
        before = now()
        try:
            message = self._queue.receive(self._plan.wait_time, self._rules.first_lease)
        except QueueError as error:
            if error.trouble is Trouble.SESSION:
                self._post.renew()
            self._note(state=State.IDLE)
            self._channel.send(PollFailed(str(error)))
            return
        took = now() - before
        if message is None:
            self._note(state=State.IDLE)
            self._channel.send(Empty(round(took, 4)))
            return
        self._note(
            state=State.WORKING,
            message_id=message.id,
            receipt_handle=message.handle,
            attempt=message.attempt,
            lease_until=before + self._rules.first_lease,
        )
        self._channel.send(Received(round(took, 4)))
        log.emit("message.received", **self._about(message))
        self._deliver(message, before)

    def _deliver(self, message: Message, before: float) -> None:
        """From the answer to the settlement; `before` is when the receive call was made."""
        self._wait(0)  # what was said while we polled counts before any user code runs
        self._freed = False
        stop_at, self._drain = self._late(message), None
        if stop_at is None:
            delivery = core.hold(before, random.random(), self._rules)
            self._channel.send(Held())
        else:
            delivery = core.run(before, random.random(), self._rules, stop_at)
            delivery = self._start(message, delivery)
        while delivery.phase is not Phase.DONE:
            self._wait(core.wakes_at(delivery))
            for event in self._happened(delivery):
                delivery = self._step(message, delivery, event)
        self._end(message, delivery)

    def _late(self, message: Message) -> float | None:
        """Until when a job for this message may run; None: it came too late and goes back untouched.

        On its last attempt a message is run all the same: going back would dead-letter it unworked.
        """
        if not self._leaving:
            return inf
        seconds = inf if self._drain is None else self._drain
        if self._orphan:
            return now() + seconds
        limit = self._limit()
        if limit is None or message.attempt < limit:
            return None
        return now() + max(seconds, self._plan.exit_timeout)

    def _limit(self) -> int | None:
        """The queue's maxReceiveCount, read when it is needed."""
        try:
            return self._queue.max_receive_count()
        except QueueError:
            return None

    def _happened(self, delivery: Delivery) -> list[on.Event]:
        """What the last wait has brought, as events of the delivery."""
        events: list[on.Event] = []
        if self._drain is not None and delivery.phase is Phase.RUNNING:
            events.append(on.StopBy(now() + self._drain))
            self._drain = None
        if self._job is not None and (gone := self._job.gone()):
            events.append(gone)
        elif delivery.phase is Phase.HELD and (self._freed or self._orphan):
            events.append(on.Freed(now()))
        events.append(on.Due(now()))
        return events

    def _step(self, message: Message, delivery: Delivery, event: on.Event) -> Delivery:
        """One event, and everything that follows from it at once."""
        if delivery.phase is Phase.DONE:
            return delivery
        before = delivery
        delivery, actions = core.step(delivery, event, self._rules)
        if delivery.exit is not before.exit:
            self._tell_end(message, delivery)
        for action in actions:
            follows = self._perform(message, delivery, action)
            if follows is not None:
                delivery = self._step(message, delivery, follows)
        return delivery

    def _perform(self, message: Message, delivery: Delivery, action: on.Action) -> on.Event | None:
        match action:
            case on.Extend(seconds):
                return self._extend(message, delivery, seconds)
            case on.Settle(how):
                return self._settle(message, how)
            case on.Terminate() if self._job is not None:
                log.emit("job.stopping", **self._about(message), job_pid=self._job.pid)
                self._job.signal(signal.SIGTERM)
            case on.Kill() if self._job is not None:
                self._job.kill()
            case on.Hold():
                self._channel.send(Held())
            case on.LeaseLost():
                log.emit("lease.lost", **self._about(message))
            case _:
                pass
        return None

    def _start(self, message: Message, delivery: Delivery) -> Delivery:
        """Fork the job."""
        work = self._post.work(message)
        started = now()
        try:
            pid = processes.fork_blocked((signal.SIGTERM,))
        except OSError as error:
            self._starved = True
            log.emit("job.not_started", **self._about(message), error=os.strerror(error.errno or 0))
            return self._step(message, delivery, on.NotStarted(now()))
        if pid == 0:
            job.run(work, self._pid)
        self._job = Running(pid, started, self._poll)
        self._note(state=State.WORKING, job_pid=pid, job_started_at=started)
        self._title(f"job {message.id[:CUT_ID]}")
        log.emit("job.started", **self._about(message), job_pid=pid)
        return delivery

    def _extend(self, message: Message, delivery: Delivery, seconds: int) -> on.Event:
        before = now()
        try:
            self._queue.extend(message, seconds)
        except QueueError as error:
            log.emit("lease.failed", **self._about(message), error=str(error), left=delivery.lease_until - now())
            return on.ExtendFailed(now(), random.random())
        self._note(lease_until=before + seconds)
        log.emit("lease.extended", **self._about(message), seconds=seconds)
        if self._job is not None:
            self._title(f"job {message.id[:CUT_ID]} {now() - self._job.started:.0f}s")
        return on.Extended(before, now(), seconds, random.random())

    def _settle(self, message: Message, how: Settlement) -> on.Event:
        """One request. The intent is in the scoreboard first."""
        self._note(state=State.WORKING, intent=how.value)
        try:
            if how is Settlement.DELETE:
                self._queue.delete(message)
            else:
                # Nobody knows our siblings' polls when the master is gone: hide it until they are over.
                self._queue.release(message, ceil(self._plan.wait_time) + 1 if self._orphan else 0)
        except QueueError as error:
            log.emit("message.unsettled", **self._about(message), settlement=how.value, error=str(error))
            final = error.trouble in (Trouble.MESSAGE, Trouble.FINAL)
            return on.SettleFailed(now(), random.random(), final)
        return on.SettleDone()

    def _tell_end(self, message: Message, delivery: Delivery) -> None:
        """The job's last line."""
        if self._job is None or delivery.outcome is None or delivery.exit is None:
            return
        log.emit(
            f"job.{delivery.outcome.value}",
            **self._about(message),
            job_pid=self._job.pid,
            duration=round(self._job.seconds, 4),
            exit=processes.phrase(delivery.exit),
            max_rss_mib=self._job.usage.max_rss_mib,
            cpu_seconds=self._job.usage.cpu_seconds,
        )

    def _end(self, message: Message, delivery: Delivery) -> None:
        """Say what became of the message, and be idle again."""
        what, seconds = delivery.outcome, self._job.seconds if self._job else None
        how = delivery.settlement or Settlement.LEAVE
        bad = what in (Outcome.FAILED, Outcome.SIGNALLED) and ended_badly(what, message.attempt, self._limit())
        self._job = None
        self._record = Record(State.IDLE, self._pid)
        self._note(state=State.IDLE)
        self._channel.send(Settled(how, what, seconds, bad, self._starved))
        self._starved = False
        why = {"why": _why_left(delivery, bad)} if how is Settlement.LEAVE else {}
        log.emit(f"message.{how.value}", **self._about(message), **why)
        self._title("idle")

    # Small things.

    def _about(self, message: Message) -> dict[str, object]:
        return {"slot": self._post.slot, "message_id": message.id, "attempt": message.attempt}

    def _note(self, **changes: object) -> None:
        """Bring the scoreboard's record up to date."""
        record = self._record
        record.beat = now()
        for name, value in changes.items():
            setattr(record, name, value)
        self._post.scoreboard.write(self._post.slot, record)

    def _title(self, what: str) -> None:
        setproctitle.setproctitle(f"fleet: dispatcher {self._post.slot} {what}")


def _why_left(delivery: Delivery, bad: bool) -> str:
    if delivery.outcome in (Outcome.FAILED, Outcome.SIGNALLED):
        return "its job failed on its last attempt" if bad else "its job failed; it is tried again then"
    return "its lease was lost" if delivery.lost else "the queue did not take the settlement in time"
