"""A run that ends by itself: --max-jobs, --max-seconds, and what its last line says."""

from collections import Counter

import pytest

from tests.support.pool import Expected, Home, StartPool, run_fleet
from tests.support.servers import Depth, LiveQueue


@pytest.mark.parametrize("workers", [1, 4])
def test_no_more_messages_are_taken_than_were_asked_for(
    start: StartPool, home: Home, queue: LiveQueue, workers: int
) -> None:
    queue.send(*(f"task {number}" for number in range(10)))
    pool = start("--max-jobs", "3", workers=workers)
    assert pool.wait() == 0
    assert (pool.ledger()["received"], pool.ledger()["deleted"]) == (3, 3)
    assert len(home.trace.lines("done")) == 3
    assert queue.depth() == Depth(7, 0, 0), "and nothing is hidden"
    assert "--max-jobs" in pool.events("master.stopped")[0]["why"]


def test_the_last_jobs_have_all_the_time_they_need(
    start: StartPool, home: Home, queue: LiveQueue
) -> None:
    """They were asked for: the drain, which would stop them, begins when they are done."""
    first, second = home.gate("a"), home.gate("b")
    queue.send("hold a", "hold b")
    pool = start("--max-jobs", "2", "--drain-timeout", "0")
    home.trace.wait("started", 2)
    assert not pool.events("drain.started")
    first.open()
    pool.wait_event("message.deleted")
    assert not pool.events("drain.started")
    second.open()
    assert pool.wait() == 0
    assert pool.ledger()["deleted"] == 2


def test_nothing_is_started_when_the_time_is_over(
    start: StartPool, home: Home, queue: LiveQueue
) -> None:
    """What the last poll still brings goes back untouched; what runs may finish."""
    gate = home.gate("g")
    queue.send("hold g")
    pool = start("--max-seconds", "3", "--wait-time", "5")
    pool.wait_event("job.started")
    (drain,) = pool.wait_event("drain.started")
    assert "--max-seconds 3 " in drain["why"]
    (late,) = queue.send("task")
    pool.wait_event("message.received", message_id=late)
    gate.open()
    assert pool.wait() == 0
    assert home.trace.bodies("done") == ["hold g"]
    assert Counter(event["message_id"] == late for event in pool.events("message.released")) == {
        True: 1
    }
    assert queue.depth() == Depth(1, 0, 0)


def test_a_good_job_is_not_interrupted_when_the_time_is_over(
    start: StartPool, home: Home, queue: LiveQueue
) -> None:
    """Its own time is --job-timeout."""
    gate = home.gate("g")
    queue.send("hold g")
    pool = start("--max-seconds", "0.5", "--job-timeout", "600", "--drain-timeout", "0")
    home.trace.wait("started")
    (drain,) = pool.wait_event("drain.started")
    assert drain["seconds"] == 600
    gate.open()
    assert pool.wait() == 0
    assert pool.ledger()["deleted"] == 1
    assert not pool.events("job.stopping")


def test_a_stop_that_is_asked_for_meanwhile_is_heard(
    start: StartPool, home: Home, queue: LiveQueue
) -> None:
    home.gate("never")
    queue.send("hold never")
    pool = start("--max-seconds", "0.5", "--job-timeout", "600", "--drain-timeout", "0")
    home.trace.wait("started")
    pool.wait_event("drain.started")
    pool.terminate()
    assert pool.wait() == 0
    assert [event["seconds"] for event in pool.events("drain.started")] == [600, 0]
    assert pool.ledger()["released"] == 1


def test_the_last_line_says_why_how_long_and_what(
    start: StartPool, home: Home, queue: LiveQueue
) -> None:
    home.gate("never")
    queue.send("task", "fail x", "die KILL", "hold never")
    options = ("--max-jobs", "4", "--job-timeout", "1", "--retry-delay", "600")
    kills = frozenset({"job.signalled", "job.timed_out"})
    pool = start(*options, workers=4, expected=Expected(noise=True, kills=kills))
    assert pool.wait() == 0
    (said,) = pool.events("master.stopped")
    assert pool.events()[-1] == said
    assert said["seconds"] >= 1
    assert {
        name: said[name]
        for name in ("succeeded", "failed", "signalled", "timed_out", "stopped", "rejected")
    } == {
        "succeeded": 1,
        "failed": 1,
        "signalled": 1,
        "timed_out": 1,
        "stopped": 0,
        "rejected": 0,
    }
    assert (
        "--max-jobs 4 is reached; jobs: 1 succeeded, 1 failed, 1 timed out, 1 died by a signal"
        in said["message"]
    )


@pytest.mark.parametrize(
    ("option", "value"),
    [("--max-seconds", "0"), ("--max-seconds", "soon"), ("--max-jobs", "0"), ("--max-jobs", "1.5")],
)
def test_bounds_that_make_no_sense(home: Home, option: str, value: str) -> None:
    ended = run_fleet(home, "start", "-q", "jobs", option, value, "jobs:job")
    assert ended.status == 2
    assert f"{option} is '{value}'" in ended.error_line
