"""The shared memory: what one process writes another reads, though the writer is killed in the
middle of it.
"""

import mmap
import os
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleet.core.outcomes import Exit, Settlement
from fleet.core.slot_state import State
from fleet.ipc import scoreboard
from fleet.ipc.scoreboard import MOST_SLOTS, Record, Scoreboard, SlotBoard
from fleet.system import titles

BUFFER = scoreboard._BUFFER
FULL = Record(
    state=State.WORKING,
    pid=1,
    queue=255,
    heartbeat=2.5,
    job_pid=3,
    attempt=4,
    job_started_at=5.5,
    lease_until=6.5,
    lease=8.5,
    message_id="id",
    receipt_handle="handle",
    receive_id="call",
    waits="thread Zoë",
    intent=Settlement.RELEASE.value,
    intent_delay=7,
    exit=Exit(signal=9),
)


@pytest.fixture
def fd() -> Iterator[int]:
    """The shared memory."""
    fd = scoreboard.create()
    yield fd
    os.close(fd)


@pytest.fixture
def board(fd: int) -> Scoreboard:
    """What the dispatchers write to."""
    return Scoreboard(fd)


@pytest.fixture
def memory(fd: int) -> Iterator[mmap.mmap]:
    """The bytes."""
    with mmap.mmap(fd, MOST_SLOTS * 2 * BUFFER) as memory:
        yield memory


def test_what_was_written_is_read_by_another(fd: int, board: Scoreboard) -> None:
    board.writer(3).write(FULL)
    assert Scoreboard(fd).read(3) == FULL


def test_every_field_of_the_test_record_is_not_the_default() -> None:
    default = Record(State.IDLE, 0)
    assert [
        name for name in Record.__slots__ if getattr(FULL, name) == getattr(default, name)
    ] == []


@pytest.mark.parametrize(
    "how", [None, Exit(code=0), Exit(code=1), Exit(code=255), Exit(signal=1), Exit(signal=64)]
)
def test_an_exit_is_read_as_it_was(board: Scoreboard, how: Exit | None) -> None:
    board.writer(0).write(replace(FULL, exit=how))
    found = board.read(0)
    assert found is not None
    assert found.exit == how


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("intent", ["", *(settlement.value for settlement in Settlement)])
def test_a_state_and_an_intent_are_read_as_they_were(
    board: Scoreboard, state: State, intent: str
) -> None:
    record = replace(FULL, state=state, intent=intent, intent_delay=43_200)
    board.writer(0).write(record)
    assert board.read(0) == record


@settings(max_examples=30, deadline=None)
@given(
    st.text(max_size=100, alphabet=st.characters(codec="utf-8")),
    st.text(max_size=400, alphabet=st.characters(codec="utf-8")),
    st.text(max_size=128, alphabet=st.characters(codec="ascii")),
    st.floats(0, 1e12),
)
def test_any_message_can_be_in_hand(
    message_id: str, handle: str, receive_id: str, moment: float
) -> None:
    fd = scoreboard.create()
    board = Scoreboard(fd)
    record = replace(
        FULL,
        message_id=message_id,
        receipt_handle=handle,
        receive_id=receive_id,
        lease_until=moment,
    )
    board.writer(0).write(record)
    assert board.read(0) == record
    board._memory.close()
    os.close(fd)


def test_the_last_record_counts(board: Scoreboard) -> None:
    writer = board.writer(0)
    for attempt in range(1, 8):
        writer.write(replace(FULL, attempt=attempt))
        found = board.read(0)
        assert found is not None
        assert found.attempt == attempt


@pytest.mark.parametrize("writes", [1, 2, 3])
def test_another_writer_goes_on_after_the_last_record(board: Scoreboard, writes: int) -> None:
    former = board.writer(0)
    for attempt in range(1, writes + 1):
        former.write(replace(FULL, attempt=attempt))
    board.writer(0).write(replace(FULL, attempt=9))
    assert board.read(0) == replace(FULL, attempt=9)


