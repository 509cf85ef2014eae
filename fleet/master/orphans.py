"""What the scoreboard says of the messages that a dead dispatcher had in hand."""

from collections.abc import Iterable, Mapping

from fleet.core.outcomes import Exit, Settlement
from fleet.core.pool import Orphan, PendingDeath, events
from fleet.core.slot_state import State
from fleet.ipc.scoreboard import Record, Scoreboard
from fleet.system import processes


def describe_death(
    death: PendingDeath, records: Mapping[int, Record], exits: Mapping[int, Exit]
) -> events.Died:
    """The news of a death.

    `records` are the dispatcher's last, by place; `exits` those of jobs, by pid, that only the
    master has seen. Each orphan says the queue of its record. `receive_id` does not: the call is
    repeated on the queue of the slot's grant, which is its queue unless a fault wrote the record.
    Then the repeat meets none of that call's messages, and what it brings is released.
    """
    last = records.get(0)
    is_polling = last is not None and last.state is State.POLLING and not last.message_id
    return events.Died(
        death.slot,
        death.exit,
        processes.describe_exit(death.exit),
        tuple(
            _orphan(place, record, exits)
            for place, record in sorted(records.items())
            if record.message_id
        ),
        {
            place: Settlement(record.intent)
            for place, record in records.items()
            if record.intent and not record.message_id
        },
        last.receive_id if last and is_polling else "",
        death.pid,
    )


def jobs_in_hand(board: Scoreboard, slots: Iterable[int]) -> set[int]:
    """The pids of the jobs that the records of those slots name, ended or not."""
    records = [record for slot in slots for record in board.read_batch(slot).values()]
    return {record.job_pid for record in records if record.message_id}


def _orphan(place: int, record: Record, exits: Mapping[int, Exit]) -> Orphan:
    return Orphan(
        record.message_id,
        record.attempt,
        record.receipt_handle,
        record.lease_until,
        record.intent_delay,
        Settlement(record.intent) if record.intent else None,
        record.exit or exits.get(record.job_pid),
        place,
        record.queue,
    )
