"""Shared memory that survives its writers: what each dispatcher does, one record a slot.

The slot's dispatcher writes it and every process of the pool can read it. With --batch-size there
is a record for each message that a poll may bring: its place.

Each slot has two buffers, each with a sequence number and a checksum. A write goes to the older
one, so a writer that is killed in mid-write spoils only that and the last whole record stays
readable; a reader takes the newer of those whose checksum holds, and relies on no memory order.
"""

import mmap
import os
import struct
from binascii import crc32  # not zlib's: that is one library more in each process
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

from fleet.core.config import extend_interval
from fleet.core.outcomes import Exit
from fleet.core.records import replace
from fleet.core.slot_state import State
from fleet.system import titles
from fleet.system.clock import now

MOST_SLOTS = 4096
_BUFFER = 2048  # bytes; SQS's receipt handles are about 400 long
_MOST_WAITS = 120  # bytes
_HEAD = struct.Struct("<IIH")  # checksum, sequence, length
_BODY = struct.Struct("<BBiiiIIddddHHHH")
_NO_EXIT, _BY_SIGNAL = -1, 1000  # how an exit is written: a status, or this and the signal
_STATES = tuple(State)


@dataclass(slots=True)
class Record:
    """What a dispatcher does at the moment. Times are seconds on `system/clock.py`'s clock.

    Mutable, because it is written six times a job. `heartbeat`: when it was written last. `exit`
    is the job's. `intent` is the settlement that is about to be asked for, empty before that; of an
    idle dispatcher it is what became of its last message. `queue`: of the poll, or of the message,
    by its place in the plan. `receive_id` names the last receive call on a FIFO queue. `waits`:
    what a job that has returned waits for.
    """

    state: State
    pid: int
    queue: int = 0
    heartbeat: float = 0.0
    job_pid: int = 0
    attempt: int = 0
    job_started_at: float = 0.0
    lease_until: float = 0.0
    lease: float = 0.0
    message_id: str = ""
    receipt_handle: str = ""
    receive_id: str = ""
    intent: str = ""
    intent_delay: int = 0
    exit: Exit | None = None
    waits: str = ""


def create(places: int = 1) -> int:
    """A descriptor of new shared memory for MOST_SLOTS slots; pages are used when written."""
    fd = os.memfd_create("fleet-scoreboard", os.MFD_CLOEXEC)
    os.ftruncate(fd, MOST_SLOTS * places * 2 * _BUFFER)
    return fd


class Scoreboard:
    """The mapped memory. One process writes a slot at a time."""

    def __init__(self, fd: int) -> None:
        self._memory = mmap.mmap(fd, 0)
        self._places = len(self._memory) // (MOST_SLOTS * 2 * _BUFFER)

    def writer(self, slot: int, place: int = 0) -> "RecordWriter":
        """For the process that writes the slot from now on."""
        older, newer = self._buffers(slot, place)
        if self._sequence(older) > self._sequence(newer):
            older, newer = newer, older
        return RecordWriter(self._memory, older, newer, self._sequence(newer) + 1)

    def _buffers(self, slot: int, place: int) -> tuple[int, int]:
        number = 2 * (slot * self._places + place)
        return number * _BUFFER, (number + 1) * _BUFFER

    def read(self, slot: int, place: int = 0) -> Record | None:
        """The slot's last whole record, None if there never was one."""
        newest: tuple[int, Record] | None = None
        for where in self._buffers(slot, place):
            entry = self._entry(where)
            if entry and (newest is None or entry[0] > newest[0]):
                newest = entry
        return newest and newest[1]

    def read_batch(self, slot: int) -> dict[int, Record]:
        """The records of the slot's dispatcher by place, those of settled messages too."""
        records = {place: self.read(slot, place) for place in range(self._places)}
        return {place: record for place, record in records.items() if record}

    def record_at_work(self, slot: int) -> Record | None:
        """The record of the message that a job runs for, else of the next one in hand.

        None if no message is in hand.
        """
        in_hand = [each for each in self.read_batch(slot).values() if each.message_id]
        return next((each for each in in_hand if each.job_pid), in_hand[0] if in_hand else None)

    def most_urgent(self, slot: int) -> Record | None:
        """The record of the message in hand whose lease is to be extended first.

        With the dispatcher's last heartbeat.

        A lease that will not be extended any more (0) hides no other one. Without a message in hand
        it is a record that names none; None if the dispatcher has never written.
        """
        records = self.read_batch(slot).values()
        if not records:
            return None
        in_hand = [each for each in records if each.message_id]
        kept = [each for each in in_hand if each.lease]
        first = min(
            kept or in_hand or records,
            key=lambda each: each.lease_until - extend_interval(each.lease),
        )
        return replace(first, heartbeat=max(each.heartbeat for each in records))

    def clear(self, slot: int) -> None:
        """Forget the slot's records, before its next dispatcher is forked."""
        start, end = self._buffers(slot, 0)[0], self._buffers(slot + 1, 0)[0]
        self._memory[start:end] = bytes(end - start)

    def _sequence(self, where: int) -> int:
        sequence: int = _HEAD.unpack_from(self._memory, where)[1]
        return sequence

    def _entry(self, where: int) -> tuple[int, Record] | None:
        checksum, sequence, length = _HEAD.unpack_from(self._memory, where)
        body = self._memory[where + _HEAD.size : where + _HEAD.size + length]
        if not sequence or length < _BODY.size or crc32(body) != checksum:
            return None
        (
            number,
            queue,
            pid,
            job_pid,
            ended,
            attempt,
            delay,
            heartbeat,
            started,
            lease_until,
            lease,
            *lengths,
        ) = _BODY.unpack_from(body)
        rest = body[_BODY.size :]
        handle_at, receive_id_at, waits_at, intent_at = accumulate(lengths)
        return sequence, Record(
            state=_STATES[number],
            queue=queue,
            pid=pid,
            heartbeat=heartbeat,
            job_pid=job_pid,
            exit=_exit_of(ended),
            attempt=attempt,
            intent_delay=delay,
            job_started_at=started,
            lease_until=lease_until,
            lease=lease,
            message_id=rest[:handle_at].decode(),
            receipt_handle=rest[handle_at:receive_id_at].decode(),
            receive_id=rest[receive_id_at:waits_at].decode(),
            waits=rest[waits_at:intent_at].decode(errors="ignore"),
            intent=rest[intent_at:].decode(),
        )


