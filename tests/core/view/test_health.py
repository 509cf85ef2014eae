"""The health file: what is in it, and what a probe makes of it."""

import json
from dataclasses import replace

import pytest

from fleet.core.pool.queue_state import Counts
from fleet.core.pool.state import Level, PoolPhase
from fleet.core.protocol import Empty, PollFailed, Received
from fleet.core.view.health import snapshot
from fleet.core.view.probe import judge
from tests.core.pool.story import BAD, DONE, STARVED, Story, running, working

NOW = 1_800_000_000.0
STAMP = "2027-01-15T08:00:00.000+00:00"


def told(story: Story) -> dict[str, object]:
    return snapshot(story.pool, STAMP, "1.2.3")


def test_the_keys_of_other_workers_files_come_first() -> None:
    story = working(3, 1)
    story.sample(7, 5, 2)
    assert list(told(story).items()) == [
        ("timestamp", STAMP),
        ("cycles", 1),
        ("total_messages", 0),
        ("failed_messages", 0),
        ("pause_count", 0),
        ("queue_count", 7),
        ("queue_count_delayed", 2),
        ("queue_count_not_visible", 5),
        ("state", "running"),
        ("size", 3),
        ("busy", 1),
        ("desired", 3),
        ("version", "1.2.3"),
    ]


def test_before_the_first_sample_the_queue_is_not_known() -> None:
    found = told(running(1))
    assert (
        found["queue_count"]
        is found["queue_count_delayed"]
        is found["queue_count_not_visible"]
        is None
    )


def test_messages_count_when_they_are_done() -> None:
    story = running(1)
    for report in (DONE, BAD):
        story.says(0, Received(0.1))
        before = told(story)["total_messages"]
        story.says(0, report)
        assert told(story)["total_messages"] == int(str(before)) + 1
    assert told(story)["failed_messages"] == 1


@pytest.mark.parametrize("how", ["failed", "timed_out", "signalled", "rejected"])
def test_what_is_a_failure(how: str) -> None:
    story = running(1)
    counts = replace(Counts(succeeded=1, retried=1, stopped=1), **{how: 2})
    (queue,) = story.pool.queues
    story.pool = replace(story.pool, queues=(replace(queue, counts=counts),))
    assert told(story)["failed_messages"] == 2


def test_every_poll_that_comes_home_is_a_cycle_and_every_backoff_a_pause() -> None:
    story = running(2)
    story.says(0, Received(0.1))
    story.says(0, STARVED)
    assert (told(story)["cycles"], told(story)["pause_count"]) == (1, 1)
    story.says(1, Empty(10.0))
    story.tick(100.0)
    story.sample(2)
    story.says(0, PollFailed("no"))
    assert (told(story)["cycles"], told(story)["pause_count"]) == (3, 2)


def test_polls_that_fail_in_the_same_backoff_are_one_pause() -> None:
    story = running(3)
    story.sample(3)
    for slot in (0, 1, 2):
        story.says(slot, PollFailed("no"))
    assert (told(story)["cycles"], told(story)["pause_count"]) == (3, 1)
    assert told(story)["state"] == "degraded"


def test_a_pool_that_has_ended_says_so() -> None:
    story = running(1)
    story.stop(Level.DRAIN)
    assert told(story)["state"] == "draining"
    story.pool = replace(story.pool, phase=PoolPhase.STOPPED)
    assert told(story)["state"] == "stopped"


# What a probe makes of it.


def file(**changes: object) -> str:
    return json.dumps({"timestamp": STAMP, "state": "running", "busy": 1, "size": 3} | changes)


@pytest.mark.parametrize(
    ("age", "good"), [(0.0, True), (119.0, True), (120.0, True), (121.0, False), (9e6, False)]
)
def test_it_is_good_while_it_is_young(age: float, good: bool) -> None:
    assert judge(file(), NOW + age, 120.0)[0] is good


def test_why_is_said() -> None:
    assert judge(file(), NOW + 2, 120.0) == (True, "running, 1 of 3 busy, written 2 s ago")
    assert judge(file(), NOW + 130, 120.0) == (
        False,
        "it was written 130 s ago; --max-age is 120 s",
    )
    assert judge(file(), NOW - 130, 120.0) == (
        False,
        "it was written 130 s in the future; --max-age is 120 s",
    )
    assert judge(file(state="stopped"), NOW, 120.0) == (False, "the pool has stopped")
    assert judge(json.dumps({"timestamp": STAMP}), NOW, 120.0)[0], "another worker's file will do"


@pytest.mark.parametrize("state", ["starting", "running", "degraded", "paused", "draining"])
def test_every_other_state_is_alive(state: str) -> None:
    """Killing a pool because its queue does not answer, or because it drains, would make nothing
    better.
    """
    assert judge(file(state=state), NOW, 120.0)[0]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "7",
        "null",
        "{}",
        file(timestamp=None),
        file(timestamp="yesterday"),
        "[" * 100_000,
    ],
)
def test_what_is_no_health_file(text: str) -> None:
    good, why = judge(text, NOW, 120.0)
    assert not good
    assert "no health file" in why


def test_a_timestamp_without_a_zone_says_nothing() -> None:
    good, why = judge(file(timestamp="2027-01-15T08:00:00"), NOW, 120.0)
    assert not good
    assert "time zone" in why
