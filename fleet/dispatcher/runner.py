"""One message: waits, tells its delivery what has happened, and does what the delivery asks for.

    scoreboard ─▶ fork job ─▶ wait ─▶ verdict ─▶ intent to the scoreboard ─▶ request ─▶ Settled
                    ▲  job's pidfd │
                    └── extend ◀───┘ every third of the lease

What is decided about the message is in core/delivery; its processes are in user_processes.py, its
requests in requests.py. This process runs no user code and starts no thread, and what it touches
between two forks is paid for twice, so the path of a quiet message is kept short.
"""

from math import inf

from fleet.core.delivery import Delivery, DeliveryPhase, Rules, begin, step, wakes_at
from fleet.core.delivery import actions as do
from fleet.core.delivery import events as on
from fleet.core.outcomes import (
    Facts,
    Outcome,
    Settlement,
    Verdict,
    has_ended_badly,
    is_redriven,
)
from fleet.core.protocol import Held, LeaseLost, Settled
from fleet.core.queue import Message, QueueError
from fleet.core.records import replace
from fleet.dispatcher.context import Context
from fleet.dispatcher.delivery_log import DeliveryLog
from fleet.dispatcher.requests import QueueRequests
from fleet.dispatcher.user_processes import UserProcesses
from fleet.system import jitter
from fleet.system.clock import now


