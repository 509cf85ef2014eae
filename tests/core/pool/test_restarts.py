"""Backoff and restart intensity."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.core.pool.restarts import (
    DELAY_FIRST,
    DELAY_MOST,
    WINDOW,
    Restarts,
    causes,
    delay,
    is_hopeless,
    limit,
    note_crash,
)

JITTERS = st.floats(0, 1, exclude_max=True)
ALL_BUT_CERTAIN = 0.999999


def crash_at(*moments: float, cause: str = "exit 1") -> Restarts:
    restarts = Restarts()
    for at in moments:
        restarts = note_crash(restarts, at, cause)
    return restarts


@pytest.mark.parametrize(
    ("crashes", "least", "most"),
    [
        (0, 0.0, 0.0),
        (1, 0.0, 0.0),  # once is bad luck: at once
        (2, 0.25, 0.5),
        (3, 0.5, 1.0),
        (4, 1.0, 2.0),
        (7, 8.0, 16.0),
        (8, 15.0, 30.0),  # 32 would be the next
        (9, 15.0, 30.0),
        (5000, 15.0, 30.0),
    ],
)
def test_the_delay_doubles_up_to_half_a_minute(crashes: int, least: float, most: float) -> None:
    assert delay(crashes, 0.0) == least
    assert delay(crashes, ALL_BUT_CERTAIN) == pytest.approx(most, rel=1e-4)


@given(st.integers(0, 10_000), JITTERS)
def test_the_delay_is_bounded_and_grows(crashes: int, jitter: float) -> None:
    assert 0 <= delay(crashes, jitter) <= DELAY_MOST
    assert delay(crashes, jitter) <= delay(crashes + 1, jitter)
    assert crashes < 2 or delay(crashes, jitter) >= DELAY_FIRST / 2


@pytest.mark.parametrize(("size", "crashes"), [(1, 5), (2, 5), (3, 6), (8, 16), (50, 100)])
def test_a_larger_pool_survives_more_crashes(size: int, crashes: int) -> None:
    assert limit(size) == crashes


def test_a_pool_gives_up_when_more_than_the_limit_crash_within_the_window() -> None:
    assert not is_hopeless(crash_at(*range(5)), 1)
    assert is_hopeless(crash_at(*range(6)), 1)
    assert not is_hopeless(crash_at(*range(6)), 3)


def test_crashes_older_than_the_window_are_forgotten() -> None:
    assert len(crash_at(0.0, 59.999).crashes) == 2
    assert len(crash_at(0.0, 60.0).crashes) == 1
    assert not is_hopeless(crash_at(*(15.0 * number for number in range(100))), 1)


@given(st.lists(st.floats(0, 300), max_size=30).map(sorted))
def test_what_is_kept_lies_within_the_window(moments: list[float]) -> None:
    kept = [crash.at for crash in crash_at(*moments).crashes]
    assert kept == [at for at in moments if moments[-1] - at < WINDOW or at == moments[-1]]


def test_the_causes_are_counted_the_most_frequent_first() -> None:
    restarts = Restarts()
    for cause in ("exit 1", "SIGSEGV", "SIGSEGV", "exit 2"):
        restarts = note_crash(restarts, 1.0, cause)
    assert causes(restarts) == "SIGSEGV × 2, exit 1 × 1, exit 2 × 1"
    assert causes(Restarts()) == ""
