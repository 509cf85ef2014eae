"""A pool's name is its own as long as its master lives."""

from tests.support.eventually import eventually
from tests.support.pool import Home, StartPool, run_fleet
from tests.support.processes import is_alive
from tests.support.servers import LiveQueue


def test_a_second_pool_of_the_same_name_is_refused(
    start: StartPool, home: Home, queue: LiveQueue
) -> None:
    pool = start()
    pool.wait_ready(2)
    second = run_fleet(
        home, "start", "--queue", queue.name, "--endpoint-url", queue.server.endpoint, "jobs:job"
    )
    assert second.status == 2
    assert f"jobs:job@{queue.name}" in second.error_line
    assert str(pool.pid) in second.error_line
    queue.send("task")
    pool.wait_event("message.deleted")


def test_two_names_run_side_by_side(start: StartPool, home: Home, queue: LiveQueue) -> None:
    gate = home.gate("g")
    pools = [start("--name", name, workers=1) for name in ("one", "two")]
    for pool in pools:
        pool.wait_ready(1)
    queue.send("hold g", "hold g")
    home.trace.wait("started", 2)
    gate.open(2)
    for pool in pools:
        pool.wait_event("message.deleted")


def test_a_name_of_any_length_will_do(start: StartPool, home: Home) -> None:
    """A queue's name has up to 80 characters, and the app stands before it."""
    pool = start("--name", "n" * 300, workers=1)
    pool.wait_ready(1)
    assert run_fleet(home, "stop", "n" * 300).status == 0
    assert pool.wait() == 0


def test_a_control_path_that_is_too_long_is_said(home: Home, queue: LiveQueue) -> None:
    where = ("--queue", queue.name, "--endpoint-url", queue.server.endpoint)
    refused = run_fleet(home, "start", *where, "--control", "c" * 120, "jobs:job")
    assert refused.status == 2
    assert "too long" in refused.error_line


def test_a_name_is_free_again_when_the_master_was_killed(
    start: StartPool, home: Home, queue: LiveQueue
) -> None:
    """Even while its dispatchers still finish what they have."""
    gate = home.gate("g")
    queue.send("hold g")
    first = start()
    home.trace.wait("started")
    dispatchers = [each.pid for each in first.titled("fleet: dispatcher")]
    first.kill_master()
    second = start()
    second.wait_ready(2)
    gate.open()
    eventually(
        lambda: not any(map(is_alive, dispatchers)),
        what="an open poll of theirs would take the next one",
    )
    queue.send("task")
    second.wait_event("message.deleted")
