"""What becomes of a message whose dispatcher died with it in hand."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.core.outcomes import Exit, Settlement
from fleet.core.pool.orphan import Orphan, settlement_of
from fleet.core.pool.state import Recovery
from fleet.core.protocol import RELEASE_MARGIN
from fleet.core.scout_protocol import Recover

DELETE, RELEASE, DEAD_LETTER, LEAVE = Settlement
GOOD, BAD, KILLED = Exit(code=0), Exit(code=1), Exit(signal=9)


def left(intent: Settlement | None, how: Exit | None, lease: float = 60.0) -> Orphan:
    return Orphan("id", 1, "handle", 1000.0 + lease, 0, intent, how)


@pytest.mark.parametrize(
    ("intent", "how", "settled"),
    [
        (None, None, RELEASE),  # its job was running, or was to be
        (None, KILLED, RELEASE),  # by its parent's death
        (None, GOOD, DELETE),
        (None, BAD, LEAVE),  # a failure, which is tried again when its lease ends
        (None, Exit(code=75), LEAVE),
        (DELETE, GOOD, DELETE),
        (DELETE, BAD, DELETE),  # --delete-failed
        (DELETE, None, DELETE),
        (RELEASE, KILLED, LEAVE),  # it may have been done, and again could hit a new owner
        (RELEASE, None, LEAVE),
        (DEAD_LETTER, BAD, LEAVE),
        (DEAD_LETTER, None, LEAVE),
        (RELEASE, GOOD, DELETE),
    ],
)
def test_the_record_says_how_far_it_had_come(
    intent: Settlement | None, how: Exit | None, settled: Settlement
) -> None:
    assert settlement_of(left(intent, how), 1000.0) is settled


@pytest.mark.parametrize(
    ("lease", "settled"), [(5.1, RELEASE), (5.0, LEAVE), (0.0, LEAVE), (-9.0, LEAVE)]
)
def test_a_release_needs_some_of_the_lease(lease: float, settled: Settlement) -> None:
    assert settlement_of(left(None, None, lease), 1000.0) is settled


@pytest.mark.parametrize(("receive_id", "moment"), [("", 1055.0), ("call", 1060.0)])
def test_the_last_moment_for_the_scout(receive_id: str, moment: float) -> None:
    """A poll may be repeated until what it took is visible by itself."""
    order = Recover(0, "id", "handle", RELEASE, 0, 1060.0, receive_id)
    assert Recovery(0, 1, order).last_moment == moment


@pytest.mark.parametrize("lease", [60.0, 1.0, -1000.0])
def test_finished_work_is_deleted_whatever_the_lease(lease: float) -> None:
    assert settlement_of(left(None, GOOD, lease), 1000.0) is DELETE
    assert settlement_of(left(DELETE, None, lease), 1000.0) is DELETE


@given(
    st.none() | st.sampled_from(Settlement),
    st.none() | st.sampled_from([GOOD, BAD, KILLED]),
    st.floats(-100, 100),
)
def test_nothing_unfinished_is_deleted_and_nothing_is_done_twice(
    intent: Settlement | None, how: Exit | None, lease: float
) -> None:
    settled = settlement_of(left(intent, how, lease), 1000.0)
    if settled is DELETE:
        assert how == GOOD or intent is DELETE
    if settled is RELEASE:
        assert intent is None
        assert lease > RELEASE_MARGIN
    assert settled is not DEAD_LETTER
