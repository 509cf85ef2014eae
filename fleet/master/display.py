"""What people see of the master.

Its title, its first and last log lines, the table of slots, its status.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from fleet.core.exit_codes import APP_UNUSABLE, QUEUE_LATE, QUEUE_UNUSABLE, USAGE
from fleet.core.pool import Pool, PoolEnd, PoolPhase
from fleet.core.protocol import Plan
from fleet.core.slot_state import State
from fleet.core.view import status, summary
from fleet.core.view.status import Identity, InHand
from fleet.ipc.scoreboard import Scoreboard
from fleet.system import log, titles
from fleet.system.clock import now, timestamp

# Exit codes of a pool that has never run: its last line would add nothing to the error.
NEVER_RAN = (USAGE, APP_UNUSABLE, QUEUE_UNUSABLE, QUEUE_LATE)


class Display:
    """Shows one pool."""

    def __init__(self, plan: Plan, board: Scoreboard) -> None:
        self._plan, self._board = plan, board
        first, apps = plan.queues[0], dict.fromkeys(queue.app for queue in plan.queues)
        # An only queue is shown as the options say it.
        self._several = len(plan.queues) > 1
        names = ", ".join(queue.name for queue in plan.queues) if self._several else first.queue
        self._identity = Identity(
            plan.config.name, os.getpid(), ", ".join(apps), names, timestamp(3), now()
        )
        self._title, self._has_run = "", False

    def retitle(self, pool: Pool) -> None:
        """Change what `ps` shows of the master, if it is not that already."""
        busy = pool.busy
        is_paused = status.is_paused(pool)
        state = " draining" if pool.phase is PoolPhase.DRAINING else " paused" if is_paused else ""
        title = f"fleet: master {self._plan.config.name} [{busy}/{pool.desired} busy]{state}"
        if title != self._title:
            self._title = title
            titles.show(title)

    def log_start(self, pool: Pool) -> None:
        """Both helpers are ready."""
        self._has_run = True
        log.emit(
            "master.started",
            name=self._plan.config.name,
            app=self._identity.app,
            **{"queues" if self._several else "queue": self._identity.queue},
            workers=pool.desired,
            longest_stop=pool.longest_stop,
        )

    def log_end(self, pool: Pool, end: PoolEnd, dead_letters: Sequence[str]) -> None:
        """The ledger, of several queues each one's first, and why the pool ended.

        `dead_letters`: the names of the queues' dead-letter queues, empty if they are not known.
        """
        if end.code in NEVER_RAN and not self._has_run:
            return
        counts = pool.counts
        log.tell_left_out()
        ledger = summary.ledger(counts)
        if self._several:
            for queue, name in zip(pool.queues, dead_letters, strict=True):
                note = summary.redrive_note(queue.counts, name)
                own = summary.ledger(queue.counts)
                log.emit("drain.finished", queue=queue.name, **own, redriven=note)
        where = "their dead-letter queues" if self._several else dead_letters[0]
        log.emit("drain.finished", **ledger, redriven=summary.redrive_note(counts, where))
        log.emit(
            "master.stopped",
            name=self._plan.config.name,
            why=end.why,
            code=end.code,
            seconds=round(now() - self._identity.began, 3),
            jobs=summary.phrase(counts),
            **ledger,
            **summary.totals(counts),
            dispatcher_deaths=pool.dispatcher_deaths,
        )

    def status(self, pool: Pool, pids: Mapping[int, int]) -> dict[str, Any]:
        """The object that `fleet status --json` prints."""
        return status.snapshot(self._identity, pool, pids, dict(self._in_hand(pool)), now())

    def table(self, pool: Pool, pids: Mapping[int, int]) -> str:
        """The table of slots, one line a slot."""
        in_hand = dict(self._in_hand(pool))
        rows = []
        for slot in pool.slots:
            pid, state = pids.get(slot.number), slot.state.name.lower()
            row = f"slot {slot.number} {state} pid {pid} for {now() - slot.since:.0f} s"
            if self._several and (slot.is_busy or slot.state is State.POLLING):
                row += f" queue {pool.queues[slot.queue].name}"
            if hand := in_hand.get(slot.number):
                row += f" message {hand.message_id} attempt {hand.attempt} job {hand.job_pid}"
            rows.append(row)
        return "\n".join(rows)

    def _in_hand(self, pool: Pool) -> Iterator[tuple[int, InHand]]:
        for slot in pool.slots:
            if not slot.is_busy and slot.state is not State.POLLING:
                continue
            if record := self._board.record_at_work(slot.number):
                in_hand = InHand(
                    record.message_id,
                    record.attempt,
                    record.job_pid,
                    record.job_started_at,
                    record.lease_until,
                    bool(record.intent),
                    record.waits,
                )
                yield slot.number, in_hand
