"""One message: does what `core/delivery/machine.py` says, and tells it what came of it.

    scoreboard ──▶ fork job ──▶ wait ──▶ verdict ──▶ intent to the scoreboard ──▶ request ──▶ Settled
                     ▲   job's pidfd │
                     └── extend ◀────┘ every third of the lease

It runs no user code and starts no thread, and what it touches between two forks is paid for twice,
so the path of a quiet message is kept short.
"""

import os
import random
from dataclasses import replace
from math import ceil, inf

from fleet.core.delivery import events as on
from fleet.core.delivery import machine as core
from fleet.core.delivery.machine import Delivery, Phase, Rules
from fleet.core.exit_codes import FAILED
from fleet.core.failure import Failure
from fleet.core.outcomes import Exit, Facts, Outcome, Settlement, Verdict, ended_badly, is_redriven
from fleet.core.protocol import Denied, Healed, Held, LeaseLost, Settled, Troubled
from fleet.core.queue import Message, QueueError, Trouble
from fleet.dispatcher.context import Bench, Living
from fleet.dispatcher.delivery_log import DeliveryLog
from fleet.dispatcher.returned import Returned, is_done, meant
from fleet.job import errors, process
from fleet.system import procfs
from fleet.system.clock import now

USELESS = (Trouble.GONE, Trouble.MESSAGE, Trouble.FINAL)  # to ask once more
CUT_ID = 8  # characters of a message id in a title


