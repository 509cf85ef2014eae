"""The master is killed: what is in hand is finished and settled, and everybody leaves."""

import os
import signal
from dataclasses import replace

from tests.support.eventually import eventually
from tests.support.pool import QUIET, Home, StartPool
from tests.support.processes import is_stopped
from tests.support.proxy import FaultProxy
from tests.support.servers import EMPTY, LiveQueue


def test_with_a_working_job(start: StartPool, home: Home, queue: LiveQueue) -> None:
    gate = home.gate("g")
    queue.send("hold g")
    pool = start()
    pool.wait_ready(2)
    home.trace.wait("started")
    pool.kill_master()
    gate.open()
    home.wait_empty()
    assert home.trace.bodies("done") == ["hold g"]
    assert queue.depth() == EMPTY


def test_with_idle_dispatchers(start: StartPool, home: Home) -> None:
    pool = start(workers=4)
    pool.wait_ready(4)
    pool.kill_master()
    home.wait_empty()


def test_with_dispatchers_that_are_stopped(start: StartPool, home: Home, queue: LiveQueue) -> None:
    """Idle, polling, and at work: they wake up, settle what they have, and leave."""
    gate = home.gate("g")
    queue.send("hold g")
    pool = start("--visibility-timeout", "30", workers=3)
    pool.wait_ready(3)
    home.trace.wait("started")
    stopped = [pool.dispatcher(slot) for slot in range(3)]
    for pid in stopped:
        os.kill(pid, signal.SIGSTOP)
    eventually(lambda: all(is_stopped(pid) for pid in stopped), what="all are stopped")
    pool.kill_master()
    gate.open()
    home.wait_empty()
    assert home.trace.bodies("done") == ["hold g"]
    assert queue.depth() == EMPTY


def test_with_a_stopped_dispatcher_whose_job_does_not_finish(
    start: StartPool, home: Home, queue: LiveQueue
) -> None:
    home.gate("g")
    queue.send("hold g")
    pool = start("--drain-timeout", "0.5", workers=1)
    home.trace.wait("started")
    os.kill(pool.dispatcher(0), signal.SIGSTOP)
    eventually(lambda: is_stopped(pool.dispatcher(0)), what="it is stopped")
    pool.kill_master()
    home.wait_empty()
    queue.wait_depth(visible=1)


def test_while_the_app_is_imported(start: StartPool, home: Home) -> None:
    gate = home.gate("import")
    pool = start(app="slow:job")
    home.trace.wait("importing")
    pool.kill_master()
    gate.open()
    home.wait_empty()


def test_what_an_open_poll_still_brings_is_done(
    start: StartPool, home: Home, queue: LiveQueue, proxy: FaultProxy
) -> None:
    proxy.stall("ReceiveMessage")
    pool = start(endpoint=proxy.endpoint)
    pool.wait_ready(2)
    proxy.wait_open("ReceiveMessage")
    queue.send("late")
    queue.wait_depth(in_flight=1)
    pool.kill_master()
    proxy.release("ReceiveMessage")
    home.wait_empty()
    assert home.trace.bodies("done") == ["late"]
    assert queue.depth() == EMPTY


def test_a_job_that_does_not_finish_is_stopped_and_handed_back(
    start: StartPool, home: Home, queue: LiveQueue
) -> None:
    home.gate("g")
    queue.send("deaf g")
    stopped_hard = replace(QUIET, kills=frozenset({"job.stopped"}))
    pool = start("--drain-timeout", "0.5", "--exit-timeout", "0.5", expected=stopped_hard)
    home.trace.wait("deaf")
    pool.kill_master()
    home.wait_empty()
    queue.wait_depth(visible=1)
