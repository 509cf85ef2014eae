"""What a queue's redrive policy will make people suffer from."""

import pytest

from fleet.core.advice import on_redrive


@pytest.mark.parametrize(
    ("max_receive_count", "words"),
    [
        (None, "no dead-letter queue"),
        (1, "no retries"),
        (2, "one interruption and one failure"),
    ],
)
def test_a_queue_that_will_hurt_is_named(max_receive_count: int | None, words: str) -> None:
    (line,) = on_redrive(max_receive_count)
    assert words in line


@pytest.mark.parametrize("max_receive_count", [3, 4, 10, 1000])
def test_a_queue_with_retries_needs_no_advice(max_receive_count: int) -> None:
    assert on_redrive(max_receive_count) == []
