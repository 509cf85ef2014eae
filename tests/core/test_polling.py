"""How many polls are open: one when the queue is quiet, all when it is not."""

from collections.abc import Callable
from dataclasses import replace
from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.core import polling
from fleet.core.poll_cuts import Cuts
from fleet.core.polling import BACKOFF_MOST, QUICK, SHORTEST_EMPTY, Polling

JITTERS = st.floats(0, 1, exclude_max=True)
SIZES = st.integers(0, 100)
MOMENTS = st.floats(0, 1e6)
POLLINGS = st.builds(
    Polling,
    allowed=st.integers(1, 100),
    failures=st.integers(0, 40),
    starved=st.integers(0, 40),
    not_before=MOMENTS,
)


@pytest.mark.parametrize(
    ("allowed", "took", "size", "then"),
    [
        (1, 0.0, 32, 4),
        (4, 0.2, 32, 16),
        (16, 0.999, 32, 32),  # up to the size of the pool
        (32, 0.0, 32, 32),
        (4, 1.0, 32, 4),  # it came while we waited: there was no backlog
        (4, 9.0, 32, 4),
        (8, 9.0, 2, 2),  # the pool has shrunk
        (1, 0.0, 0, 1),
    ],
)
def test_a_quick_hit_multiplies_and_a_slow_one_keeps(
    allowed: int, took: float, size: int, then: int
) -> None:
    assert polling.note_hit(Polling(allowed=allowed), took, size) == Polling(allowed=then)


def test_a_hit_ends_every_backoff() -> None:
    assert polling.note_hit(Polling(allowed=1, failures=3, not_before=99.0), 0.1, 1) == Polling()


@pytest.mark.parametrize(("allowed", "then"), [(32, 16), (5, 2), (2, 1), (1, 1)])
def test_an_empty_poll_halves(allowed: int, then: int) -> None:
    assert polling.note_empty(
        Polling(allowed=allowed, failures=2, not_before=50.0), 60.0, 10.0
    ) == Polling(allowed=then)


@pytest.mark.parametrize(("took", "pause"), [(0.0, 1.0), (0.25, 0.75), (0.999, 0.001)])
def test_an_early_empty_answer_pauses_for_the_rest_of_a_second(took: float, pause: float) -> None:
    after = polling.note_empty(Polling(), 100.0, took)
    assert after.not_before == pytest.approx(100.0 + pause)


@pytest.mark.parametrize("took", [SHORTEST_EMPTY, 1.5, 20.0])
def test_an_empty_poll_of_a_second_needs_no_pause(took: float) -> None:
    assert polling.note_empty(Polling(), 100.0, took).not_before == 0.0


def test_a_failed_poll_leaves_one_poll_after_a_backoff() -> None:
    after = polling.note_failure(Polling(allowed=16), 100.0, 0.5)
    assert (after.allowed, after.failures) == (1, 1)
    assert after.not_before > 100.0


@pytest.mark.parametrize(
    ("before", "most"), [(0, 0.5), (1, 1.0), (2, 2.0), (5, 16.0), (6, 30.0), (7, 30.0), (999, 30.0)]
)
def test_the_backoff_doubles_up_to_half_a_minute(before: int, most: float) -> None:
    for jitter in (0.0, 0.25, 0.5):
        after = polling.note_failure(Polling(failures=before), 100.0, jitter)
        assert after == Polling(
            failures=before + 1, not_before=100.0 + jitter * most, free_at=105.0
        )


@pytest.mark.parametrize(("before", "most"), [(0, 0.5), (1, 1.0), (3, 4.0), (4, 5.0), (999, 5.0)])
def test_where_nobody_answers_the_next_try_is_within_five_seconds(before: int, most: float) -> None:
    after = polling.note_failure(Polling(failures=before), 100.0, 0.5, answered=False)
    assert after == Polling(failures=before + 1, not_before=100.0 + 0.5 * most, free_at=101.0)


def test_an_answer_to_another_call_ends_the_pause() -> None:
    """Not at once where polls themselves were refused: a throttle is of one kind of call."""
    silent = polling.note_failure(Polling(failures=8), 100.0, 0.99, answered=False)
    assert polling.note_answer(silent).not_before == 101.0
    throttled = polling.note_failure(Polling(failures=8), 100.0, 0.99)
    assert polling.note_answer(throttled).not_before == 105.0
    assert polling.note_answer(throttled).failures == 9
    soon = polling.note_failure(Polling(), 100.0, 0.1)
    assert polling.note_answer(soon) == soon


