"""When a pool's keys are fetched again."""

import itertools
from dataclasses import replace
from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.core.key_renewal import (
    CALM,
    PAUSE_MOST,
    KeyRenewal,
    note_failure,
    note_keys,
    note_refusal,
)
from fleet.core.queue_place import Keys

WALL = 1.8e9
FOR_EVER = Keys("user", "secret")


def session(seconds: float, number: int = 1) -> Keys:
    """Keys that are good for so long from WALL on."""
    return Keys(f"key{number}", "secret", "token", WALL + seconds)


@pytest.mark.parametrize(
    ("life", "due"),
    [
        (21_600, 20_700),  # a quarter of an hour before
        (3600, 2700),
        (1800, 900),
        (900, 450),  # what is left is halved
        (60, 30),
        (1, 1),  # and never at once
        (-5, 1),
    ],
)
def test_keys_are_fetched_well_before_they_expire(life: float, due: float) -> None:
    assert note_keys(KeyRenewal(), session(life), 100.0, WALL).due == 100.0 + due


def test_keys_that_do_not_expire_are_not_fetched_again() -> None:
    assert note_keys(KeyRenewal(), FOR_EVER, 100.0, WALL).due == inf


def test_a_source_that_gives_the_same_keys_is_asked_again_and_again_until_they_expire() -> None:
    """As an instance's role, which has new ones only some minutes before."""
    renewal, moments, now = KeyRenewal(), [0.0], 0.0
    while now < 3600:
        renewal = note_keys(renewal, session(3600), now, WALL + now)
        now = renewal.due
        moments.append(now)
    assert moments[:5] == [0.0, 2700.0, 3150.0, 3375.0, 3487.5]
    assert len(moments) < 15


@pytest.mark.parametrize("life", [300, 900, 3600])
def test_they_are_fetched_when_they_expire_whatever_the_pause(life: float) -> None:
    """As a program has it that keeps its keys until they are over."""
    renewal, now, number = KeyRenewal(), 0.0, 1
    while number < 4:
        keys = session(life * number, number)
        renewal = note_keys(renewal, keys, now, WALL + now)
        now = renewal.due
        assert now <= life * number
        number += now == life * number


def test_an_expiry_that_is_put_off_for_the_same_keys_is_not_believed() -> None:
    renewal = note_keys(KeyRenewal(), session(1000), 0.0, WALL)
    renewal = note_keys(renewal, session(2500), 500.0, WALL + 500.0)
    assert renewal.due == 750.0
    renewal = note_keys(renewal, session(2500, number=2), 750.0, WALL + 750.0)
    assert renewal.due == 750.0 + 875.0


def test_keys_are_the_same_whenever_they_expire() -> None:
    assert session(1) == session(2)
    assert session(1) != session(1, number=2)
    assert session(1) != Keys("key1", "another", "token")


def test_a_refusal_has_them_fetched_at_once_and_then_with_pauses() -> None:
    renewal, now, fetched = note_keys(KeyRenewal(), FOR_EVER, 0.0, WALL), 50.0, []
    for _ in range(9):
        renewal = note_refusal(renewal, "user", now)
        now = renewal.due
        fetched.append(now)
        renewal = note_keys(renewal, FOR_EVER, now, WALL)
        assert renewal.due == inf
    pauses = [later - sooner for sooner, later in itertools.pairwise(fetched)]
    assert fetched[0] == 50.0
    assert pauses == [2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0, 60.0]


def test_a_refusal_of_older_keys_is_no_news() -> None:
    renewal = note_keys(KeyRenewal(), session(21_600, number=2), 0.0, WALL)
    assert note_refusal(renewal, "key1", 5.0) == renewal
    assert note_refusal(renewal, "key2", 5.0).due == 5.0
    assert note_refusal(KeyRenewal(due=inf), "key1", 5.0).due == inf


def test_a_refusal_puts_nothing_off() -> None:
    renewal = replace(note_keys(KeyRenewal(), session(60), 0.0, WALL), due=3.0, not_before=9.0)
    assert note_refusal(renewal, "key1", 5.0).due == 3.0


def test_a_source_that_fails_is_asked_again_with_pauses() -> None:
    renewal, now, pauses = note_keys(KeyRenewal(), session(60), 0.0, WALL), 400.0, []
    for _ in range(9):
        renewal = note_failure(renewal, now)
        pauses.append(renewal.due - now)
        now = renewal.due
    assert pauses == [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0, 60.0]
    assert renewal.keys == session(60)
    assert note_failure(renewal, now + CALM).due == now + CALM + 1.0, "after a calm"


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["keys", "failure", "refusal", "wait"]),
            st.floats(-10, 5000),
            st.integers(1, 2),
        ),
        max_size=60,
    )
)
def test_whatever_happens_it_is_bounded_and_never_forgotten(
    steps: list[tuple[str, float, int]],
) -> None:
    """Fetches have a pause between them, and keys that expire are fetched before or soon after."""
    renewal, now, last = KeyRenewal(due=0.0), 0.0, -inf
    for what, seconds, number in steps:
        if what == "wait":
            now += max(0.0, seconds)
        elif what == "refusal":
            renewal = note_refusal(renewal, f"key{number}", now)
        elif now >= renewal.due:
            assert now - last >= 1.0
            last = now
            keys = Keys(f"key{number}", "s", "", WALL + now + seconds)
            renewal = (
                note_keys(renewal, keys, now, WALL + now)
                if what == "keys"
                else note_failure(renewal, now)
            )
            assert renewal.due >= min(renewal.not_before, max(now + seconds, now + 1.0))
            left = 0.0 if what == "failure" else max(0.0, seconds)
            assert renewal.due <= max(now + left, now + PAUSE_MOST)
        assert renewal.due < inf
