"""One line in ten seconds for each cause; what is left out is counted, and nothing is lost."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from fleet.core.repeats import EVERY, Causes, end_all_causes, end_causes, note_line

LINES = st.lists(
    st.tuples(
        st.sampled_from(["a", "b"]),
        st.sampled_from([0.0, 0.1, 4.0, 9.9, 10.0, 60.0]),
        st.integers(1, 3),
    ),
    max_size=40,
)


def test_the_first_is_told_and_those_that_follow_are_counted() -> None:
    causes, before = note_line({}, "no answer", 100.0)
    assert before == 0
    for second in (100.0, 101.0, 109.9):
        causes, before = note_line(causes, "no answer", second)
        assert before is None
    assert note_line(causes, "no answer", 110.0)[1] == 3


def test_another_cause_is_told_at_once() -> None:
    causes, _ = note_line({}, "no answer", 100.0)
    assert note_line(causes, "denied", 100.0)[1] == 0


def test_what_was_left_out_is_told_when_its_time_is_over_though_nothing_comes() -> None:
    causes, _ = note_line({}, "no answer", 100.0)
    causes, _ = note_line(causes, "no answer", 101.0, 2)
    assert end_causes(causes, 109.0) == (causes, [])
    assert end_all_causes(causes) == [("no answer", 2)]
    causes, due = end_causes(causes, 110.0)
    assert due == [("no answer", 2)]
    assert note_line(causes, "no answer", 119.0)[1] is None, "that was a line too"
    assert end_causes(causes, 120.0) == ({}, [])


@given(LINES)
def test_every_line_is_told_or_counted_and_no_cause_is_told_twice_in_its_time(
    lines: list[tuple[str, float, int]],
) -> None:
    causes: Causes = {}
    now, came, told = 0.0, Counter[str](), Counter[str]()
    last: dict[str, float] = {}
    for cause, pause, times in lines:
        now += pause
        came[cause] += times
        causes, before = note_line(causes, cause, now, times)
        if before is not None:
            told[cause] += before + 1
            assert now >= last.get(cause, -EVERY) + EVERY
            last[cause] = now
    for cause, more in end_all_causes(causes):
        told[cause] += more
    assert told == came


@given(LINES)
def test_what_is_over_is_told_once_and_is_a_line_like_the_others(
    lines: list[tuple[str, float, int]],
) -> None:
    causes: Causes = {}
    now, came, told = 0.0, 0, 0
    last: dict[str, float] = {}
    for cause, pause, times in lines:
        now += pause
        came += times
        causes, before = note_line(causes, cause, now, times)
        causes, old = end_causes(causes, now)
        due = [*old, *([] if before is None else [(cause, before + 1)])]
        for each, count in due:
            told += count
            assert now >= last.get(each, -EVERY) + EVERY
            last[each] = now
    assert told + sum(more for _, more in end_all_causes(causes)) == came