@pytest.mark.parametrize("name", ["message_id", "receipt_handle", "receive_id", "waits", "intent"])
def test_a_writer_writes_a_word_that_has_changed(board: Scoreboard, name: str) -> None:
    writer = board.writer(0)
    for word in ("first", "", "the second"):
        record = replace(FULL)
        setattr(record, name, word)
        writer.write(record)
        assert board.read(0) == record


def test_a_shorter_record_hides_a_longer_one(board: Scoreboard) -> None:
    writer = board.writer(0)
    for handle in ("x" * 1000, "y", "z"):
        writer.write(replace(FULL, receipt_handle=handle))
    found = board.read(0)
    assert found is not None
    assert (found.receipt_handle, found.intent) == ("z", FULL.intent)


def test_slots_do_not_touch_each_other(board: Scoreboard) -> None:
    for slot in (0, 1, MOST_SLOTS - 1):
        board.writer(slot).write(replace(FULL, pid=slot))
        board.writer(slot).write(replace(FULL, pid=slot))
    found = [board.read(slot) for slot in (0, 1, MOST_SLOTS - 1)]
    assert [record and record.pid for record in found] == [0, 1, MOST_SLOTS - 1]
    assert board.read(2) is None


def test_where_nothing_was_written_there_is_nothing(board: Scoreboard) -> None:
    assert board.read(0) is None
    board.writer(0).write(FULL)
    board.writer(0).write(FULL)
    board.clear(0)
    assert board.read(0) is None
    board.writer(0).write(FULL)
    assert board.read(0) == FULL


def test_clearing_a_slot_leaves_its_neighbours(board: Scoreboard) -> None:
    for slot in (0, 1, 2):
        board.writer(slot).write(FULL)
    board.clear(1)
    assert [board.read(slot) for slot in (0, 1, 2)] == [FULL, None, FULL]


def test_a_record_that_does_not_fit_is_refused_and_changes_nothing(board: Scoreboard) -> None:
    board.writer(0).write(FULL)
    with pytest.raises(ValueError, match="does not fit"):
        board.writer(0).write(replace(FULL, receipt_handle="x" * BUFFER))
    assert board.read(0) == FULL


def test_the_most_urgent_message_is_the_one_to_extend_first_with_the_last_beat_of_all() -> None:
    fd = scoreboard.create(3)
    board = Scoreboard(fd)
    assert board.most_urgent(1) is None
    later, soon = (
        replace(FULL, message_id=name, lease_until=until)
        for name, until in (("later", 9.0), ("soon", 7.0))
    )
    for place, record in enumerate((later, soon, Record(State.IDLE, 1, heartbeat=5.0))):
        board.writer(1, place).write(record)
    assert board.most_urgent(1) == replace(soon, heartbeat=5.0)
    os.close(fd)


def test_a_message_whose_lease_is_lost_does_not_hide_those_that_are_to_be_kept() -> None:
    """Else a dispatcher that hangs with them would never be judged."""
    fd = scoreboard.create(2)
    board = Scoreboard(fd)
    lost, kept = replace(FULL, lease=0.0, lease_until=3.0), replace(FULL, lease_until=7.0)
    board.writer(1, 0).write(lost)
    assert board.most_urgent(1) == lost
    board.writer(1, 1).write(kept)
    assert board.most_urgent(1) == kept
    os.close(fd)


def test_one_who_has_settled_everything_has_no_message_and_still_a_beat(board: Scoreboard) -> None:
    idle = Record(State.IDLE, 1, heartbeat=5.0, intent="deleted")
    board.writer(1).write(idle)
    assert board.most_urgent(1) == idle


# A writer that is killed.


@pytest.mark.parametrize("writes", [1, 2, 3, 4])
def test_a_spoiled_newest_record_leaves_the_one_before(
    board: Scoreboard, memory: mmap.mmap, writes: int
) -> None:
    """Whatever bytes of it have come: the records take turns."""
    writer = board.writer(0)
    for attempt in range(1, writes + 1):
        writer.write(replace(FULL, attempt=attempt))
    whole = bytes(memory[: 2 * BUFFER])
    writer.write(replace(FULL, attempt=writes + 1, message_id="another"))
    after = bytes(memory[: 2 * BUFFER])
    changed = [at for at in range(2 * BUFFER) if whole[at] != after[at]]
    assert changed[0] // BUFFER == changed[-1] // BUFFER
    for cut in range(0, len(changed), 3):
        for have in (changed[:cut], changed[-cut:] if cut else []):
            memory[: 2 * BUFFER] = whole
            for at in have:
                memory[at : at + 1] = after[at : at + 1]
            found = board.read(0)
            assert found is not None
            assert found.attempt in (writes, writes + 1)
            assert found.message_id == ("another" if found.attempt > writes else "id")


