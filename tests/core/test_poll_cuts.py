"""How long polls may be, where something cuts them at one age."""

from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.core import poll_cuts
from fleet.core.poll_cuts import AGAIN, Cuts

WAIT = 20.0


def after(*polls: tuple[float, float], wait: float = WAIT) -> Cuts:
    """After polls that were cut: when, and at which age."""
    found = Cuts()
    for now, took in polls:
        found = poll_cuts.note_cut(found, now, took, wait)
    return found


@pytest.mark.parametrize(
    ("first", "second", "longest"),
    [
        (5.0, 5.0, 4.0),
        (5.0, 5.4, 4.0),
        (5.0, 4.3, 3.0),  # by the later one
        (10.0, 10.02, 8.0),
        (1.0, 1.1, 1.0),  # no shorter: a poll that does not wait proves nothing
        (0.6, 0.6, 1.0),
        (19.9, 20.1, 16.0),
        (5.0, 7.0, inf),
        (5.0, 3.0, inf),
        (0.1, 0.1, inf),  # whatever its age is
        (30.0, 30.0, 10.0),  # SQS had to answer by then: at what age it was dropped nobody knows
        (30.0, 5.0, inf),
        (5.0, 0.1, inf),
    ],
)
def test_two_at_about_the_same_age_are_enough(first: float, second: float, longest: float) -> None:
    assert after((100.0, first), (200.0, second)).longest == longest


def test_one_is_not() -> None:
    assert after((100.0, 5.0)).longest == inf


def test_polls_that_were_open_side_by_side_are_one_cut() -> None:
    """They were granted together, and a network went away: the second began before the first was
    cut.
    """
    assert after((100.0, 5.0), (100.0, 5.0), (100.1, 5.1), (102.0, 5.0)).longest == inf
    assert after((100.0, 5.0), (100.0, 5.0), (105.1, 5.0)).longest == 4.0


def test_another_age_between_them_begins_anew() -> None:
    assert after((100.0, 5.0), (120.0, 12.0), (140.0, 5.0)).longest == inf
    assert after((100.0, 5.0), (120.0, 12.0), (140.0, 12.0)).longest == 9.0


def test_what_is_dropped_without_a_word_is_asked_for_half_as_long_until_it_comes_home() -> None:
    """Nobody sees at which age it is dropped: the time-out is the client's, ten seconds behind the
    wait.
    """
    found, now, waited = Cuts(), 100.0, []
    while (
        length := poll_cuts.longest_poll(found, now, WAIT)
    ) > 3.0:  # of seconds: older ones are dropped
        waited.append(length)
        now += length + 10.0
        found = poll_cuts.note_cut(found, now, length + 10.0, length)
    assert waited == [20.0, 20.0, 10.0, 5.0]
    assert poll_cuts.note_answer(found, 2.1) == found
    tried = poll_cuts.note_poll(found, now + AGAIN)
    failed = poll_cuts.note_cut(tried, now + AGAIN + 30.0, WAIT + 10.0, WAIT)
    assert failed.longest == found.longest
    assert poll_cuts.note_answer(tried, 20.0) == Cuts()


def test_one_silence_is_forgotten_with_the_next_poll_of_full_length() -> None:
    once = after((100.0, 30.0))
    assert poll_cuts.note_answer(once, 3.0) == once
    assert poll_cuts.note_answer(once, 20.0) == Cuts()


def test_what_comes_home_younger_says_nothing() -> None:
    once = after((100.0, 5.0))
    for took in (0.0, 3.0, 5.0, 5.5):
        assert poll_cuts.note_answer(once, took) == once


def test_what_comes_home_older_says_that_nothing_cuts() -> None:
    assert poll_cuts.note_answer(after((100.0, 5.0), (200.0, 5.0)), 6.0) == Cuts()


SHORTENED = after((100.0, 5.0), (200.0, 5.0))


def test_polls_are_shorter_for_a_while_then_one_is_tried_and_only_one() -> None:
    assert poll_cuts.longest_poll(SHORTENED, 200.0, WAIT) == 4.0
    assert poll_cuts.longest_poll(SHORTENED, 200.0, 2.0) == 2.0
    assert poll_cuts.note_poll(SHORTENED, 799.0) == SHORTENED
    assert poll_cuts.longest_poll(SHORTENED, 800.0, WAIT) == WAIT
    tried = poll_cuts.note_poll(SHORTENED, 800.0)
    assert poll_cuts.longest_poll(tried, 800.0, WAIT) == 4.0
    assert tried.again_at == 800.0 + AGAIN


def test_one_that_is_tried_and_cut_changes_nothing() -> None:
    tried = poll_cuts.note_poll(SHORTENED, 800.0)
    again = poll_cuts.note_cut(tried, 805.0, 5.0, WAIT)
    assert (again.longest, again.again_at) == (4.0, 800.0 + AGAIN)


def test_one_that_is_tried_and_comes_home_ends_it() -> None:
    assert poll_cuts.note_answer(poll_cuts.note_poll(SHORTENED, 800.0), WAIT) == Cuts()


def test_a_shorter_age_makes_them_shorter_still() -> None:
    found = SHORTENED
    for now in (300.0, 400.0):
        found = poll_cuts.note_cut(found, now, 2.6, WAIT)
    assert found.longest == 2.0


@given(st.floats(0, 100), st.floats(0.5, 20), st.floats(0, 0.2))
def test_whatever_cuts_at_one_age_cuts_no_third_poll(begin: float, age: float, late: float) -> None:
    found, now = Cuts(), begin
    for _ in range(2):
        now += age + late
        found = poll_cuts.note_cut(found, now, age + late, WAIT)
        now += 1.0
    assert poll_cuts.longest_poll(found, now, WAIT) < age or found.longest == 1.0


@pytest.mark.parametrize("took", [0.6, 3.0, 11.0])
@pytest.mark.parametrize("wait", [0.0, 1.0])
def test_polls_that_are_as_short_as_can_be_say_nothing(wait: float, took: float) -> None:
    assert after((100.0, took), (200.0, took), wait=wait) == Cuts()


@pytest.mark.parametrize("silence", [12.0, 30.0])
def test_no_poll_becomes_so_short_that_it_does_not_wait(silence: float) -> None:
    found, now = Cuts(), 100.0
    for _ in range(20):
        length, now = poll_cuts.longest_poll(found, now, 2.0), now + silence
        found = poll_cuts.note_cut(found, now, silence, length)
    assert found.longest == 1.0


def test_a_silence_and_a_cut_of_the_same_length_are_not_the_same() -> None:
    once = after((100.0, 12.0))
    assert poll_cuts.note_cut(once, 200.0, 12.0, 2.0).longest == inf