class RecordWriter:
    """Replaces one record, which nobody else writes meanwhile: so it knows where and as which one.

    What a record says in words changes less often than the rest, and is encoded when it does.
    """

    def __init__(self, memory: mmap.mmap, older: int, newer: int, sequence: int) -> None:
        """Where the two buffers are, and the next sequence number."""
        self._memory = memory
        self._older, self._newer, self._sequence = older, newer, sequence
        self._words: tuple[str, ...] = ()
        self._encoded, self._lengths = b"", (0, 0, 0, 0)

    def write(self, record: Record) -> None:
        """Replace the record. Raises ValueError for one that is too long."""
        words = (record.message_id, record.receipt_handle, record.receive_id, record.waits)
        if words != self._words:
            self._encode(words)
        body = (
            _BODY.pack(
                _STATES.index(record.state),
                record.queue,
                record.pid,
                record.job_pid,
                _exit_number(record.exit),
                record.attempt,
                record.intent_delay,
                record.heartbeat,
                record.job_started_at,
                record.lease_until,
                record.lease,
                *self._lengths,
            )
            + self._encoded
            + record.intent.encode()
        )
        if len(body) > _BUFFER - _HEAD.size:
            raise ValueError(f"a record of {len(body)} bytes does not fit")
        where = self._older
        end = where + _HEAD.size
        self._memory[end : end + len(body)] = body
        self._memory[where:end] = _HEAD.pack(crc32(body), self._sequence, len(body))
        self._older, self._newer = self._newer, where
        self._sequence += 1

    def _encode(self, words: tuple[str, str, str, str]) -> None:
        *names, waits = words
        encoded = [
            *(name.encode() for name in names),
            waits.encode(errors="replace")[:_MOST_WAITS],
        ]
        message_id, handle, receive_id, waits_for = map(len, encoded)
        self._lengths = message_id, handle, receive_id, waits_for
        self._words, self._encoded = words, b"".join(encoded)


def _exit_number(how: Exit | None) -> int:
    if how is None:
        return _NO_EXIT
    return how.code if how.code is not None else _BY_SIGNAL + (how.signal or 0)


def _exit_of(number: int) -> Exit | None:
    if number == _NO_EXIT:
        return None
    return Exit(code=number) if number < _BY_SIGNAL else Exit(signal=number - _BY_SIGNAL)


class SlotBoard:
    """What one dispatcher shows of itself: its record on the scoreboard, and its title in `ps`.

    `queues`: the names of the pool's, for the title; none where there is only one.
    """

    def __init__(
        self, scoreboard: Scoreboard, slot: int, place: int = 0, queues: Sequence[str] = ()
    ) -> None:
        self.pid = os.getpid()
        self._scoreboard, self._slot, self._place = scoreboard, slot, place
        self._queues = queues
        self._writer = scoreboard.writer(slot, place)
        self._record = Record(State.IDLE, self.pid)

    def of(self, place: int) -> "SlotBoard":
        """The record of another message of the same dispatcher."""
        return SlotBoard(self._scoreboard, self._slot, place, self._queues)

    def note(self, **changes: object) -> None:
        """Change fields of the record; without any it is a heartbeat."""
        record = self._record
        record.heartbeat = now()
        for name, value in changes.items():
            setattr(record, name, value)
        self._writer.write(record)

    def clear(self, settled: str = "") -> None:
        """Note that nothing is in hand, and how the last message was settled."""
        self._record = Record(State.IDLE, self.pid, intent=settled)
        self.note()
        if self._place == 0:
            self.title("idle")

    def title(self, what: str) -> None:
        """What `ps` shows: with the queue of the message in hand, if there are several."""
        at_work = self._queues and self._record.state is not State.IDLE
        about = f"{self._queues[self._record.queue]} " if at_work else ""
        titles.show(f"fleet: dispatcher {self._slot} {about}{what}")
