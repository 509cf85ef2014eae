"""FIFO queues: what a dead dispatcher's poll has taken is asked for again, by its call's id."""

import os
import signal
from collections import Counter

import pytest

from tests.support.pool import Expected, Home, Pool, StartPool
from tests.support.proxy import FaultProxy
from tests.support.servers import EMPTY, LiveQueue, Server

KILLED = Expected(kills=frozenset({"dispatcher.died"}))
UNHEARD = Expected(kills=KILLED.kills, unheard=1)
WHY = "its dispatcher died while receiving it"


@pytest.fixture
def fifo(ministack_server: Server) -> LiveQueue:
    """A FIFO queue."""
    return LiveQueue.fresh(ministack_server, fifo=True)


def send(queue: LiveQueue, body: str, group: str = "blue") -> str:
    """One message."""
    return queue.send_one(body, MessageGroupId=group, MessageDeduplicationId=body.replace(" ", "-"))


def asked(proxy: FaultProxy) -> list[str]:
    """The ids of the receive calls so far, in the order of asking."""
    return [
        each.request.get("ReceiveRequestAttemptId", "") for each in proxy.journal("ReceiveMessage")
    ]


def kill_when_halted(home: Home, pool: Pool) -> None:
    (line,) = home.trace.wait("halted")
    os.kill(line.pid, signal.SIGKILL)
    pool.wait_event("dispatcher.died", pid=line.pid)


def test_what_a_poll_took_with_it_comes_back(
    start: StartPool, home: Home, fifo: LiveQueue, proxy: FaultProxy
) -> None:
    """Long before the lease ends; the messages of its group stay in their order, and the ledger
    balances.
    """
    first, second = send(fifo, "after the answer :: task"), send(fifo, "none :: task")
    options = ("--visibility-timeout", "60")
    pool = start(
        *options,
        app="halting:job",
        workers=1,
        queue=fifo,
        endpoint=proxy.endpoint,
        expected=UNHEARD,
    )
    kill_when_halted(home, pool)
    pool.wait_event("message.released", message_id=first, attempt=1, why=WHY)
    pool.wait_event("message.deleted", message_id=first, attempt=2)
    pool.wait_event("message.deleted", message_id=second, attempt=1)
    assert [line.message_id for line in home.trace.lines("done")] == [first, second]
    ids = asked(proxy)
    assert all(ids)
    assert [name for name, times in Counter(ids).items() if times > 1] == ids[:1], (
        "every other call has its own"
    )
    assert ids.count(ids[0]) == 2
    pool.terminate()
    assert pool.wait() == 0
    ledger = pool.ledger()
    assert [ledger[name] for name in ("received", "deleted", "released", "left")] == [3, 2, 1, 0]


def test_a_drain_waits_for_it(
    start: StartPool, home: Home, fifo: LiveQueue, proxy: FaultProxy
) -> None:
    message_id = send(fifo, "after the answer :: task")
    options = ("--visibility-timeout", "60", "--wait-time", "2")
    pool = start(
        *options,
        app="halting:job",
        workers=1,
        queue=fifo,
        endpoint=proxy.endpoint,
        expected=UNHEARD,
    )
    kill_when_halted(home, pool)
    pool.terminate()
    assert pool.wait() == 0
    assert pool.events("message.released", message_id=message_id, why=WHY)
    assert pool.ledger()["released"] == 1
    fifo.wait_depth(visible=1)


def test_a_poll_that_took_nothing_counts_nothing(
    start: StartPool, home: Home, fifo: LiveQueue, proxy: FaultProxy
) -> None:
    pool = start(
        "--visibility-timeout",
        "60",
        workers=1,
        queue=fifo,
        endpoint=proxy.endpoint,
        expected=KILLED,
    )
    pool.wait_ready(1)
    proxy.wait_open("ReceiveMessage")
    asked_by_the_dead = asked(proxy)[-1]
    os.kill(pool.dispatcher(0), signal.SIGKILL)
    pool.wait_event("dispatcher.died")
    proxy.wait_again(asked_by_the_dead)
    send(fifo, "task")
    pool.wait_event("message.deleted", attempt=1)
    pool.terminate()
    assert pool.wait() == 0
    assert pool.ledger()["received"] == 1
    assert home.trace.bodies("done") == ["task"]
    assert fifo.depth() == EMPTY


def test_a_call_on_a_standard_queue_has_no_id(
    start: StartPool, queue: LiveQueue, proxy: FaultProxy
) -> None:
    """SQS refuses it there."""
    queue.send("task")
    pool = start(workers=1, endpoint=proxy.endpoint, expected=KILLED)
    pool.wait_event("message.deleted")
    os.kill(pool.dispatcher(0), signal.SIGKILL)
    pool.wait_event("dispatcher.ready", count=2)
    queue.send("task")
    pool.wait_event("message.deleted", count=2)
    assert set(asked(proxy)) == {""}
