"""One line in ten seconds for each cause; what is left out is counted, and nothing is lost."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from fleet.core.repeats import EVERY, Causes, all_over, heard, over

LINES = st.lists(
    st.tuples(
        st.sampled_from(["a", "b"]),
        st.sampled_from([0.0, 0.1, 4.0, 9.9, 10.0, 60.0]),
        st.integers(1, 3),
    ),
    max_size=40,
)


def test_the_first_is_told_and_those_that_follow_are_counted() -> None:
    causes, before = heard({}, "no answer", 100.0)
    assert before == 0
    for second in (100.0, 101.0, 109.9):
        causes, before = heard(causes, "no answer", second)
        assert before is None
    assert heard(causes, "no answer", 110.0)[1] == 3


def test_another_cause_is_told_at_once() -> None:
    causes, _ = heard({}, "no answer", 100.0)
    assert heard(causes, "denied", 100.0)[1] == 0


def test_what_was_left_out_is_told_when_its_time_is_over_though_nothing_comes() -> None:
    causes, _ = heard({}, "no answer", 100.0)
    causes, _ = heard(causes, "no answer", 101.0, 2)
    assert over(causes, 109.0) == (causes, [])
    assert all_over(causes) == [("no answer", 2)]
    causes, due = over(causes, 110.0)
    assert due == [("no answer", 2)]
    assert heard(causes, "no answer", 119.0)[1] is None, "that was a line too"
    assert over(causes, 120.0) == ({}, [])


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
        causes, before = heard(causes, cause, now, times)
        if before is not None:
            told[cause] += before + 1
            assert now >= last.get(cause, -EVERY) + EVERY
            last[cause] = now
    for cause, more in all_over(causes):
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
        causes, before = heard(causes, cause, now, times)
        causes, old = over(causes, now)
        due = [*old, *([] if before is None else [(cause, before + 1)])]
        for each, count in due:
            told += count
            assert now >= last.get(each, -EVERY) + EVERY
            last[each] = now
    assert told + sum(more for _, more in all_over(causes)) == came
