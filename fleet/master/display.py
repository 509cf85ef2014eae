"""What people see of the master: its title, its first and last lines, the table of slots, what a
supervisor is told.
"""

import os
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from fleet.core.exit_codes import APP_UNUSABLE, QUEUE_LATE, QUEUE_UNUSABLE, USAGE
from fleet.core.pool import Pool, PoolEnd, PoolPhase
from fleet.core.protocol import Plan
from fleet.core.slot_state import State
from fleet.core.view import status, summary
from fleet.core.view.status import Identity, InHand
from fleet.ipc.scoreboard import Scoreboard
from fleet.system import log, titles
from fleet.system.clock import now

# Of a pool that never came to be: the error is all that there is to say.
STILLBORN = (USAGE, APP_UNUSABLE, QUEUE_UNUSABLE, QUEUE_LATE)


class Display:
    """Speaks for one pool."""

    def __init__(self, plan: Plan, board: Scoreboard) -> None:
        self._plan, self._board = plan, board
        started_at = datetime.now(UTC).isoformat(timespec="milliseconds")
        self._identity = Identity(
            plan.config.name, os.getpid(), plan.app, plan.queue, started_at, now()
        )
        self._title, self._began = "", False

    def retitle(self, pool: Pool) -> None:
        """What `ps` shows of the master, if it has changed."""
        busy = pool.busy
        state = (
            " draining" if pool.phase is PoolPhase.DRAINING else " paused" if pool.paused else ""
        )
        title = f"fleet: master {self._plan.config.name} [{busy}/{pool.desired} busy]{state}"
        if title != self._title:
            self._title = title
            titles.show(title)

    def started(self, pool: Pool) -> None:
        """Both helpers are there."""
        self._began = True
        log.emit(
            "master.started",
            name=self._plan.config.name,
            app=self._plan.app,
            queue=self._plan.queue,
            workers=pool.desired,
            longest_stop=pool.config.longest_stop,
        )

    def ended(self, pool: Pool, end: PoolEnd, dead_letters: str) -> None:
        """The ledger, and why it ended. `dead_letters`: the name of the dead-letter queue, empty if
        not known.
        """
        if end.code in STILLBORN and not self._began:
            return
        counts = pool.counts
        log.tell_left_out()
        ledger = summary.ledger(counts)
        log.emit("drain.finished", **ledger, redriven=summary.redrive_note(counts, dead_letters))
        log.emit(
            "master.stopped",
            name=self._plan.config.name,
            why=end.why,
            code=end.code,
            seconds=round(now() - self._identity.began, 3),
            jobs=summary.phrase(counts),
            **ledger,
            **summary.totals(counts),
            dispatcher_deaths=counts.dispatcher_deaths,
        )

    def status(self, pool: Pool, pids: Mapping[int, int]) -> dict[str, Any]:
        """All that there is to know, as `fleet status --json` prints it."""
        return status.snapshot(self._identity, pool, pids, dict(self._in_hand(pool)), now())

    def table(self, pool: Pool, pids: Mapping[int, int]) -> str:
        """One line a slot."""
        in_hand = dict(self._in_hand(pool))
        rows = []
        for slot in pool.slots:
            pid, state = pids.get(slot.number), slot.state.name.lower()
            row = f"slot {slot.number} {state} pid {pid} for {now() - slot.since:.0f} s"
            if hand := in_hand.get(slot.number):
                row += f" message {hand.message_id} attempt {hand.attempt} job {hand.job_pid}"
            rows.append(row)
        return "\n".join(rows)

    def _in_hand(self, pool: Pool) -> Iterator[tuple[int, InHand]]:
        for slot in pool.slots:
            record = (
                self._board.working(slot.number)
                if slot.is_busy or slot.state is State.POLLING
                else None
            )
            if record:
                yield (
                    slot.number,
                    InHand(
                        record.message_id,
                        record.attempt,
                        record.job_pid,
                        record.job_started_at,
                        record.lease_until,
                        bool(record.intent),
                        record.waits,
                    ),
                )