class Delivering:
    """The message in hand."""

    def __init__(self, bench: Bench, message: Message, before: float) -> None:
        self._bench, self._message, self._before = bench, message, before
        self._inbox, self._rules, self._queue = bench.inbox, bench.rules, bench.queue
        self._log = DeliveryLog(bench, message)
        self._returned = Returned(bench.page, bench.rules.config.exit_timeout)
        self._job: Living | None = None
        self._handler: Living | None = None
        self._hook: Living | None = None
        self.starved = False
        self.refusal: QueueError | None = None  # why the last request to settle was not done
        self._asked: Settlement | None = None  # what was asked for last
        self._denied = False  # the master was told that the delete is not allowed
        self._in_trouble = False  # it was told that the queue does not answer as it should
        self.delay = 0  # seconds: of the release that was asked for
        self._delivery: Delivery

    def run(self) -> Delivery:
        """From the answer to the settlement; returns how it ended."""
        if self._message.unusable:
            return self.leave()
        self._inbox.wait(0)  # what was said while we polled counts before any user code runs
        self._inbox.freed = False
        self._bench.page.wipe()
        stop_at, self._inbox.drain = self._late(), None
        if stop_at is None:
            return self.give_back(core.LATE)
        self._delivery = core.run(
            self._before,
            random.random(),
            self._rules,
            now=now(),
            attempt=self._message.attempt,
            stop_at=stop_at,
        )
        self._start()
        return self._to_the_end()

    def give_back(self, back: Verdict) -> Delivery:
        """Release the message, untouched."""
        attempt = self._message.attempt
        self._delivery = core.hold(
            self._before, random.random(), self._rules, attempt=attempt, back=back
        )
        self._inbox.say(Held())
        return self._to_the_end()

    def leave(self) -> Delivery:
        """It is not what was sent: nobody works on it, and nobody is given it before its lease
        ends.
        """
        attempt, why = self._message.attempt, self._message.unusable
        self._delivery = core.untouched(
            self._before, random.random(), self._rules, attempt=attempt, why=why
        )
        self._end()
        return self._delivery

    def _to_the_end(self) -> Delivery:
        while self._delivery.phase is not Phase.DONE:
            moments = (
                core.wakes_at(self._delivery),
                self._log.speaks_at,
                self._returned.looks_at,
            )
            due = [running.due for running in (self._job, self._handler, self._hook) if running]
            self._inbox.wait(min(*moments, *due))
            self._look()
        self._end()
        return self._delivery

    # One of several that a poll has brought (batch.py).

    def park(self) -> None:
        """Its turn has not come; its lease is kept meanwhile, if it is looked after."""
        self._delivery = core.hold(
            self._before, random.random(), self._rules, attempt=self._message.attempt
        )

    def wakes_at(self) -> float:
        """When it is to be looked after next."""
        return core.wakes_at(self._delivery)

    def look_after(self) -> bool:
        """Do what is due. True when it has ended while it waited, which is told."""
        self._look()
        if self._delivery.phase is not Phase.DONE:
            return False
        self._end()
        return True

    def let_go(self, back: Verdict) -> None:
        """It will not be run: it is released as soon as the master allows it."""
        self._delivery = replace(self._delivery, verdict=back)
        self._inbox.say(Held())

    def take_turn(self, stop_at: float) -> None:
        """From its turn to the settlement."""
        self._bench.page.wipe()
        self._delivery = core.begin(self._delivery, now(), self._rules, stop_at)
        self._start()
        self._to_the_end()

    @property
    def settlement(self) -> Settlement:
        """What has become of it."""
        return self._delivery.settlement or Settlement.LEAVE

    @property
    def last_attempt(self) -> bool:
        """Whether to release it is to dead-letter it."""
        limit = self._limit()
        return limit is not None and self._message.attempt >= limit

    def _late(self) -> float | None:
        """Until when a job for this message may run; None: it came too late and goes back
        untouched.

        On its last attempt a message is run all the same: going back would dead-letter it unworked.
        """
        inbox = self._inbox
        if not inbox.leaving:
            return inf
        seconds = inf if inbox.drain is None else inbox.drain
        if inbox.orphan:
            return now() + seconds
        if not self.last_attempt:
            return None
        return now() + max(seconds, self._rules.config.exit_timeout)

    def _limit(self) -> int | None:
        """The queue's limit on deliveries, read when it is needed; unknown is the same as none."""
        try:
            return self._queue.max_receive_count()
        except QueueError as error:
            self._troubled(error)
            return None

    # What happens.

    def _look(self) -> None:
        """Everything that the last wait has brought, as events; what has ended comes before what is
        due.
        """
        if self._inbox.drain is not None and self._delivery.phase is Phase.RUNNING:
            self._step(on.StopBy(now() + self._inbox.drain))
            self._inbox.drain = None
        if self._job and (exit_ := self._gone(self._job, self._but(self._handler))):
            self._step(on.Exited(now(), exit_))
        elif self._job and self._job.lingers:
            self._returned.end()
            self._log.job_lingers(self._job)
        elif self._job:
            self._look_whether_it_has_returned(self._job)
        if self._handler and (exit_ := self._handler.gone(self._but(self._job))):
            self._log.handler_ended(self._handler, exit_)
            self._step(on.HandlerExited(now(), exit_))
        if self._hook and (exit_ := self._hook.gone()):
            self._log.hook_ended(self._hook, exit_, in_time=self._delivery.hook_until < inf)
            self._step(on.HookExited(now()))
        if self._delivery.phase is Phase.DOUBTFUL and (heard := self._leaving()):
            self._step(heard)
        if self._delivery.phase is Phase.HELD and (self._inbox.freed or self._inbox.orphan):
            self._step(on.Freed(now()))
        self._step(on.Due(now()))

    def _leaving(self) -> on.Leaving | None:
        return on.Leaving(now(), self._inbox.stopping) if self._inbox.leaving else None

    def _gone(self, running: Living, others: tuple[int, ...]) -> Exit | None:
        """What the job came to, when nothing of it exists any more."""
        how = running.gone(others, self._seen)
        if how is None:
            return None
        self._returned.end()
        what = meant(how, self._bench.page)
        if what != how and is_done(self._bench.page):
            self._log.job_exit_failed(how, self._returned.cut)
        return what

    def _seen(self, exit_: Exit) -> None:
        self._bench.board.note(exit=meant(exit_, self._bench.page))

    def _look_whether_it_has_returned(self, running: Living) -> None:
        waits = self._returned.look(now())
        if waits:
            self._log.say("job.waits", job_pid=running.pid, waits=waits)
            self._bench.board.note(waits=waits)
            self._bench.board.title(f"job {self._message.id[:CUT_ID]} returned; waits for {waits}")
        if self._returned.cut:
            self._returned.end()
            running.kill(self._but(self._handler))

    @staticmethod
    def _but(other: Living | None) -> tuple[int, ...]:
        return (other.pid,) if other else ()

    def _step(self, event: on.Event) -> None:
        """One event, and everything that follows from it at once."""
        if self._delivery.phase is Phase.DONE:
            return
        had_ended = self._delivery.outcome is not None
        self._delivery, actions = core.step(self._delivery, event, self._rules_now())
        news = self._delivery.outcome is not None and not had_ended
        hurried = (
            self._delivery.outcome is Outcome.SUCCEEDED
        )  # what is done is deleted first, and told then
        if news and not hurried:
            self._tell_end()
        for action in actions:
            follows = self._perform(action)
            if news and hurried:
                news = False
                self._tell_end()
            if follows is not None:
                self._step(follows)

    def _tell_end(self) -> None:
        if self._job is not None:
            self._log.job_ended(self._job, self._delivery)

    def _rules_now(self) -> Rules:
        """With a router only the job knows, once it is routed, whether there is an exit handler for
        it.
        """
        if self._rules.config.router is None:
            return self._rules
        return replace(self._rules, has_handler=self._bench.page.read().get("handler") is True)

    # What is to be done.

    def _perform(self, action: on.Action) -> on.Event | None:
        match action:
            case on.Extend(seconds):
                return self._extend(seconds)
            case on.Settle(what):
                return self._settle(what)
            case on.Ask():
                return self._known()
            case on.Terminate() | on.Kill() | on.Freeze() if self._job is not None:
                return self._stop(action, self._job)
            case on.Doubt():
                return self._leaving()
            case on.RunHandler():
                return self._start_handler()
            case on.KillHandler() if self._handler is not None:
                self._handler.kill(self._but(self._job))
            case on.RunHook():
                return self._start_hook()
            case on.KillHook() if self._hook is not None:
                self._hook.kill()
            case on.Hold():
                if self._delivery.verdict:
                    self._bench.board.note(intent_delay=self._delivery.verdict.delay)
                self._inbox.say(Held())
            case on.LeaseLost():
                self._bench.board.note(lease=0)  # as above, and it has been noticed
                goes_on = self._delivery.phase is Phase.RUNNING
                self._log.say("lease.lost", then="; the job runs on" if goes_on else "")
                self._inbox.say(LeaseLost())
            case on.LimitReached(left):
                self._bench.board.note(lease=0)  # no extend will come, and that is no hang
                self._log.say("lease.limit", left=left)
            case _:
                pass
        return None

    def _start(self) -> None:
        """Fork the job."""
        work = self._bench.work(self._message, self._bench.page)
        self._log.job_begins()
        try:
            started = self._bench.start(lambda parent: process.run_job(work, parent))
        except OSError as error:
            self.starved = True
            self._log.say("job.not_started", error=os.strerror(error.errno or 0))
            self._step(on.NotStarted(now()))
            return
        self._job = started
        self._returned.begin(now())
        self._bench.board.note(job_pid=started.pid, job_started_at=started.started)
        self._bench.board.title(f"job {self._message.id[:CUT_ID]}")
        self._log.say("job.started", job_pid=started.pid)

    def _stop(self, action: on.Terminate | on.Kill | on.Freeze, running: Living) -> on.Event | None:
        match action:
            case on.Terminate():
                self._log.say("job.stopping", job_pid=running.pid, why=self._delivery.stop)
                self._bench.page.ask_to_stop()
                running.terminate()
            case on.Kill():
                running.kill(self._but(self._handler))
            case on.Freeze():
                running.freeze()
                if is_done(
                    self._bench.page
                ):  # but for its --job-exit: there is nothing to clean up
                    running.kill()
                if exit_ := self._gone(running, ()):  # it had finished before
                    return on.Exited(now(), exit_)
                if running.ended or is_done(
                    self._bench.page
                ):  # the same, but something of it is still there
                    return None
                self._log.say("job.stopping", job_pid=running.pid, why=self._delivery.stop)
                return on.Frozen(now())
        return None

    def _start_handler(self) -> on.Event | None:
        work = self._bench.work(self._message, self._bench.page)
        try:
            self._handler = self._bench.start(lambda parent: process.run_exit_handler(work, parent))
        except OSError as error:
            self._log.say("handler.not_started", error=os.strerror(error.errno or 0))
            return on.HandlerExited(now(), Exit(code=FAILED))
        fields = {"handler_pid": self._handler.pid, "tries": self._delivery.handler_tries}
        self._log.say("handler.started", **fields)
        return None

    def _start_hook(self) -> on.Event | None:
        """The job is gone by now, and so is its exit handler: nothing else is to be left alone by a
        sweep.
        """
        work, failure = self._bench.work(self._message, self._bench.page), self._failure()
        self._bench.page.withdraw_stop()
        try:
            self._hook = self._bench.start(
                lambda parent: process.run_failure_hook(work, failure, parent)
            )
        except OSError as error:
            self._log.say("hook.not_started", error=os.strerror(error.errno or 0))
            return on.HookExited(now())
        self._log.say("hook.started", hook_pid=self._hook.pid)
        return None

    def _failure(self) -> Failure:
        delivery, facts = self._delivery, self._delivery.facts
        return Failure(
            self._message,
            delivery.outcome or Outcome.FAILED,
            delivery.exit or Exit(),
            self._message.attempt,
            facts.last if facts else None,
            self._job.seconds if self._job else 0.0,
            self._job.usage.max_rss_mib if self._job else 0.0,
            **errors.read(self._bench.page, "error"),
        )

    def _extend(self, seconds: int) -> on.Event:
        before = now()
        self._bench.board.note()  # a beat, whatever comes of it
        try:
            self._queue.extend(self._message, seconds)
        except QueueError as error:
            self._troubled(error)
            left = self._delivery.lease_until - now()
            self._log.say("lease.failed", error=str(error), left=left)
            final = error.trouble in USELESS
            if final:
                self._bench.board.note(lease=0)  # no extend will come, and that is no hang
            return on.ExtendFailed(now(), random.random(), final)
        self._well()
        if now() < self._delivery.lease_until:  # else it is not ours any more, whatever SQS says
            self._bench.board.note(lease_until=before + seconds, lease=seconds)
        self._log.say("lease.extended", seconds=seconds)
        if self._job is not None:
            self._bench.board.title(
                f"job {self._message.id[:CUT_ID]} {now() - self._job.started:.0f}s"
            )
            if self._delivery.phase is Phase.RUNNING and procfs.is_stopped(self._job.pid):
                self._log.say(
                    "job.frozen", job_pid=self._job.pid
                )  # by somebody else: not in silence
        return on.Extended(before, now(), seconds, random.random())

    def _known(self) -> on.Event:
        try:
            limit = self._queue.max_receive_count()
        except QueueError as error:
            self._troubled(error)
            self._log.say("policy.unknown", error=str(error))
            gone = error.trouble is Trouble.GONE
            return on.NotKnown(
                now(), random.random(), self._wanted_delay(), gone, self._inbox.ends_at
            )
        return on.Known(now(), limit, limit is not None, self._wanted_delay(), random.random())

    def _wanted_delay(self) -> float | None:
        """What a Retry asked for."""
        after = self._bench.page.read().get("after")
        return float(after) if isinstance(after, int | float) else None

    def _settle(self, what: Verdict) -> on.Event:
        """One request. The intent is in the scoreboard first."""
        self._bench.board.note(intent=what.settlement.value, intent_delay=what.delay)
        self._asked = what.settlement
        before = now()
        try:
            match what.settlement:
                case Settlement.DELETE:
                    self._queue.delete(self._message)
                case Settlement.DEAD_LETTER:
                    self._queue.dead_letter(self._message, self._log.letter(what.why))
                case _:
                    # Nobody knows our siblings' polls without a master: hide it until they are
                    # over.
                    least = ceil(self._rules.config.wait_time) + 1 if self._inbox.blind else 0
                    self.delay = max(what.delay, least)
                    self._queue.release(self._message, self.delay)
        except QueueError as error:
            self._troubled(error)
            self.refusal = error
            self._log.say("message.unsettled", settlement=what.settlement.value, error=str(error))
            denied = error.trouble is Trouble.DENIED
            if denied and what.settlement is Settlement.DELETE and not self._denied:
                self._denied = True
                self._inbox.say(Denied(str(error), 0, self._message.id, self._message.handle))
            released = error.unanswered and what.settlement is Settlement.RELEASE
            visible_at = before + self.delay if released else inf
            final = error.trouble in USELESS
            return on.SettleFailed(
                now(), random.random(), final, visible_at, denied, self._inbox.ends_at
            )
        self.refusal = None
        self._well()
        return on.SettleDone()

    @property
    def _delete_failed(self) -> bool:
        return bool(
            self._asked is Settlement.DELETE
            and self.refusal
            and self.refusal.trouble is not Trouble.GONE
        )

    @property
    def _gone_queue(self) -> str:
        """What was said of the queue, if it does not exist any more. A letter's refusal is about
        another one.
        """
        gone = self.refusal is not None and self.refusal.trouble is Trouble.GONE
        return str(self.refusal) if gone and self._asked is not Settlement.DEAD_LETTER else ""

    def _troubled(self, error: QueueError) -> None:
        """A failed credential look-up is remembered by a session for ever; a new one may heal it."""
        if error.trouble is Trouble.SESSION:
            self._bench.renew()
        if not self._in_trouble and error.trouble not in (Trouble.MESSAGE, Trouble.FINAL):
            self._in_trouble = True
            self._inbox.say(Troubled(str(error)))

    def _well(self) -> None:
        """A call has succeeded."""
        if self._in_trouble:
            self._in_trouble = False
            self._inbox.say(Healed())

    def _end(self) -> None:
        """Say what became of the message."""
        delivery, how = self._delivery, self.settlement
        facts = delivery.facts or Facts(attempt=self._message.attempt)
        seconds = self._job.seconds if self._job else None
        bad = delivery.sent or ended_badly(delivery.outcome, how, facts)
        self._bench.board.clear(how.value)
        why = delivery.verdict.why if delivery.verdict else ""
        rest = {
            Settlement.LEAVE: delivery.lease_until - now(),
            Settlement.RELEASE: float(self.delay),
        }
        used = self._job.usage.max_rss_mib if self._job else None
        self._inbox.say(
            Settled(
                how,
                delivery.outcome,
                seconds,
                bad,
                self.starved,
                delivery.lost,
                hidden_for=round(max(0.0, rest.get(how, 0.0)), 1),
                max_rss_mib=used,
                unconfirmed=how is Settlement.LEAVE and self._delete_failed,
                redriven=is_redriven(how, facts),
                gone=self._gone_queue if how is Settlement.LEAVE else "",
            )
        )
        self._log.say(f"message.{how.value}", why=why, delay=self.delay)
