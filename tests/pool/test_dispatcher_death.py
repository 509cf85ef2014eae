"""A dispatcher that dies costs a delay, never a message, and its slot is filled again."""

import os
import re
import signal
from dataclasses import replace

import pytest

from tests.support.eventually import eventually
from tests.support.pool import Expected, Home, StartPool
from tests.support.processes import is_alive
from tests.support.proxy import FaultProxy
from tests.support.servers import EMPTY, LiveQueue

HUNG = Expected(
    errors=frozenset({"dispatcher.hung"}), kills=frozenset({"dispatcher.died", "dispatcher.hung"})
)
KILLED = Expected(kills=frozenset({"dispatcher.died", "message.left"}))


def test_killed_in_mid_job(start: StartPool, home: Home, queue: LiveQueue) -> None:
    gate = home.gate("g")
    (message_id,) = queue.send("hold g")
    pool = start("--visibility-timeout", "2", expected=KILLED)
    pool.wait_ready(2)
    (first,) = home.trace.wait("started")
    slot = pool.wait_event("job.started")[0]["slot"]
    os.kill(pool.dispatcher(slot), signal.SIGKILL)
    pool.wait_event("dispatcher.died", slot=slot)
    assert not is_alive(first.pid), "the job outlived its dispatcher"
    pool.wait_event("dispatcher.ready", count=2, slot=slot)
    second = home.trace.wait("started", 2)[1]
    assert (second.message_id, second.attempt) == (message_id, 2)
    gate.open()
    pool.wait_event("message.deleted")
    assert [line.pid for line in home.trace.lines("done")] == [second.pid]
    pool.terminate()
    ledger = pool.ledger()
    assert (ledger["received"], ledger["deleted"]) == (2, 1)


def test_killed_in_mid_job_while_the_master_is_stopped(
    start: StartPool, home: Home, queue: LiveQueue
) -> None:
    """The job does not need the master to die with its dispatcher."""
    gate = home.gate("g")
    queue.send("hold g")
    pool = start("--visibility-timeout", "2", expected=KILLED)
    (first,) = home.trace.wait("started")
    slot = pool.wait_event("job.started")[0]["slot"]
    pool.send(signal.SIGSTOP)
    os.kill(pool.dispatcher(slot), signal.SIGKILL)
    eventually(lambda: not is_alive(first.pid), what="the job has gone")
    pool.send(signal.SIGCONT)
    gate.open()
    pool.wait_event("message.deleted")


def test_killed_while_it_polls(
    start: StartPool, home: Home, queue: LiveQueue, proxy: FaultProxy
) -> None:
    pool = start("--visibility-timeout", "2", endpoint=proxy.endpoint, workers=1, expected=KILLED)
    pool.wait_ready(1)
    proxy.wait_open("ReceiveMessage")
    os.kill(pool.dispatcher(0), signal.SIGKILL)
    pool.wait_event("dispatcher.ready", count=2, slot=0)
    queue.send("task")  # the dead poll may still swallow it, for one lease
    pool.wait_event("message.deleted")
    assert home.trace.bodies("done") == ["task"]


@pytest.mark.slow
def test_stopped_while_it_polls(start: StartPool, queue: LiveQueue, proxy: FaultProxy) -> None:
    """The only poller of the pool goes silent: another polls in its place, and it is replaced."""
    proxy.stall("ReceiveMessage")
    pool = start("--visibility-timeout", "2", endpoint=proxy.endpoint, expected=HUNG)
    pool.wait_ready(2)
    proxy.wait_open("ReceiveMessage")
    (stopped,) = map(int, re.findall(r"polling pid (\d+)", pool.slot_table()))
    os.kill(stopped, signal.SIGSTOP)
    proxy.release("ReceiveMessage")
    queue.send("task")
    pool.wait_event("message.deleted")
    pool.wait_event("dispatcher.died", pid=stopped)
    pool.wait_event("dispatcher.ready", count=3)
    assert queue.depth() == EMPTY


def test_stopped_with_the_master_until_its_lease_was_over(
    start: StartPool, home: Home, queue: LiveQueue
) -> None:
    """Only the master goes on."""
    gate = home.gate("g")
    queue.send("hold g")
    pool = start(
        "--visibility-timeout",
        "3",
        workers=1,
        expected=replace(HUNG, kills=HUNG.kills | KILLED.kills),
    )
    (first,) = home.trace.wait("started")
    stopped = pool.dispatcher(0)
    pool.send(signal.SIGSTOP)
    os.kill(stopped, signal.SIGSTOP)
    eventually(lambda: queue.depth().visible == 1, what="the lease is over")
    pool.send(signal.SIGCONT)
    pool.wait_event("dispatcher.died", pid=stopped)
    assert not is_alive(first.pid)
    gate.open()
    pool.wait_event("message.deleted", attempt=2)
    assert queue.depth() == EMPTY


def test_again_and_again_until_the_pool_gives_up(start: StartPool) -> None:
    told_by = KILLED.kills | {"drain.started", "master.stopped"}
    expected = replace(KILLED, exit=3, kills=told_by, noise=True)
    pool = start(workers=3, expected=expected)
    while pool.process.poll() is None:
        for event in pool.events("dispatcher.ready"):
            if is_alive(event["pid"]):
                os.kill(event["pid"], signal.SIGKILL)
        pool.wait_change()
    assert pool.wait() == 3
    assert "SIGKILL" in pool.refusal()


def test_every_dispatcher_at_once(start: StartPool, home: Home, queue: LiveQueue) -> None:
    gate = home.gate("g")
    queue.send(*["hold g"] * 3)
    pool = start("--visibility-timeout", "2", workers=3, expected=KILLED)
    pool.wait_ready(3)
    first = home.trace.wait("started", 3)
    for slot in range(3):
        os.kill(pool.dispatcher(slot), signal.SIGKILL)
    pool.wait_event("dispatcher.ready", count=6)
    assert not [line.pid for line in first if is_alive(line.pid)]
    home.trace.wait("started", 6)
    gate.open(3)
    pool.wait_event("message.deleted", count=3)
    assert queue.depth() == EMPTY
