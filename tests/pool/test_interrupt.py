"""Ctrl-C in a terminal, which signals the whole group: drain, then stop jobs now, then kill."""

import signal
from dataclasses import replace
from datetime import datetime

from tests.support.eventually import let_pass
from tests.support.pool import QUIET, Home, Pool, StartPool
from tests.support.processes import is_alive
from tests.support.servers import LiveQueue

SAME_PRESS = 1.0
"""Seconds within which signals count as one."""


def press(pool: Pool, times: int = 1) -> None:
    for _ in range(times):
        pool.send_group(signal.SIGINT)


def test_once_drains(start: StartPool, home: Home, queue: LiveQueue) -> None:
    gate = home.gate("g")
    queue.send("hold g")
    pool = start()
    home.trace.wait("started")
    press(pool)
    pool.wait_event("drain.started")
    gate.open()
    assert pool.wait() == 0
    assert pool.ledger()["deleted"] == 1


def test_ten_within_a_second_are_one(start: StartPool, home: Home, queue: LiveQueue) -> None:
    gate = home.gate("g")
    queue.send("hold g")
    pool = start()
    home.trace.wait("started")
    press(pool)
    pool.wait_event("drain.started")  # so that the others do not merge with the first in the kernel
    press(pool, 9)
    pool.slot_table()  # later than the nine
    first, *others = (
        datetime.fromisoformat(event["time"]) for event in pool.events("drain.started")
    )
    assert all((other - first).total_seconds() > SAME_PRESS for other in others)
    gate.open()
    assert pool.wait() == 0
    assert others or pool.ledger()["deleted"] == 1


def test_a_second_stops_jobs_now(start: StartPool, home: Home, queue: LiveQueue) -> None:
    home.gate("g")
    queue.send("hold g")
    pool = start()
    (line,) = home.trace.wait("started")
    press(pool)
    pool.wait_event("drain.started")
    let_pass(SAME_PRESS * 1.1)
    assert is_alive(line.pid)
    press(pool)
    pool.wait_event("job.stopped")
    assert pool.wait() == 0
    assert pool.ledger()["released"] == 1
    queue.wait_depth(visible=1)


def test_quit_stops_jobs_at_once(start: StartPool, home: Home, queue: LiveQueue) -> None:
    home.gate("g")
    queue.send("hold g")
    pool = start()
    home.trace.wait("started")
    pool.send(signal.SIGQUIT)
    pool.wait_event("job.stopped")
    assert pool.wait() == 0
    assert pool.ledger()["released"] == 1
    queue.wait_depth(visible=1)


def test_a_third_kills(start: StartPool, home: Home, queue: LiveQueue) -> None:
    home.gate("g")
    queue.send("deaf g")
    pool = start(
        expected=replace(
            QUIET, exit=7, kills=frozenset({"job.stopped", "message.left", "dispatcher.died"})
        )
    )
    (line,) = home.trace.wait("deaf")
    for _ in range(2):
        press(pool)
        let_pass(SAME_PRESS * 1.1)
    assert is_alive(line.pid)
    press(pool)
    assert pool.wait() == 7
    assert not is_alive(line.pid)
    assert pool.ledger()["left"] == 1
    queue.wait_depth(in_flight=1)
