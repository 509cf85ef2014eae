"""How a job may end, and what that means for its message."""

from collections import Counter
from dataclasses import replace

import pytest

from tests.support.pool import APPS, QUIET, Home, StartPool
from tests.support.processes import is_alive
from tests.support.servers import EMPTY, MAX_RECEIVE_COUNT, Depth, LiveQueue

UNTIL_EMPTY = ("--until-empty", "--empty-for", "1", "--visibility-timeout", "2")


def test_whatever_it_returns_is_success(start: StartPool, home: Home, queue: LiveQueue) -> None:
    bodies = ["give false", "give text", "give failure", "leave 0", "leave", "end 0"]
    queue.send(*bodies)
    pool = start(*UNTIL_EMPTY)
    assert pool.wait() == 0
    assert Counter(home.trace.bodies("started")) == Counter(bodies)
    assert len(pool.events("job.succeeded")) == pool.ledger()["deleted"] == len(bodies)
    assert queue.depth() == queue.dead_depth() == EMPTY


@pytest.mark.slow
def test_whatever_else_leaves_the_message_until_it_is_dead_lettered(
    start: StartPool, home: Home, queue: LiveQueue
) -> None:
    failing = ["fail some reason", "leave 3", "end 3"]
    dying = ["die SEGV", "die TERM", "die KILL"]
    queue.send("task", *failing, *dying)
    expected = replace(QUIET, exit=6, kills=frozenset({"job.signalled"}), noise=True)
    pool = start(*UNTIL_EMPTY, workers=4, expected=expected)
    assert pool.wait(60) == 6
    attempts = Counter(home.trace.bodies("started"))
    assert attempts == {"task": 1} | dict.fromkeys(failing + dying, MAX_RECEIVE_COUNT)
    assert len(pool.events("job.failed")) == len(failing) * MAX_RECEIVE_COUNT
    assert len(pool.events("job.signalled")) == len(dying) * MAX_RECEIVE_COUNT
    assert pool.ledger()["deleted"] == 1
    raised = [
        event for event in pool.events("job.failed") if event.get("error_type") == "ValueError"
    ]
    assert len(raised) == MAX_RECEIVE_COUNT
    assert {event["error"] for event in raised} == {"some reason"}
    lines = raised[0]["traceback"].splitlines()
    files = {line.split('"')[1] for line in lines if line.startswith("  File ")}
    assert files == {str(APPS / "jobs.py")}, "a traceback shows frames that are not the app's"
    assert not any("ValueError" in line for line in pool.noise), "it is told once"
    assert queue.depth() == EMPTY
    assert queue.dead_depth() == Depth(len(failing + dying), 0, 0)
    assert queue.dead_bodies() == sorted(failing + dying)


@pytest.mark.slow
def test_an_exception_is_told_and_its_traceback_printed_as_python_does(
    start: StartPool, queue: LiveQueue
) -> None:
    queue.send("fail some reason")
    pool = start(
        *UNTIL_EMPTY,
        "--log-format",
        "text",
        expected=replace(QUIET, exit=6, noise=True, ledger=False),
    )
    assert pool.wait(60) == 6
    (first, *_) = (line for line in pool.noise if "job failed" in line)
    assert "warning job failed: ValueError at jobs.py:" in first
    assert " in fail (exit 1) after 0." in first
    assert pool.noise.count("ValueError: some reason") == MAX_RECEIVE_COUNT


def test_the_end_of_a_job_is_told_with_what_it_cost(start: StartPool, queue: LiveQueue) -> None:
    (message_id,) = queue.send("task")
    pool = start()
    (started,) = pool.wait_event("job.started")
    (ended,) = pool.wait_event("job.succeeded")
    names = ("slot", "job_pid", "message_id", "attempt")
    assert [ended[name] for name in names] == [started[name] for name in names]
    assert (ended["message_id"], ended["attempt"]) == (message_id, 1)
    assert ended["duration"] > 0
    assert ended["max_rss_mib"] > 0
    assert ended["cpu_seconds"] > 0
    assert "exit" in ended


def test_what_it_leaves_behind_is_gone_when_its_message_is_settled(
    start: StartPool, home: Home, queue: LiveQueue
) -> None:
    """A grandchild that left its parent, its session and its group."""
    queue.send("orphan")
    pool = start()
    pool.wait_event("message.deleted")
    (line,) = home.trace.lines("orphan")
    assert not is_alive(line.pid)
    assert pool.titled("fleet: dispatcher")


def test_what_a_killed_job_has_left_behind_is_gone_too(
    start: StartPool, home: Home, queue: LiveQueue
) -> None:
    gate = home.gate("g")
    queue.send("orphan-then g")
    pool = start("--drain-timeout", "0", "--exit-timeout", "0.5")
    home.trace.wait("holding")
    pool.terminate()
    pool.wait_event("message.released")
    (line,) = home.trace.lines("orphan")
    assert not is_alive(line.pid)
    gate.open()
    assert pool.wait() == 0