class DeliveryRunner:
    """The message in hand, received by a call that was made at `before`.

    It waits for its turn until `run` or one of the methods for a message of a batch is called.
    """

    def __init__(self, context: Context, message: Message, before: float) -> None:
        self._context, self._message = context, message
        self._inbox, self._board, self._rules = context.inbox, context.board, context.rules
        self._log = DeliveryLog(context, message)
        self._requests = QueueRequests(context, message, self._log)
        self._processes = UserProcesses(context, message, self._log)
        self._delivery = begin(before, jitter.draw(), context.rules, attempt=message.attempt)

    def run(self) -> Delivery:
        """From the answer to the settlement; returns how it ended."""
        if self._message.unusable:
            return self.leave_unusable()
        self._inbox.wait(0)  # what was said while we polled counts before any user code runs
        self._inbox.freed = False
        self._context.page.wipe()
        arrival = self._arrival()
        self._inbox.drain = None  # it is acted on with the arrival
        self._step(arrival)
        return self._run_to_end()

    def _arrival(self) -> on.Arrived:
        """The limit is looked up only where something depends on it: it may cost a request."""
        inbox = self._inbox
        needs_limit = inbox.leaving and not inbox.orphan
        is_last_attempt = needs_limit and self.is_last_attempt(self.read_limit())
        return on.Arrived(now(), inbox.leaving, inbox.orphan, inbox.drain, is_last_attempt)

    def give_back(self, verdict: Verdict) -> Delivery:
        """Release the message unworked, as `verdict` says; returns how it ended."""
        self.send_back(verdict)
        return self._run_to_end()

    def leave_unusable(self) -> Delivery:
        """Leave a message to its lease that is not what was sent; returns how it ended."""
        self._step(on.FoundUnusable(self._message.unusable))
        return self._run_to_end()

    def _run_to_end(self) -> Delivery:
        while not self.has_ended:
            self._inbox.wait(
                min(wakes_at(self._delivery), self._log.speaks_at, self._processes.looks_at)
            )
            self._look()
        self._tell_settlement()
        return self._delivery

    # One of several that a poll has brought (batch.py).

    def wakes_at(self) -> float:
        """When a waiting message is to be looked after next (seconds on our clock)."""
        return wakes_at(self._delivery)

    def look_after(self) -> bool:
        """Do what is due for a waiting message. True when it has ended, which is told."""
        self._look()
        if self.has_ended:
            self._tell_settlement()
        return self.has_ended

    def send_back(self, verdict: Verdict) -> None:
        """The message will not be run: it is released as soon as the master allows that."""
        self._step(on.SentBack(verdict))

    def take_turn(self, stop_at: float) -> None:
        """From its turn to the settlement; its job must have ended at `stop_at`."""
        self._context.page.wipe()
        self._step(on.TurnCame(now(), stop_at))
        self._run_to_end()

    def read_limit(self) -> int | None:
        """How often the queue delivers a message; None: without end, or nobody knows."""
        return self._requests.read_limit()

    def is_last_attempt(self, limit: int | None) -> bool:
        """Whether to release the message is to dead-letter it."""
        return limit is not None and self._message.attempt >= limit

    # What became of it.

    @property
    def has_ended(self) -> bool:
        """Whether nothing more is to be done about the message."""
        return self._delivery.phase is DeliveryPhase.DONE

    @property
    def settlement(self) -> Settlement:
        """What has become of the message; one that nobody has decided about is left."""
        return self._delivery.settlement or Settlement.LEAVE

    @property
    def starved(self) -> bool:
        """Whether the host had no process for the job."""
        return self._processes.starved

    @property
    def refusal(self) -> QueueError | None:
        """Why the last request to settle was not done, if it was not."""
        return self._requests.refusal

    @property
    def delay(self) -> int:
        """Of the release that was asked for, in seconds."""
        return self._requests.delay

    # What happens.

    def _look(self) -> None:
        """Everything that the last wait has brought, as events; ends come before what is due."""
        if self._inbox.drain is not None and self._delivery.phase is DeliveryPhase.RUNNING:
            self._step(on.StopBy(now() + self._inbox.drain))
            self._inbox.drain = None
        if job_exited := self._processes.look_at_job():
            self._step(job_exited)
        if handler_exited := self._processes.look_at_handler():
            self._step(handler_exited)
        if hook_exited := self._processes.look_at_hook(in_time=self._delivery.hook_until < inf):
            self._step(hook_exited)
        if self._delivery.phase is DeliveryPhase.DOUBTFUL and (leaves := self._look_for_stop()):
            self._step(leaves)
        is_held = self._delivery.phase is DeliveryPhase.HELD
        if is_held and (self._inbox.freed or self._inbox.orphan):
            self._step(on.ReleaseAllowed(now()))
        self._step(on.Due(now()))

    def _look_for_stop(self) -> on.DispatcherLeaves | None:
        if not self._inbox.leaving:
            return None
        return on.DispatcherLeaves(now(), self._inbox.stopping)

    def _step(self, event: on.Event) -> None:
        """One event, and everything that follows from it at once."""
        if self.has_ended:
            return
        had_ended = self._delivery.outcome is not None
        self._delivery, actions = step(self._delivery, event, self._rules_now())
        job_ends = self._delivery.outcome is not None and not had_ended
        # A success is told after its first request: what is done is deleted first.
        succeeded = self._delivery.outcome is Outcome.SUCCEEDED
        if job_ends and not succeeded:
            self._tell_job_end()
        for number, action in enumerate(actions):
            answer = self._perform(action)
            if job_ends and succeeded and number == 0:
                self._tell_job_end()
            if answer is not None:
                self._step(answer)

    def _tell_job_end(self) -> None:
        if self._processes.job is not None:
            self._log.tell_job_end(self._processes.job, self._delivery)

    def _rules_now(self) -> Rules:
        """With a router only the job knows, once it is routed, whether it has an exit handler."""
        if self._rules.config.router is None:
            return self._rules
        return replace(self._rules, has_handler=self._context.page.read().get("handler") is True)

    # What is to be done.

    def _perform(self, action: do.Action) -> on.Event | None:
        """Do it, and return what came of it where that is an event of its own."""
        delivery, processes = self._delivery, self._processes
        match action:
            case do.RunJob():
                return processes.start_job()
            case do.Extend(seconds):
                return self._extend(seconds)
            case do.Settle(what):
                return self._requests.settle(what)
            case do.ReadPolicy():
                return self._requests.read_policy()
            case do.CheckForStop():
                return self._look_for_stop()
            case do.TerminateJob():
                processes.terminate_job(delivery.stop)
            case do.FreezeJob():
                return processes.freeze_job(delivery.stop)
            case do.KillJob():
                processes.kill_job()
            case do.RunHandler():
                return processes.start_handler(delivery.handler_tries)
            case do.KillHandler():
                processes.kill_handler()
            case do.RunHook():
                return processes.start_hook(delivery)
            case do.KillHook():
                processes.kill_hook()
            case do.AskForRelease():
                self._ask_for_release()
            case do.TellLeaseLost():
                self._tell_lease_lost()
            case do.TellLeaseLimit(left):
                self._board.note(lease=0)  # no extend will come, and that is no hang
                self._log.say("lease.limit", left=left)
            case do.EndDelivery():  # whoever waits for the end sees it by the phase
                pass
        return None

    def _extend(self, seconds: int) -> on.Event:
        answer = self._requests.extend(seconds, self._delivery)
        if isinstance(answer, on.Extended):
            is_running = self._delivery.phase is DeliveryPhase.RUNNING
            self._processes.show_age(is_running=is_running)
        return answer

    def _ask_for_release(self) -> None:
        if self._delivery.verdict:
            self._board.note(intent_delay=self._delivery.verdict.delay)
        self._inbox.say(Held())

    def _tell_lease_lost(self) -> None:
        self._board.note(lease=0)  # no extend will come, and it has been noticed
        goes_on = self._delivery.phase is DeliveryPhase.RUNNING
        self._log.say("lease.lost", then="; the job runs on" if goes_on else "")
        self._inbox.say(LeaseLost())

    def _tell_settlement(self) -> None:
        """Say what became of the message."""
        delivery, how, job = self._delivery, self.settlement, self._processes.job
        facts = delivery.facts or Facts(attempt=self._message.attempt)
        self._board.clear(how.value)
        is_left = how is Settlement.LEAVE
        hidden_for = {
            Settlement.LEAVE: delivery.lease_until - now(),
            Settlement.RELEASE: float(self.delay),
        }
        self._inbox.say(
            Settled(
                how,
                delivery.outcome,
                job.seconds if job else None,
                bad=has_ended_badly(delivery.outcome, how, facts, was_sent=delivery.sent),
                starved=self.starved,
                lease_lost=delivery.lost,
                hidden_for=round(max(0.0, hidden_for.get(how, 0.0)), 1),
                max_rss_mib=job.usage.max_rss_mib if job else None,
                unconfirmed=is_left and self._requests.is_delete_unconfirmed,
                redriven=is_redriven(how, facts),
                gone=self._requests.gone_queue if is_left else "",
            )
        )
        why = delivery.verdict.why if delivery.verdict else ""
        self._log.say(f"message.{how.value}", why=why, delay=self.delay)