def test_after_a_spoiled_record_the_next_one_is_written_and_read(
    board: Scoreboard, memory: mmap.mmap
) -> None:
    board.writer(0).write(replace(FULL, attempt=1))
    board.writer(0).write(replace(FULL, attempt=2))
    body = BUFFER + 10 + 5 if memory[4] == 1 else 10 + 5
    memory[body] ^= 0xFF
    assert board.read(0) == replace(FULL, attempt=1)
    board.writer(0).write(replace(FULL, attempt=3))
    assert board.read(0) == replace(FULL, attempt=3)


@given(st.binary(min_size=10, max_size=200))
def test_rubbish_is_no_record(rubbish: bytes) -> None:
    fd = scoreboard.create()
    board = Scoreboard(fd)
    board._memory[: len(rubbish)] = rubbish
    assert board.read(0) is None
    board._memory.close()
    os.close(fd)


def test_a_header_of_nothing_is_no_record(board: Scoreboard, memory: mmap.mmap) -> None:
    """The checksum of nothing is 0."""
    memory[4] = 1
    assert board.read(0) is None


# One dispatcher's line.


def noted(board: SlotBoard, scoreboard_: Scoreboard, **changes: Any) -> Record:
    board.note(**changes)
    found = scoreboard_.read(5)
    assert found is not None
    return found


def test_a_note_keeps_what_was_noted_before(board: Scoreboard) -> None:
    mine = SlotBoard(board, 5)
    first = noted(
        mine, board, state=State.WORKING, message_id="id", receipt_handle="handle", attempt=2
    )
    assert (first.pid, first.state, first.message_id) == (os.getpid(), State.WORKING, "id")
    second = noted(mine, board, intent=Settlement.DELETE.value, exit=Exit(code=0))
    assert (second.message_id, second.receipt_handle, second.attempt) == ("id", "handle", 2)
    assert (second.intent, second.exit) == ("deleted", Exit(code=0))
    assert second.heartbeat >= first.heartbeat > 0


@pytest.mark.parametrize("settled", ["", "deleted", "left"])
def test_an_idle_dispatchers_line_says_only_what_it_did_with_its_last_message(
    board: Scoreboard, settled: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    titles: list[str] = []
    monkeypatch.setattr("fleet.system.titles.put", titles.append)
    mine = SlotBoard(board, 5)
    noted(
        mine,
        board,
        state=State.WORKING,
        message_id="id",
        receipt_handle="handle",
        exit=Exit(code=1),
        intent="x",
    )
    mine.clear(settled)
    found = board.read(5)
    assert found is not None
    assert found == Record(State.IDLE, os.getpid(), heartbeat=found.heartbeat, intent=settled)
    assert titles == ["fleet: dispatcher 5 idle"]


def test_with_several_queues_a_title_has_the_name_of_the_one_at_work(
    board: Scoreboard, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also of the later messages of a batch."""
    shown: list[str] = []
    monkeypatch.setattr(titles, "show", shown.append)
    for queues in ((), ("high", "low")):
        mine = SlotBoard(board, 3, queues=queues)
        mine.clear()
        for each in (mine, mine.of(1)):
            each.note(state=State.WORKING, queue=1)
            each.title("job 1a2b")
        mine.clear()
    assert shown == [
        "fleet: dispatcher 3 idle",
        *["fleet: dispatcher 3 job 1a2b"] * 2,
        "fleet: dispatcher 3 idle",
        "fleet: dispatcher 3 idle",
        *["fleet: dispatcher 3 low job 1a2b"] * 2,
        "fleet: dispatcher 3 idle",
    ]
