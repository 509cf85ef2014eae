"""Signals to the master that neither end it nor hurt."""

import signal

from tests.support.eventually import eventually
from tests.support.pool import Home, StartPool
from tests.support.servers import LiveQueue


def test_hangup_says_that_a_reload_is_not_available_yet(start: StartPool, queue: LiveQueue) -> None:
    pool = start()
    pool.wait_ready(2)
    pool.send(signal.SIGHUP)
    eventually(lambda: [event for event in pool.events() if "reload" in event["message"]])
    queue.send("task")
    pool.wait_event("message.deleted")


def test_one_worker_more_and_one_fewer(start: StartPool, home: Home, queue: LiveQueue) -> None:
    gate = home.gate("g")
    queue.send("hold g")
    pool = start(workers=1)
    home.trace.wait("started")
    pool.send(signal.SIGTTIN)
    pool.wait_event("pool.resized", **{"from": 1, "to": 2})
    pool.wait_event("dispatcher.ready", slot=1)
    pool.send(signal.SIGTTOU)
    pool.wait_event("pool.resized", **{"from": 2, "to": 1})
    eventually(lambda: len(pool.titled("fleet: dispatcher")) == 1)
    gate.open()
    pool.wait_event("message.deleted")
    assert home.trace.bodies("done") == ["hold g"]


def test_the_slot_table(start: StartPool, home: Home, queue: LiveQueue) -> None:
    gate = home.gate("g")
    (message_id,) = queue.send("hold g")
    pool = start(workers=2)
    (line,) = home.trace.wait("started")
    pool.wait_ready(2)
    rows = pool.slot_table().splitlines()
    assert [row.split()[:2] for row in rows] == [["slot", "0"], ["slot", "1"]]
    assert sum(message_id in row and str(line.pid) in row for row in rows) == 1
    gate.open()


def test_those_that_mean_nothing(start: StartPool, queue: LiveQueue) -> None:
    pool = start()
    pool.wait_ready(2)
    for number in (signal.SIGCHLD, signal.SIGPIPE, signal.SIGWINCH, signal.SIGCONT):
        pool.send(number)
    queue.send("task")
    pool.wait_event("message.deleted")
    assert not pool.events("dispatcher.died")
