"""The master is killed: what is in hand is finished and settled, and everybody leaves."""

from dataclasses import replace

from tests.support.pool import QUIET, Home, StartPool
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


def test_a_job_that_does_not_finish_is_stopped_and_handed_back(start: StartPool, home: Home, queue: LiveQueue) -> None:
    home.gate("g")
    queue.send("deaf g")
    stopped_hard = replace(QUIET, kills=frozenset({"job.stopped"}))
    pool = start("--drain-timeout", "0.5", "--exit-timeout", "0.5", expected=stopped_hard)
    home.trace.wait("deaf")
    pool.kill_master()
    home.wait_empty()
    queue.wait_depth(visible=1)
