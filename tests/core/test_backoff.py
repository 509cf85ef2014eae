"""Exponential backoff with jitter."""

import pytest

from fleet.core.backoff import longest_pause, pause_before_next


@pytest.mark.parametrize(
    ("tries", "seconds"), [(1, 0.5), (2, 1.0), (3, 2.0), (6, 16.0), (7, 30.0), (10_000, 30.0)]
)
def test_each_failure_doubles_the_pause_up_to_the_longest(tries: int, seconds: float) -> None:
    assert longest_pause(tries, 0.5, 30.0) == seconds


@pytest.mark.parametrize(("jitter", "share"), [(0.0, 0.25), (0.5, 0.625), (1.0, 1.0)])
def test_jitter_shortens_the_pause_to_no_less_than_the_least_share(
    jitter: float, share: float
) -> None:
    assert pause_before_next(3, 1.0, 30.0, jitter, least=0.25) == 4.0 * share


def test_with_full_jitter_the_pause_may_be_next_to_nothing() -> None:
    assert pause_before_next(3, 1.0, 30.0, 0.0, least=0.0) == 0.0
