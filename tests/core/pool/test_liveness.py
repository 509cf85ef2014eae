"""A dispatcher that hangs while it works is found in time to save its message."""

from dataclasses import replace
from math import inf

import pytest

from fleet.core.config import Config
from fleet.core.pool.effects import AskStack, Inspect, KillDispatcher, LogHung, TellStack
from fleet.core.pool.events import RecordRead
from fleet.core.pool.liveness import inspect_dispatchers, note_record
from fleet.core.pool.slot import Slot
from fleet.core.pool.state import Pool, new, with_slot
from fleet.core.slot_state import State
from tests.support.queues import one_queue

NOW = 1000.0


def working(**changes: object) -> Pool:
    """Slot 0 works, slot 1 is idle."""
    slot = Slot(0, State.WORKING, look_at=NOW)
    pool = with_slot(new(Config(2), one_queue()), replace(slot, **changes))  # type: ignore[arg-type]
    return with_slot(pool, Slot(1, State.IDLE))


def looked(
    pool: Pool, heartbeat: float, left: float, lease: float = 60.0
) -> tuple[Pool, list[object]]:
    """Its last heartbeat was `heartbeat` seconds ago; its lease has `left` seconds left."""
    pool, effects = note_record(
        pool, pool.slots[0], RecordRead(0, NOW - heartbeat, NOW + left, lease), NOW
    )
    return pool, [effect for effect in effects if not isinstance(effect, LogHung)]


@pytest.mark.parametrize("state", [State.WORKING, State.HOLDING])
def test_the_record_is_read_when_its_time_has_come(state: State) -> None:
    pool = working(state=state)
    assert inspect_dispatchers(pool, NOW - 0.1) == (pool, ())
    after, effects = inspect_dispatchers(pool, NOW)
    assert effects == (Inspect(0),)
    assert after.slots[0].look_at > NOW
    assert inspect_dispatchers(after, NOW) == (after, ())


@pytest.mark.parametrize(
    "changes", [{"killed": True}, {"ended": True}, {"state": State.POLLING}, {"look_at": inf}]
)
def test_the_dead_and_those_with_empty_hands_are_not_looked_at(changes: dict[str, object]) -> None:
    pool = working(**changes)
    assert inspect_dispatchers(pool, NOW) == (pool, ())
    if "look_at" not in changes:
        assert looked(pool, 1000.0, 10.0) == (pool, [])


@pytest.mark.parametrize(
    ("heartbeat", "left", "look_in"),
    [
        (0.0, 60.0, 40.0),  # again when the last third begins
        (30.0, 30.0, 10.0),
        (40.0, 20.1, 1.0),
        (20.0, 15.0, 1.0),  # it is at it
        (0.0, 5.0, 1.0),
    ],
)
def test_who_beats_is_left_alone(heartbeat: float, left: float, look_in: float) -> None:
    pool, effects = looked(working(suspected=NOW - heartbeat), heartbeat, left)
    assert effects == []
    assert pool.slots[0].look_at == pytest.approx(NOW + look_in)
    assert pool.slots[0].suspected is None


def test_who_is_silent_in_the_last_third_is_suspected_and_then_killed() -> None:
    """Its stack is asked for at once, and told before it can write no more."""
    pool, effects = looked(working(), 40.0, 20.0)
    assert effects == [AskStack(0)]
    assert (pool.slots[0].suspected, pool.slots[0].look_at) == (NOW - 40.0, NOW + 1.0)
    pool, effects = looked(pool, 40.0, 20.0)
    assert effects == [TellStack(0), KillDispatcher(0)]
    assert pool.slots[0].killed


def test_a_short_lease_leaves_less_time_to_be_sure() -> None:
    """Its last third is two thirds of a second: a ninth of the lease, not a whole second."""
    pool, effects = looked(working(), 1.5, 0.5, lease=2.0)
    assert effects == [AskStack(0)]
    assert pool.slots[0].look_at == pytest.approx(NOW + 2 / 9)


def test_the_log_says_how_long_it_was_silent() -> None:
    pool = working(suspected=NOW - 40.0)
    _, (log, *_) = note_record(
        pool, pool.slots[0], RecordRead(0, NOW - 40.0, NOW + 20.0, 60.0), NOW
    )
    assert log == LogHung(0, "no heartbeat for 40 s")


def told_nothing(pool: Pool, heartbeat: float) -> tuple[Pool, list[object]]:
    """Its record names no message any more, since `heartbeat` seconds."""
    pool, effects = note_record(
        pool, pool.slots[0], RecordRead(0, NOW - heartbeat, 0.0, 0.0, in_hand=False), NOW
    )
    return pool, [effect for effect in effects if not isinstance(effect, LogHung)]


def test_who_has_settled_its_message_says_so_or_is_killed() -> None:
    pool, effects = told_nothing(working(), 5.0)
    assert effects == []
    assert (pool.slots[0].suspected, pool.slots[0].look_at) == (None, NOW + 1.0)
    pool, effects = told_nothing(pool, 5.1)
    assert effects == [AskStack(0)]
    assert pool.slots[0].look_at == NOW + 1.0
    pool, effects = told_nothing(pool, 5.1)
    assert effects == [TellStack(0), KillDispatcher(0)]
    assert pool.slots[0].killed


def test_another_beat_is_another_suspicion() -> None:
    pool, effects = looked(working(suspected=NOW - 50.0), 21.0, 19.0)
    assert effects == [AskStack(0)]
    assert pool.slots[0].suspected == NOW - 21.0


@pytest.mark.parametrize("left", [0.0, -1000.0])
def test_a_lease_that_is_over_and_known_to_be_is_nobodys_hang(left: float) -> None:
    """A suspended host; or one that nobody extends any more."""
    pool, effects = looked(working(suspected=NOW - 500.0), 500.0, left, lease=0.0)
    assert effects == []
    assert (pool.slots[0].look_at, pool.slots[0].suspected) == (inf, None)


@pytest.mark.parametrize("left", [0.0, -1000.0])
def test_whoever_lives_notices_that_its_lease_is_over(left: float) -> None:
    """All were stopped, and only the master goes on; it waits for as long as a dispatcher may."""
    pool, effects = looked(working(), 60.0 - left, left)
    assert effects == [AskStack(0)]
    assert (pool.slots[0].suspected, pool.slots[0].look_at) == (NOW - 60.0 + left, NOW + 21.0)
    assert looked(pool, 0.0, left, lease=0.0)[1] == []
    pool, effects = looked(pool, 60.0 - left, left)
    assert effects == [TellStack(0), KillDispatcher(0)]
    assert pool.slots[0].killed


def test_one_that_still_asks_for_its_late_delete_lives() -> None:
    pool, effects = looked(working(suspected=NOW - 70.0), 5.0, -40.0)
    assert effects == []
    assert (pool.slots[0].look_at, pool.slots[0].suspected) == (NOW + 21.0, None)


def test_a_lease_that_will_not_be_extended_needs_no_beat() -> None:
    """At SQS's limit its length is noted as 0."""
    pool, effects = looked(working(), 1000.0, 15.0, lease=0.0)
    assert effects == []
    assert pool.slots[0].look_at == NOW + 15.0
