"""A pool that nothing disturbs does every message exactly once."""

from collections import Counter

import pytest

from tests.support.pool import Home, StartPool, run_fleet
from tests.support.servers import EMPTY, LiveQueue


def run_through(start: StartPool, home: Home, queue: LiveQueue, count: int, workers: int) -> None:
    bodies = [f"task {number}" for number in range(count)]
    ids = queue.send(*bodies)
    pool = start("--until-empty", "--empty-for", "1", queue=queue, workers=workers)
    assert pool.wait(120) == 0
    assert Counter(home.trace.bodies("started")) == Counter(bodies)
    assert Counter(home.trace.bodies("done")) == Counter(bodies)
    assert {line.message_id for line in home.trace.lines("done")} == set(ids)
    ledger = pool.ledger()
    assert (ledger["received"], ledger["deleted"]) == (count, count)
    assert queue.depth() == queue.dead_depth() == EMPTY


@pytest.mark.slow
def test_a_thousand_messages_on_eight_workers(
    start: StartPool, home: Home, queue: LiveQueue
) -> None:
    run_through(start, home, queue, count=1000, workers=8)


def test_the_same_on_another_server(start: StartPool, home: Home, moto_queue: LiveQueue) -> None:
    run_through(start, home, moto_queue, count=50, workers=4)


def test_what_is_sent_while_it_runs_is_done_too(
    start: StartPool, home: Home, queue: LiveQueue
) -> None:
    pool = start(workers=2)
    pool.wait_ready(2)
    for number in range(3):
        queue.send(f"task {number}")
        pool.wait_event("message.deleted", count=number + 1)
    assert home.trace.bodies("done") == ["task 0", "task 1", "task 2"]


def test_the_log_as_text(home: Home, queue: LiveQueue) -> None:
    """One line an event, the ledger as people read it, and no body of a message."""
    queue.send("secret 1", "secret 2")
    where = ("--queue", queue.name, "--endpoint-url", queue.server.endpoint)
    ended = run_fleet(
        home, "start", *where, "--wait-time", "1", "--until-empty", "--empty-for", "1", "jobs:job"
    )
    assert (ended.status, ended.output) == (0, "")
    assert "received 2 = deleted 2 + released 0 + dead-lettered 0 + left 0" in ended.errors
    assert "secret" not in ended.errors
    home.wait_empty()


@pytest.mark.parametrize(
    ("option", "says"),
    [
        ("-v", ["message received", "pool jobs:job"]),
        ("--verbose", ["message received"]),
        ("--quiet", []),
    ],
)
def test_a_louder_and_a_quieter_log(
    home: Home, queue: LiveQueue, option: str, says: list[str]
) -> None:
    queue.send("task")
    where = ("--queue", queue.name, "--endpoint-url", queue.server.endpoint)
    ended = run_fleet(
        home, "start", *where, "--wait-time", "1", "--max-jobs", "1", option, "jobs:job"
    )
    assert ended.status == 0
    assert all(said in ended.errors for said in says)
    assert says or ended.errors == ""


def test_loud_and_quiet_at_once(home: Home) -> None:
    ended = run_fleet(home, "start", "-q", "jobs", "-v", "--quiet", "jobs:job")
    assert ended.status == 2
    assert "--verbose and --quiet exclude each other" in ended.error_line


def test_the_app_imported_in_every_job(start: StartPool, home: Home, queue: LiveQueue) -> None:
    queue.send("task 1", "task 2")
    pool = start("--no-preload")
    pool.wait_event("message.deleted", count=2)
    assert sorted(home.trace.bodies("done")) == ["task 1", "task 2"]


def test_the_mark_of_the_tests_is_on_every_process(
    start: StartPool, home: Home, queue: LiveQueue
) -> None:
    """What the audit stands on: a process that it cannot see would not be missed."""
    gate = home.gate("g")
    queue.send("hold g")
    pool = start(workers=2)
    pool.wait_ready(2)
    (line,) = home.trace.wait("started")
    seen = {process.pid for process in pool.processes()}
    assert {pool.pid, pool.dispatcher(0), pool.dispatcher(1), line.pid} <= seen
    gate.open()
