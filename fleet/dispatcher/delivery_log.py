"""What people are told of one delivery: its log, its job's death certificate, what lingers."""

import signal
from math import inf
from typing import Any

from fleet.core.delivery.machine import Delivery
from fleet.core.exit_codes import DONE
from fleet.core.outcomes import Exit, Outcome
from fleet.core.plain_text import one_line
from fleet.core.queue import Message
from fleet.dispatcher import certificate
from fleet.dispatcher.context import Bench, Living
from fleet.job import errors
from fleet.system import log, processes
from fleet.system.cgroup import has_oom_kill
from fleet.system.clock import now

TO_DIE = 1.0  # seconds: what a killed process may take to be gone
GOOD = (Outcome.SUCCEEDED, Outcome.RETRIED)
NO_REASON = "it gave no reason"  # as with exit status 65
MOST_SAID = 500  # characters of a reason that user code gives, and of a dead letter's attribute


class DeliveryLog:
    """Tells. `speaks_at`: when there is something to say though nothing has happened."""

    def __init__(self, bench: Bench, message: Message) -> None:
        self._bench = bench
        self._about = {"slot": bench.slot, "message_id": message.id, "attempt": message.attempt}
        self._oom_before = b""
        self._lingered = False
        self.speaks_at = inf
        self._certificate = ""

    def say(self, event: str, **fields: Any) -> None:
        """One event of the log, about this message."""
        log.emit(event, **self._about, **fields)

    def job_begins(self) -> None:
        """From now on a kill that the kernel counts may be this job's."""
        self._oom_before = self._bench.oom.read()

    def job_ended(self, job: Living, delivery: Delivery) -> None:
        """Its death certificate."""
        self.speaks_at = inf
        if delivery.outcome is None or delivery.exit is None:
            return
        memory_ran_out = delivery.exit.signal == signal.SIGKILL and has_oom_kill(
            self._oom_before, self._bench.oom.read()
        )
        found = certificate.of(job, delivery, memory_ran_out)
        self._certificate = certificate.phrase(found)
        rejected = delivery.outcome is Outcome.REJECTED
        reason = (self._bench.page.read().get("reason") or NO_REASON) if rejected else ""
        error = {} if delivery.outcome in GOOD else errors.read(self._bench.page, "error")
        limit = (
            {"limit": self._bench.rules.config.job_timeout}
            if delivery.outcome is Outcome.TIMED_OUT
            else {}
        )
        self.say(
            f"job.{delivery.outcome.value}",
            **found,
            **limit,
            **error,
            reason=str(reason)[:MOST_SAID],
        )

    def job_lingers(self, job: Living) -> None:
        """Once, and not of what only takes its time to die."""
        if not self._lingered:
            self._lingered, self.speaks_at = True, now() + TO_DIE
        elif now() >= self.speaks_at:
            self.speaks_at = inf
            self.say("job.lingers", job_pid=job.pid, left=job.lingers)

    def job_exit_failed(self, how: Exit, cut: bool) -> None:
        """--job-exit did not come to its end; what its job came to stands."""
        limit = (
            f"it took longer than the exit time-out, {self._bench.rules.config.exit_timeout:g} s"
        )
        why = limit if cut else f"its process ended with {processes.describe_exit(how)}"
        self.say("job_exit.failed", why=why)

    def handler_ended(self, handler: Living, exit_: Exit) -> None:
        """However it did."""
        event = "handler.ended" if exit_.code == DONE else "handler.failed"
        error = {} if exit_.code == DONE else errors.read(self._bench.page, "handler_error")
        self.say(event, handler_pid=handler.pid, exit=processes.describe_exit(exit_), **error)

    def hook_ended(self, hook: Living, exit_: Exit, *, in_time: bool) -> None:
        """However it did: that changes nothing of the settlement."""
        if exit_.code == DONE:
            self.say("hook.ended", hook_pid=hook.pid)
            return
        seconds = self._bench.rules.config.exit_timeout
        how = (
            processes.describe_exit(exit_)
            if in_time
            else f"{processes.describe_exit(exit_)}, longer than {seconds:g} s"
        )
        self.say(
            "hook.failed",
            hook_pid=hook.pid,
            exit=how,
            **errors.read(self._bench.page, "hook_error"),
        )

    def letter(self, why: str) -> dict[str, str]:
        """A dead letter's attributes: why, at which attempt, and how the job had ended."""
        said = one_line(f"{why}; attempt {self._about['attempt']}, {self._certificate}")
        return {"FleetDeath": said[:MOST_SAID]}