@pytest.mark.parametrize(("took", "pause"), [(0.1, 0.15), (3.0, 3.0), (11.0, 5.0)])
def test_other_queues_have_the_dispatcher_for_as_long_as_it_was_held_for_nothing(
    took: float, pause: float
) -> None:
    after = polling.note_failure(Polling(allowed=9), 100.0, 0.3, answered=False, held=took)
    assert (after.allowed, after.not_before) == (1, 100.0 + pause)
    assert polling.note_answer(after) == after, "whatever a call says that is no poll"


def test_it_does_not_end_other_pauses() -> None:
    pausing = Polling(not_before=99.0)
    assert polling.note_answer(pausing) == pausing
    assert polling.note_answer(STARVING) == STARVING
    assert polling.note_answer(replace(STARVING, failures=1)) == replace(STARVING, failures=1)


def test_what_is_known_of_cuts_outlives_every_answer_that_does_not_contradict() -> None:
    known = Cuts(5.0, 100.0, 4.0, 700.0, 5.9)
    state = Polling(cuts=known)
    assert polling.note_hit(state, 0.1, 8).cuts == known
    assert polling.note_empty(state, 100.0, 4.0).cuts == known
    assert polling.note_failure(state, 100.0, 0.5).cuts == known
    assert polling.note_starvation(state, 100.0, 0.5).cuts == known
    assert polling.note_sample(state, 100, 8).cuts == known
    assert polling.note_empty(state, 100.0, 10.0).cuts == Cuts()
    assert (polling.longest_poll(state, 100.0), polling.longest_poll(state, 700.0)) == (4.0, inf)
    assert polling.longest_poll(polling.note_grant(state, 700.0), 700.0) == 4.0


def test_polls_that_fail_while_the_pool_backs_off_say_nothing_new() -> None:
    """Thirty open polls that fail in one outage are one failure."""
    once = polling.note_failure(Polling(allowed=30), 100.0, 0.9)
    assert polling.note_failure(once, 100.1, 0.9) == once
    assert polling.note_failure(once, once.not_before, 0.9).failures == 2


def test_a_failure_during_a_mere_pause_is_one() -> None:
    after = Polling(failures=1, not_before=100.5, free_at=105.0)
    assert polling.note_failure(Polling(not_before=100.5), 100.0, 0.5) == after


@given(POLLINGS, MOMENTS, JITTERS)
def test_the_backoff_has_full_jitter_and_never_gets_shorter(
    state: Polling, now: float, jitter: float
) -> None:
    after = polling.note_failure(state, now, jitter)
    assert state.not_before <= after.not_before <= max(state.not_before, now + BACKOFF_MOST)
    assert polling.is_degraded(after)


@pytest.mark.parametrize(
    ("allowed", "visible", "size", "then"),
    [
        (1, 0, 8, 1),
        (1, 1, 8, 1),
        (1, 2, 8, 2),
        (1, 1000, 8, 8),
        (4, 3, 8, 4),  # raised only
        (8, 8, 4, 8),
        (1, 5, 0, 1),
    ],
)
def test_a_sample_raises_the_polls_allowed(
    allowed: int, visible: int, size: int, then: int
) -> None:
    assert polling.note_sample(Polling(allowed=allowed), visible, size).allowed == then


def test_a_sample_does_not_end_a_backoff() -> None:
    failing = Polling(failures=1, not_before=99.0)
    assert polling.note_sample(failing, 1000, 8) == failing
    pausing = Polling(not_before=99.0)
    assert polling.note_sample(pausing, 1000, 8) == replace(pausing, allowed=8)


# A host that has no process to give.

STARVING = Polling(allowed=2, starved=1, not_before=101.0)


@pytest.mark.parametrize(
    ("before", "most"), [(0, 2.0), (1, 4.0), (3, 16.0), (4, 30.0), (999, 30.0)]
)
@pytest.mark.parametrize("jitter", [0.0, 0.5])
def test_a_starved_host_pauses_ever_longer(before: int, most: float, jitter: float) -> None:
    after = polling.note_starvation(Polling(allowed=8, failures=1, starved=before), 100.0, jitter)
    pause = most * (0.5 + jitter / 2)
    assert after == Polling(allowed=1, failures=1, starved=before + 1, not_before=100.0 + pause)


