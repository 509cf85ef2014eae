"""When a queue is empty enough to end."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.core.pool.emptiness import (
    Emptiness,
    is_reached,
    note_empty_poll,
    note_message,
    note_sample,
)

BEGAN = 1000.0
Happening = tuple[str, float, int]


def after(*story: Happening) -> Emptiness:
    """`("sample", when, total)`, `("poll", began, whether it had its full length)`, `("message",
    when, _)`.
    """
    emptiness = Emptiness()
    for what, seconds, number in story:
        when = BEGAN + seconds
        match what:
            case "sample":
                emptiness = note_sample(emptiness, when, number)
            case "poll":
                emptiness = note_empty_poll(emptiness, when, bool(number))
            case _:
                emptiness = note_message()
    return emptiness


@pytest.mark.parametrize(
    ("story", "empty"),
    [
        ([], False),
        ([("poll", 0, 1)], False),
        ([("sample", 0, 0), ("sample", 60, 0)], False),  # no poll has looked
        ([("sample", 0, 0), ("poll", 5, 1)], False),  # not long enough
        ([("sample", 0, 0), ("poll", 5, 1), ("sample", 59.9, 0)], False),
        ([("sample", 0, 0), ("poll", 5, 1), ("sample", 60, 0)], True),
        ([("sample", 0, 0), ("poll", 0, 1), ("sample", 60, 0)], True),  # it began with the streak
        ([("sample", 0, 0), ("sample", 60, 0), ("poll", 50, 1)], True),  # the order is no matter
        (
            [("poll", 5, 1), ("sample", 10, 0), ("sample", 70, 0)],
            False,
        ),  # it began before the streak
        ([("sample", 10, 0), ("poll", 9.9, 1), ("sample", 70, 0)], False),
        (
            [("sample", 0, 0), ("poll", 5, 0), ("sample", 60, 0)],
            False,
        ),  # it was short, and proves nothing
        ([("sample", 0, 0), ("poll", 5, 1), ("poll", 6, 0), ("sample", 60, 0)], True),
        (
            [("sample", 0, 0), ("poll", 5, 1), ("sample", 30, 1), ("sample", 60, 0)],
            False,
        ),  # one was not zero
        ([("sample", 0, 0), ("poll", 5, 1), ("message", 30, 0), ("sample", 60, 0)], False),
        ([("message", 0, 0), ("sample", 1, 0), ("poll", 5, 1), ("sample", 61, 0)], True),
        ([("sample", 0, 0), ("poll", 5, 1), ("sample", 60, 0), ("sample", 61, 2)], False),
    ],
)
def test_empty_means_zero_for_long_enough_and_a_poll_agreed(
    story: list[Happening], empty: bool
) -> None:
    assert is_reached(after(*story), 60) is empty


HAPPENINGS = st.lists(
    st.tuples(st.sampled_from(["sample", "poll", "message"]), st.integers(0, 2)), max_size=12
)


@given(HAPPENINGS)
def test_a_streak_is_made_of_zero_samples_only(story: list[tuple[str, int]]) -> None:
    happened = [(what, float(when), number) for when, (what, number) in enumerate(story)]
    emptiness = after(*happened)
    breaks = [
        when
        for what, when, number in happened
        if what == "message" or (what == "sample" and number)
    ]
    broken = max(breaks, default=-1.0)
    zeros = [
        when for what, when, number in happened if what == "sample" and not number and when > broken
    ]
    assert emptiness.zero_since == (BEGAN + zeros[0] if zeros else None)
    assert emptiness.zero_until == (BEGAN + zeros[-1] if zeros else None)
    agreed = [
        when
        for what, when, number in happened
        if what == "poll" and number and zeros and when >= zeros[0]
    ]
    assert emptiness.poll_agreed == bool(agreed)
