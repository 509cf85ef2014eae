"""Where the scout has places and keys from: a resolver's process, started when they are due.

The scout waits for it beside everything else. One that takes too long is killed, with its
credential process, and a failure is an error like others: the keys that are there stay in use.

docs/decisions/0031 has the reasons.
"""

import os
import select
import time
from math import inf

from fleet.core.key_renewal import KeyRenewal, note_failure, note_keys, note_refusal
from fleet.core.protocol import Plan
from fleet.core.queue import QueueError, Trouble
from fleet.core.scout_protocol import Resolved, Unresolved
from fleet.ipc import channel
from fleet.ipc.channel import Channel
from fleet.system import processes, procfs
from fleet.system.clock import now

PROGRAM = "fleet.scout.resolver"
DYING = 1.0  # seconds that a process may take to be gone after it has hung up
PATIENCE = 60.0  # seconds that a resolver may take; a credential process is part of it


class KeySource:
    """At most one resolver at a time, and when the next one is due."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._renewal = KeyRenewal(due=inf)  # the first one is asked for
        self._pid = 0  # of the resolver; 0: there is none
        self._end: Channel | None = None
        self._late_at = inf

    @property
    def is_running(self) -> bool:
        """Whether an answer is waited for."""
        return self._pid > 0

    def register(self, poll: select.poll) -> None:
        """Have the poll wake up when there is something for `take`."""
        if self._end is not None:
            poll.register(self._end.fileno(), select.POLLIN)

    @property
    def wakes_at(self) -> float:
        """When there is something to do, whatever comes (seconds on our clock)."""
        return self._late_at if self.is_running else self._renewal.due

    def note_refusal(self, access_key: str) -> None:
        """SQS has refused these keys."""
        self._renewal = note_refusal(self._renewal, access_key, now())

    def start_if_due(self) -> None:
        """Start a resolver, if the keys are to be fetched. Raises QueueError."""
        if not self.is_running and now() >= self._renewal.due:
            self.start()

    def start(self) -> None:
        """Start a resolver. Raises QueueError when the host has no process for it."""
        try:
            self._pid, self._end = self._spawn()
        except OSError as error:
            self._renewal = note_failure(self._renewal, now())
            why = os.strerror(error.errno or 0)
            raise self._trouble(f"no process to be had to look them up: {why}") from None
        self._late_at = now() + PATIENCE
        self._end.send(self._plan)

    def _spawn(self) -> tuple[int, Channel]:
        """A resolver's pid, and our end of its channel. Raises OSError."""
        mark = os.environ.get(procfs.POOL_MARK, "")
        ours, theirs = channel.make_pair()
        with theirs:
            fd = theirs.fileno()
            try:
                return processes.spawn_program(PROGRAM, [str(fd)], [fd], mark), ours
            except OSError:
                ours.close()
                raise

    def take(self) -> Resolved | None:
        """What the resolver has found out; None when it is still at it, or there is none.

        Never waits. Raises QueueError when it has failed.
        """
        if self._end is None:
            return None
        words = self._end.receive()
        is_silent = not words and not self._end.closed and not self._end.garbled
        if is_silent and now() < self._late_at:
            return None
        cause = self._finish()
        match words:
            case [Resolved() as found]:
                self._renewal = note_keys(self._renewal, found.keys, now(), time.time())
                return found
            case [Unresolved(trouble, why)] if trouble in Trouble.__members__:
                error = QueueError(Trouble[trouble], why, answered=False)
            case _ if is_silent:
                error = self._trouble(f"they were not found within {PATIENCE:g} s")
            case _:
                error = self._trouble(f"the process that looks them up has failed ({cause})")
        self._renewal = note_failure(self._renewal, now())
        raise error

    def close(self) -> None:
        """Kill the resolver, if there is one."""
        if self._end is not None:
            self._finish()

    def _finish(self) -> str:
        """Kill the resolver and its group; how it ended, for people."""
        pid, end = self._pid, self._end
        self._pid, self._end, self._late_at = 0, None, inf
        if end is not None:
            if end.closed:  # it ends by itself, or was killed: how is worth a moment
                processes.await_end(pid, DYING)
            end.close()
        death = processes.dead_child(pid)
        processes.kill_group(pid, processes.KILL)
        processes.kill(pid, processes.KILL)
        processes.await_child(pid)
        return processes.describe_exit(death.exit) if death else "it was killed"

    def _trouble(self, why: str) -> QueueError:
        name = self._plan.queues[0].queue
        return QueueError(
            Trouble.SESSION, f"queue {name!r}: no AWS credentials: {why}", answered=False
        )
