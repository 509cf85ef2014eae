"""The lease of a message is kept as long as its job runs, and given up where it cannot be kept."""

import pytest

from tests.support.pool import Home, StartPool, both_transports
from tests.support.proxy import FaultProxy
from tests.support.servers import EMPTY, LiveQueue

EXTEND = "ChangeMessageVisibility"


@pytest.mark.slow
def test_a_job_longer_than_three_leases_is_delivered_once(
    start: StartPool, home: Home, queue: LiveQueue, proxy: FaultProxy
) -> None:
    gate = home.gate("g")
    queue.send("hold g")
    pool = start("--visibility-timeout", "2", endpoint=proxy.endpoint)
    proxy.wait_count(EXTEND, 10)  # one every third of the lease
    gate.open()
    pool.wait_event("message.deleted")
    assert {exchange.request["VisibilityTimeout"] for exchange in proxy.journal(EXTEND)} == {2}
    assert len(pool.events("lease.extended")) >= 9
    assert len(pool.events("message.received")) == 1
    assert len(home.trace.lines("started")) == 1
    assert queue.depth() == EMPTY


def test_a_poll_as_long_as_the_lease_is_not_made(start: StartPool, proxy: FaultProxy) -> None:
    """A lease counts from before the poll: a message that came at its end would be lost before its
    job began.
    """
    pool = start("--visibility-timeout", "4", "--wait-time", "10", endpoint=proxy.endpoint)
    proxy.wait_count("ReceiveMessage", 1)
    asked = proxy.journal("ReceiveMessage")[0].request
    assert (asked["WaitTimeSeconds"], asked["VisibilityTimeout"]) == (2, 4)
    assert any("--visibility-timeout 4" in event["why"] for event in pool.events("queue.warned"))


@both_transports
def test_an_extend_that_fails_is_tried_again(
    start: StartPool, home: Home, queue: LiveQueue, proxy: FaultProxy
) -> None:
    gate = home.gate("g")
    queue.send("hold g")
    proxy.fail(EXTEND)
    proxy.throttle(EXTEND)
    pool = start("--visibility-timeout", "3", endpoint=proxy.endpoint)
    pool.wait_event("lease.extended", count=3)
    gate.open()
    pool.wait_event("message.deleted")
    assert not pool.events("lease.lost")
    assert len(home.trace.lines("started")) == 1


def test_a_lost_lease_is_told_and_the_job_goes_on(
    start: StartPool, home: Home, queue: LiveQueue, proxy: FaultProxy
) -> None:
    gate = home.gate("g")
    queue.send("hold g")
    proxy.fail(EXTEND, times=1000)
    pool = start("--visibility-timeout", "2", endpoint=proxy.endpoint, workers=1)
    pool.wait_event("lease.lost")
    tried = proxy.count(EXTEND)
    gate.open()
    pool.wait_event("message.deleted")
    assert proxy.count(EXTEND) == tried, "a lease that may be another's was extended"
    assert queue.depth() == EMPTY


@both_transports
def test_a_delete_is_repeated_until_it_is_confirmed(
    start: StartPool, home: Home, queue: LiveQueue, proxy: FaultProxy
) -> None:
    queue.send("task")
    proxy.fail("DeleteMessage")
    proxy.throttle("DeleteMessage")
    proxy.cut("DeleteMessage")
    pool = start(endpoint=proxy.endpoint)
    pool.wait_event("message.deleted")
    assert home.trace.bodies("done") == ["task"]
    assert queue.depth() == EMPTY


@both_transports
def test_polls_that_fail_do_not_end_a_pool(
    start: StartPool, home: Home, queue: LiveQueue, proxy: FaultProxy
) -> None:
    pool = start(endpoint=proxy.endpoint)
    pool.wait_ready(2)
    proxy.fail("ReceiveMessage", times=2)
    proxy.cut("ReceiveMessage")
    failing = proxy.count("ReceiveMessage")
    proxy.wait_count("ReceiveMessage", failing + 4)
    queue.send("task")
    pool.wait_event("message.deleted")
    assert home.trace.bodies("done") == ["task"]


def test_a_look_up_that_hangs_costs_no_job(
    start: StartPool, home: Home, queue: LiveQueue, proxy: FaultProxy
) -> None:
    """The resolver knows no time-out of ours: its silence is an extend that failed, and not a
    dispatcher that hangs.
    """
    gate, outage = home.gate("g"), home.directory / "outage"
    (message_id,) = queue.send("hold g")
    named = proxy.endpoint.replace("127.0.0.1", "localhost")
    pool = start("--visibility-timeout", "9", "-v", app="nameless:job", endpoint=named, workers=1)
    pool.wait_event("job.started")
    outage.touch()
    pool.wait_event("lease.failed", count=2)
    outage.unlink()
    pool.wait_event("lease.extended")
    gate.open()
    pool.wait_event("message.deleted", message_id=message_id, attempt=1)
    assert not pool.events("dispatcher.hung")
    assert len(home.trace.lines("started")) == 1
