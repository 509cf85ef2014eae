"""The log of one delivery: what each step tells people, how its job ended, and what lingers."""

import signal
from math import inf
from typing import Any

from fleet.core.delivery import Delivery
from fleet.core.exit_codes import DONE
from fleet.core.outcomes import Exit, Outcome, Stop
from fleet.core.plain_text import one_line
from fleet.core.queue import Message
from fleet.core.queue_names import queue_name
from fleet.dispatcher.context import Context, UserProcess
from fleet.job import errors
from fleet.system import log, processes
from fleet.system.cgroup import has_oom_kill
from fleet.system.clock import now

TO_DIE = 1.0  # seconds: what a killed process may take to be gone
AS_WISHED = (Outcome.SUCCEEDED, Outcome.RETRIED)  # an exception tells nothing more of these
NO_REASON = "it gave no reason"  # as with exit status 65
MOST_SAID = 500  # characters of a reason that user code gives, and of a dead letter's attribute


class DeliveryLog:
    """Writes to the log.

    `speaks_at`: when there is something to tell though nothing has happened (seconds on our clock).
    """

    def __init__(self, context: Context, message: Message) -> None:
        self._context = context
        self._about = {
            "slot": context.slot,
            "queue": queue_name(context.queue_name),
            "message_id": message.id,
            "attempt": message.attempt,
        }
        self._oom_kills_before = b""
        self._is_lingering_noted = False
        self.speaks_at = inf
        self._job_summary = ""

    def say(self, event: str, **fields: Any) -> None:
        """One event of the log, about this message."""
        log.emit(event, **self._about, **fields)

    def note_job_begins(self) -> None:
        """From now on an out-of-memory kill that the kernel counts may be this job's."""
        self._oom_kills_before = self._context.oom.read()

    def tell_job_end(self, job: UserProcess, delivery: Delivery) -> None:
        """How the job ended, why, and what it used."""
        self.speaks_at = inf
        if delivery.outcome is None or delivery.exit is None:
            return
        memory_ran_out = delivery.exit.signal == signal.SIGKILL and has_oom_kill(
            self._oom_kills_before, self._context.oom.read()
        )
        fields = job_fields(job, delivery, memory_ran_out=memory_ran_out)
        self._job_summary = summarize(fields)
        if delivery.outcome is Outcome.TIMED_OUT:
            fields["limit"] = self._context.rules.config.job_timeout
        if delivery.outcome not in AS_WISHED:
            fields |= errors.read(self._context.page, "error")
        is_rejected = delivery.outcome is Outcome.REJECTED
        reason = (self._context.page.read().get("reason") or NO_REASON) if is_rejected else ""
        self.say(f"job.{delivery.outcome.value}", **fields, reason=str(reason)[:MOST_SAID])

    def tell_lingering(self, job: UserProcess) -> None:
        """Something that the job left is still there.

        Told once, and not of what just takes its time to die.
        """
        if not self._is_lingering_noted:
            self._is_lingering_noted, self.speaks_at = True, now() + TO_DIE
        elif now() >= self.speaks_at:
            self.speaks_at = inf
            self.say("job.lingers", job_pid=job.pid, left=job.lingering_pid)

    def tell_job_exit_failed(self, how: Exit, cut: bool) -> None:
        """The --job-exit hook did not come to its end; what its job came to stands."""
        limit = (
            f"it took longer than the exit time-out, {self._context.rules.config.exit_timeout:g} s"
        )
        why = limit if cut else f"its process ended with {processes.describe_exit(how)}"
        self.say("job_exit.failed", why=why)

    def tell_handler_end(self, handler: UserProcess, exit_: Exit) -> None:
        """How the exit handler ended."""
        event = "handler.ended" if exit_.code == DONE else "handler.failed"
        error = {} if exit_.code == DONE else errors.read(self._context.page, "handler_error")
        self.say(event, handler_pid=handler.pid, exit=processes.describe_exit(exit_), **error)

    def tell_hook_end(self, hook: UserProcess, exit_: Exit, *, in_time: bool) -> None:
        """How the --on-failure hook ended: that changes nothing of the settlement."""
        if exit_.code == DONE:
            self.say("hook.ended", hook_pid=hook.pid)
            return
        how = processes.describe_exit(exit_)
        if not in_time:
            how = f"{how}, longer than {self._context.rules.config.exit_timeout:g} s"
        error = errors.read(self._context.page, "hook_error")
        self.say("hook.failed", hook_pid=hook.pid, exit=how, **error)

    def dead_letter_attributes(self, why: str) -> dict[str, str]:
        """A dead letter's attributes: why, at which attempt, and how the job had ended."""
        said = one_line(f"{why}; attempt {self._about['attempt']}, {self._job_summary}")
        return {"FleetDeath": said[:MOST_SAID]}


def job_fields(job: UserProcess, delivery: Delivery, *, memory_ran_out: bool) -> dict[str, Any]:
    """The fields of the event that tells a job's end.

    `oom`: the cgroup's count of out-of-memory kills grew while the job ran, and it died by a
    SIGKILL that was not ours: likely, not certain, because another process of the cgroup may have
    been meant.
    """
    exit_, stop = delivery.exit, delivery.stop
    was_killed = exit_ is not None and exit_.signal == signal.SIGKILL and stop is None
    return {
        "job_pid": job.pid,
        "exit": processes.describe_exit(exit_) if exit_ else "unknown",
        "duration": round(job.seconds, 4),
        "max_rss_mib": job.usage.max_rss_mib,
        "cpu_seconds": job.usage.cpu_seconds,
        "timed_out": stop is Stop.TIMED_OUT,
        "stopped_by": stop.value if stop else None,
        "oom": "likely" if was_killed and memory_ran_out else None,
    }


def summarize(fields: dict[str, Any]) -> str:
    """A job's end in one line, for a dead letter's attributes."""
    stopped = f", stopped: {fields['stopped_by']}" if fields["stopped_by"] else ""
    oom = ", likely out of memory" if fields["oom"] else ""
    return (
        f"{fields['exit']}{stopped}{oom} after {fields['duration']:.2f} s, "
        f"{fields['max_rss_mib']:.0f} MiB, CPU {fields['cpu_seconds']:.2f} s"
    )