def test_a_longer_pause_stays() -> None:
    assert polling.note_starvation(Polling(not_before=200.0), 100.0, 0.5).not_before == 200.0


def test_a_starved_host_takes_one_message_at_a_time_whatever_comes() -> None:
    """What its pause depends on survives every answer but a job that ran."""
    assert polling.note_hit(STARVING, 0.1, 8) == STARVING
    assert polling.note_empty(STARVING, 100.0, 10.0) == replace(STARVING, allowed=1)
    assert polling.note_empty(STARVING, 100.5, 0.0) == replace(
        STARVING, allowed=1, not_before=101.5
    )
    assert polling.note_failure(STARVING, 100.0, 0.0) == replace(
        STARVING, allowed=1, failures=1, free_at=105.0
    )
    assert polling.note_sample(STARVING, 1000, 8) == STARVING


def test_a_job_that_ran_ends_the_famine() -> None:
    assert polling.end_starvation(STARVING) == replace(STARVING, starved=0)
    assert polling.end_starvation(Polling(allowed=4)) == Polling(allowed=4)


# Grants.


@pytest.mark.parametrize(
    ("allowed", "idle", "open_polls", "granted"),
    [
        (1, 8, 0, 1),
        (1, 8, 1, 0),
        (4, 8, 1, 3),
        (4, 2, 0, 2),
        (4, 0, 0, 0),
        (1, 8, 5, 0),  # more are open than allowed: none is taken back
    ],
)
def test_grants_fill_up_to_what_is_allowed(
    allowed: int, idle: int, open_polls: int, granted: int
) -> None:
    assert polling.count_grants(Polling(allowed=allowed), 0.0, idle, open_polls) == granted


def test_nobody_asks_before_the_backoff_is_over() -> None:
    state = Polling(allowed=4, not_before=10.0)
    assert polling.count_grants(state, 9.999, 8, 0) == 0
    assert polling.count_grants(state, 10.0, 8, 0) == 4


def test_the_queue_counts_as_unreachable_until_a_poll_comes_home() -> None:
    failing = polling.note_failure(Polling(), 0.0, 0.5)
    assert polling.is_degraded(failing)
    assert not polling.is_degraded(Polling())
    assert not polling.is_degraded(polling.note_empty(failing, 1.0, 1.0))
    assert not polling.is_degraded(polling.note_hit(failing, 1.0, 1))


ANSWERS: st.SearchStrategy[Callable[[Polling], Polling]] = st.one_of(
    st.builds(
        lambda took, size: lambda state: polling.note_hit(state, took, size),
        st.floats(0, 30),
        SIZES,
    ),
    st.builds(
        lambda now, took: lambda state: polling.note_empty(state, now, took),
        MOMENTS,
        st.floats(0, 30),
    ),
    st.builds(
        lambda now, jitter: lambda state: polling.note_failure(state, now, jitter), MOMENTS, JITTERS
    ),
    st.builds(
        lambda seen, size: lambda state: polling.note_sample(state, seen, size),
        st.integers(0, 10**6),
        SIZES,
    ),
)


@given(POLLINGS, ANSWERS)
def test_at_least_one_poll_is_always_allowed(
    state: Polling, answer: Callable[[Polling], Polling]
) -> None:
    after = answer(state)
    assert after.allowed >= 1
    assert after.allowed <= max(state.allowed, 100)


@given(POLLINGS, MOMENTS, st.integers(0, 100), st.integers(0, 100))
def test_grants_are_never_more_than_the_idle_or_the_allowed(
    state: Polling, now: float, idle: int, polls: int
) -> None:
    granted = polling.count_grants(state, now, idle, polls)
    assert 0 <= granted <= idle
    assert granted == 0 or granted + polls <= state.allowed


@given(st.integers(1, 200), st.floats(0, QUICK, exclude_max=True))
def test_a_backlog_fills_the_pool_within_a_few_hits(size: int, took: float) -> None:
    state = Polling()
    for _ in range(4):
        state = polling.note_hit(state, took, size)
    assert state.allowed == min(size, 256)
