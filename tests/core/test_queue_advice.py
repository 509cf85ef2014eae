"""What a queue's settings will make people suffer from."""

import pytest

from fleet.core.queue import Trouble
from fleet.core.queue_advice import (
    advise_on_dead_letters,
    advise_on_redrive,
    advise_on_retry_delay,
    advise_on_topics,
    advise_on_visibility,
    batch_trouble,
)


@pytest.mark.parametrize(
    ("max_receive_count", "words"),
    [
        (None, "no dead-letter queue"),
        (1, "no retries"),
        (2, "one interruption and one failure"),
    ],
)
def test_a_queue_that_will_hurt_is_named(max_receive_count: int | None, words: str) -> None:
    (line,) = advise_on_redrive(max_receive_count)
    assert words in line


@pytest.mark.parametrize("max_receive_count", [3, 4, 10, 1000])
def test_a_queue_with_retries_needs_no_advice(max_receive_count: int) -> None:
    assert advise_on_redrive(max_receive_count) == []


@pytest.mark.parametrize(
    ("trouble", "direct", "words"),
    [
        (Trouble.GONE, False, ["'jobs-dlq' does not exist"]),
        (Trouble.GONE, True, ["'jobs-dlq' does not exist"]),
        (Trouble.DENIED, True, ["'jobs-dlq' may not be looked up"]),
        (Trouble.DENIED, False, []),  # SQS moves messages there itself
        (Trouble.PASSING, True, []),
    ],
)
def test_a_dead_letter_queue_that_takes_no_letters_is_named(
    trouble: Trouble, direct: bool, words: list[str]
) -> None:
    lines = advise_on_dead_letters("jobs-dlq", trouble, direct=direct)
    assert len(lines) == len(words)
    assert all(word in line for word, line in zip(words, lines, strict=True))


@pytest.mark.parametrize(("seconds", "said"), [(2.0, "2:"), (9.9, "9.9:"), (10.0, ""), (60.0, "")])
def test_a_short_lease_is_warned_of(seconds: float, said: str) -> None:
    found = advise_on_visibility(seconds)
    assert len(found) == bool(said)
    assert all(f"--visibility-timeout {said}" in line for line in found)


@pytest.mark.parametrize("queue", ["jobs.fifo", "https://sqs.eu-west-1.amazonaws.com/1/jobs.fifo"])
@pytest.mark.parametrize(
    ("delays", "most"), [((10.0,), "10 s"), ((10.0, 300.0, 60.0), "300 s"), ((0.5,), "0.5 s")]
)
def test_a_delay_that_holds_up_a_group_is_named(
    queue: str, delays: tuple[float, ...], most: str
) -> None:
    (line,) = advise_on_retry_delay(queue, delays)
    assert f"up to {most}" in line
    assert "FIFO" in line


@pytest.mark.parametrize(
    ("queue", "delays"), [("jobs.fifo", ()), ("jobs", (10.0,)), ("jobs.fifo-old", (10.0,))]
)
def test_elsewhere_a_delay_holds_up_nobody(queue: str, delays: tuple[float, ...]) -> None:
    assert advise_on_retry_delay(queue, delays) == []


@pytest.mark.parametrize(
    ("body", "topics", "verified", "said"),
    [
        ("sns", (), True, True),
        ("sns", ("arn",), True, False),
        ("sns", (), False, False),  # whoever may send is believed anyway
        ("text", (), True, False),
    ],
)
def test_a_good_signature_does_not_say_for_whom(
    body: str, topics: tuple[str, ...], verified: bool, said: bool
) -> None:
    found = advise_on_topics(body, topics, verified=verified)
    assert len(found) == said
    assert all("--sns-topic" in line for line in found)


@pytest.mark.parametrize(
    ("size", "limit", "said"),
    [(2, 1, True), (10, 1, True), (1, 1, False), (10, 2, False), (10, None, False)],
)
def test_batches_need_a_second_attempt(size: int, limit: int | None, said: bool) -> None:
    found = batch_trouble("jobs", size, limit)
    assert (found is not None) == said
    assert found is None or (f"--batch-size {size}" in found and "maxReceiveCount" in found)
