"""The processes of user code for one message: its job, the exit handler and the --on-failure hook.

Each is started, stopped and looked at here, and what became of it is an event of the delivery. None
of them may be hit by a sweep that is meant for another one.
"""

import os

from fleet.core.delivery import Delivery
from fleet.core.delivery import events as on
from fleet.core.exit_codes import FAILED
from fleet.core.failure import Failure
from fleet.core.outcomes import Exit, Outcome, Stop
from fleet.core.queue import Message
from fleet.dispatcher.context import Context, UserProcess
from fleet.dispatcher.delivery_log import DeliveryLog
from fleet.dispatcher.returned import ReturnedJob, exit_of_job, is_done
from fleet.job import errors, process
from fleet.system import procfs
from fleet.system.clock import now

CUT_ID = 8  # characters of a message id in a title


class UserProcesses:
    """None of them exists at first. `starved`: the host had no process for the job."""

    def __init__(self, context: Context, message: Message, delivery_log: DeliveryLog) -> None:
        self._context, self._message, self._log = context, message, delivery_log
        self._board, self._page = context.board, context.page
        self._returned = ReturnedJob(context.page, context.rules.config.exit_timeout)
        self.job: UserProcess | None = None
        self._handler: UserProcess | None = None
        self._hook: UserProcess | None = None
        self.starved = False

    @property
    def looks_at(self) -> float:
        """When they are to be looked at though nothing has happened."""
        all_of_them = (self.job, self._handler, self._hook)
        return min([self._returned.looks_at, *(each.due for each in all_of_them if each)])

    # Starting.

    def start_job(self) -> on.JobNotStarted | None:
        """Start the job."""
        work = self._context.work(self._message, self._page)
        self._log.note_job_begins()
        try:
            job = self._context.start_job(work)
        except OSError as error:
            self.starved = True
            self._log.say("job.not_started", error=os.strerror(error.errno or 0))
            return on.JobNotStarted(now())
        self.job = job
        self._returned.begin(now())
        self._board.note(job_pid=job.pid, job_started_at=job.started)
        self._board.title(f"job {self._message.id[:CUT_ID]}")
        self._log.say("job.started", job_pid=job.pid)
        return None

    def start_handler(self, tries: int) -> on.HandlerExited | None:
        """Fork a process for the exit handler; `tries`: how often it was, with this time."""
        work = self._context.work(self._message, self._page)
        try:
            self._handler = self._context.start(
                lambda parent: process.run_exit_handler(work, parent)
            )
        except OSError as error:
            self._log.say("handler.not_started", error=os.strerror(error.errno or 0))
            return on.HandlerExited(now(), Exit(code=FAILED))
        self._log.say("handler.started", handler_pid=self._handler.pid, tries=tries)
        return None

    def start_hook(self, delivery: Delivery) -> on.HookExited | None:
        """Fork a process for the --on-failure hook, which is told of the failure.

        The job and its exit handler are gone by now: no sweep has to leave anything else alone.
        """
        work, failure = self._context.work(self._message, self._page), self._failure(delivery)
        self._page.withdraw_stop()
        try:
            self._hook = self._context.start(
                lambda parent: process.run_failure_hook(work, failure, parent)
            )
        except OSError as error:
            self._log.say("hook.not_started", error=os.strerror(error.errno or 0))
            return on.HookExited(now())
        self._log.say("hook.started", hook_pid=self._hook.pid)
        return None

    def _failure(self, delivery: Delivery) -> Failure:
        """What the --on-failure hook is told."""
        return Failure(
            self._message,
            delivery.outcome or Outcome.FAILED,
            delivery.exit or Exit(),
            self._message.attempt,
            delivery.facts.last if delivery.facts else None,
            self.job.seconds if self.job else 0.0,
            self.job.usage.max_rss_mib if self.job else 0.0,
            **errors.read(self._page, "error"),
        )

    # Stopping.

    def terminate_job(self, why: Stop | None) -> None:
        """SIGTERM to the job's group."""
        if self.job is not None:
            self._log.say("job.stopping", job_pid=self.job.pid, why=why)
            self._page.ask_to_stop()
            self.job.terminate()

    def freeze_job(self, why: Stop | None) -> on.JobFrozen | on.JobExited | None:
        """SIGSTOP to everything of the job, unless it had finished before: then what it came to."""
        if self.job is None:
            return None
        self.job.freeze()
        if is_done(self._page):  # but for its --job-exit: there is nothing to clean up
            self.job.kill()
        if exit_ := self._look_for_end(self.job, ()):
            return on.JobExited(now(), exit_)
        if self.job.has_ended or is_done(self._page):  # it had finished, but something is left
            return None
        self._log.say("job.stopping", job_pid=self.job.pid, why=why)
        return on.JobFrozen(now())

    def kill_job(self) -> None:
        """SIGKILL to everything of the job."""
        if self.job is not None:
            self.job.kill(_pids_of(self._handler))

    def kill_handler(self) -> None:
        """SIGKILL to everything of the exit handler."""
        if self._handler is not None:
            self._handler.kill(_pids_of(self.job))

    def kill_hook(self) -> None:
        """SIGKILL to everything of the hook."""
        if self._hook is not None:
            self._hook.kill()

    # Looking.

    def look_at_job(self) -> on.JobExited | None:
        """What the job came to, told once when nothing of it exists any more."""
        job = self.job
        if job is None:
            return None
        if exit_ := self._look_for_end(job, _pids_of(self._handler)):
            return on.JobExited(now(), exit_)
        if job.lingering_pid:
            self._returned.end()
            self._log.tell_lingering(job)
        else:
            self._look_whether_it_has_returned(job)
        return None

    def look_at_handler(self) -> on.HandlerExited | None:
        """How the exit handler ended, told once when nothing of it exists any more."""
        if self._handler is None:
            return None
        exit_ = self._handler.poll_exit(_pids_of(self.job))
        if exit_ is None:
            return None
        self._log.tell_handler_end(self._handler, exit_)
        return on.HandlerExited(now(), exit_)

    def look_at_hook(self, *, in_time: bool) -> on.HookExited | None:
        """That the hook has ended, told once when nothing of it exists any more."""
        if self._hook is None:
            return None
        exit_ = self._hook.poll_exit()
        if exit_ is None:
            return None
        self._log.tell_hook_end(self._hook, exit_, in_time=in_time)
        return on.HookExited(now())

    def _look_for_end(self, job: UserProcess, others: tuple[int, ...]) -> Exit | None:
        """What the job came to, when nothing of it exists any more."""
        how = job.poll_exit(others, self._note_exit)
        if how is None:
            return None
        self._returned.end()
        what = exit_of_job(how, self._page)
        if what != how and is_done(self._page):
            self._log.tell_job_exit_failed(how, self._returned.is_cut)
        return what

    def _note_exit(self, exit_: Exit) -> None:
        self._board.note(exit=exit_of_job(exit_, self._page))

    def _look_whether_it_has_returned(self, job: UserProcess) -> None:
        waits = self._returned.look(now())
        if waits:
            self._log.say("job.waits", job_pid=job.pid, waits=waits)
            self._board.note(waits=waits)
            self._board.title(f"job {self._message.id[:CUT_ID]} returned; waits for {waits}")
        if self._returned.is_cut:
            self._returned.end()
            job.kill(_pids_of(self._handler))

    def show_age(self, *, is_running: bool) -> None:
        """In the title; and in the log if somebody else has stopped a running job."""
        if self.job is None:
            return
        age = now() - self.job.started
        self._board.title(f"job {self._message.id[:CUT_ID]} {age:.0f}s")
        if is_running and procfs.is_stopped(self.job.pid):
            self._log.say("job.frozen", job_pid=self.job.pid)


def _pids_of(other: UserProcess | None) -> tuple[int, ...]:
    """What a sweep leaves alone."""
    return (other.pid,) if other else ()
