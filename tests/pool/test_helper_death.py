"""The template or the scout dies: it is started again, and the pool works on."""

import os
import signal

import pytest

from tests.support.eventually import eventually
from tests.support.pool import Expected, Home, Pool, StartPool
from tests.support.processes import is_alive
from tests.support.servers import LiveQueue

KILLED = Expected(kills=frozenset({"helper.died", "dispatcher.died", "message.left"}))


def kill_helper(pool: Pool, title: str) -> None:
    (old,) = eventually(lambda: pool.titled(title))
    os.kill(old.pid, signal.SIGKILL)
    eventually(lambda: [p for p in pool.titled(title) if p.pid != old.pid], what=f"another {title}")


@pytest.mark.parametrize("title", ["fleet: template", "fleet: scout"])
def test_the_pool_works_on(start: StartPool, queue: LiveQueue, title: str) -> None:
    pool = start(expected=KILLED)
    pool.wait_ready(2)
    kill_helper(pool, title)
    queue.send("task")
    pool.wait_event("message.deleted")
    assert not pool.events("dispatcher.died")


def test_a_running_job_does_not_notice(start: StartPool, home: Home, queue: LiveQueue) -> None:
    gate = home.gate("g")
    queue.send("hold g")
    pool = start(expected=KILLED)
    home.trace.wait("started")
    kill_helper(pool, "fleet: template")
    kill_helper(pool, "fleet: scout")
    gate.open()
    pool.wait_event("message.deleted")
    assert len(home.trace.lines("started")) == 1


def test_a_new_template_fills_slots(start: StartPool, queue: LiveQueue) -> None:
    pool = start(workers=1, expected=KILLED)
    pool.wait_ready(1)
    kill_helper(pool, "fleet: template")
    os.kill(pool.dispatcher(0), signal.SIGKILL)
    pool.wait_event("dispatcher.ready", count=2)
    queue.send("task")
    pool.wait_event("message.deleted")


def test_a_new_scout_sees_the_queue_run_empty(
    start: StartPool, home: Home, queue: LiveQueue
) -> None:
    gate = home.gate("g")
    queue.send("hold g")
    pool = start("--until-empty", "--empty-for", "1", expected=KILLED)
    home.trace.wait("started")
    kill_helper(pool, "fleet: scout")
    gate.open()
    assert pool.wait() == 0


def test_what_the_app_has_started_at_its_import_ends_with_the_pool(
    start: StartPool, home: Home, queue: LiveQueue
) -> None:
    queue.send("task")
    pool = start(app="attended:job", workers=1)
    pool.wait_event("message.deleted")
    attendants = [line.pid for line in home.trace.wait("attendant", 2)]
    assert all(is_alive(pid) for pid in attendants)
    pool.terminate()
    assert pool.wait() == 0
    assert not any(is_alive(pid) for pid in attendants)


def test_what_an_app_that_cannot_be_loaded_has_started_ends_too(
    start: StartPool, home: Home
) -> None:
    pool = start(
        app="attended:job", expected=Expected(exit=4, noise=True, ledger=False), APP_FAILS="1"
    )
    assert pool.wait() == 4
    assert not any(is_alive(line.pid) for line in home.trace.wait("attendant", 2))
