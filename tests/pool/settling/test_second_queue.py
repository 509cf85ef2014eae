"""A dispatcher that is killed over the second of two queues: what is done for it is done there.

tests/apps/halting.py stops a dispatcher at the step that its message names; it is killed there.
"""

import os
import signal
from collections.abc import Callable

import pytest

from tests.pool.settling.test_dispatcher_death import WHY, kill_scout
from tests.pool.settling.test_fifo import WHY as WHY_POLL
from tests.pool.settling.test_fifo import kill_when_halted
from tests.support.eventually import eventually
from tests.support.pool import Event, Expected, Home, Launch, Pool
from tests.support.proxy import Exchange, FaultProxy
from tests.support.servers import LiveQueue, Server

KILLED = frozenset({"dispatcher.died", "helper.died"})
StartTwo = Callable[..., Pool]


@pytest.fixture
def low(ministack_server: Server) -> LiveQueue:
    """The second queue, which is FIFO; the first one is not."""
    return LiveQueue.fresh(ministack_server, fifo=True)


@pytest.fixture
def start_two(launch: Launch, proxy: FaultProxy, queue: LiveQueue, low: LiveQueue) -> StartTwo:
    """A function that starts a pool of one dispatcher on both queues, through the proxy."""

    def start(unheard: int = 0) -> Pool:
        return launch(
            *("start", "--endpoint-url", proxy.endpoint, "--queue", queue.name),
            *("--queue", low.name, "--workers", "1", "--wait-time", "1"),
            *("--visibility-timeout", "60", "--log-format", "json", "halting:job"),
            expected=Expected(kills=KILLED, unheard=unheard),
        )

    return start


def send(queue: LiveQueue, body: str) -> str:
    return queue.send_one(body, MessageGroupId="g", MessageDeduplicationId=body.replace(" ", "-"))


def ledger(pool: Pool, queue: LiveQueue) -> list[int]:
    """What was received from a queue, and what became of it; the pool ends for that."""
    pool.terminate()
    assert pool.wait() == 0
    pool.wait_log_end()
    event: Event
    (event,) = pool.events("drain.finished", queue=queue.name)
    return [event[name] for name in ("received", "deleted", "released", "left")]


@pytest.mark.parametrize("and_the_scout", [False, True])
def test_what_a_poll_took_with_it_is_asked_for_again_there(
    start_two: StartTwo, home: Home, low: LiveQueue, proxy: FaultProxy, and_the_scout: bool
) -> None:
    """Also by the scout after the one that was ordered to, and died over it."""
    message_id = send(low, "after the answer :: task")
    pool = start_two(unheard=1)
    home.trace.wait("halted")
    (brought,) = [each for each in proxy.journal("ReceiveMessage") if brings(each)]
    call_id = brought.request["ReceiveRequestAttemptId"]

    def repeats() -> list[Exchange]:
        calls = proxy.journal("ReceiveMessage")
        return [
            each
            for each in calls
            if each is not brought and each.request.get("ReceiveRequestAttemptId") == call_id
        ]

    if and_the_scout:
        proxy.stall("ReceiveMessage")
    kill_when_halted(home, pool)
    if and_the_scout:
        eventually(lambda: [each for each in repeats() if each.held], what="a repeat under way")
        kill_scout(pool)
        proxy.release("ReceiveMessage")
    pool.wait_event(
        "message.released", message_id=message_id, attempt=1, why=WHY_POLL, queue=low.name
    )
    pool.wait_event("message.deleted", message_id=message_id, attempt=2, queue=low.name)
    assert len(home.trace.lines("done")) == 1
    assert {each.request["QueueUrl"] for each in repeats()} == {brought.request["QueueUrl"]}
    assert len(repeats()) == 1 + and_the_scout
    assert ledger(pool, low) == [2, 1, 1, 0]
    low.wait_depth()


def brings(exchange: Exchange) -> bool:
    """Whether it was answered with a message."""
    return bool((exchange.answer or {}).get("Messages"))


def test_a_delete_is_asked_for_again_there_by_the_next_scout(
    start_two: StartTwo, home: Home, low: LiveQueue, proxy: FaultProxy
) -> None:
    """And what the scout logs of it says which queue it is about."""
    message_id = send(low, "before the delete :: task")
    proxy.stall("DeleteMessage")
    proxy.fail("DeleteMessage")
    proxy.cut("DeleteMessage")  # held, and never comes to the server
    pool = start_two()
    (line,) = home.trace.wait("halted")
    os.kill(line.pid, signal.SIGKILL)
    (failed,) = pool.wait_event("will.failed")
    assert (failed["queue"], failed["message_id"]) == (low.name, message_id)
    assert failed["message"].endswith(f" · queue {low.name}")
    proxy.wait_held("DeleteMessage")
    kill_scout(pool)
    proxy.release("DeleteMessage")
    pool.wait_event("message.deleted", message_id=message_id, why=WHY, queue=low.name)
    urls = [each.request["QueueUrl"] for each in proxy.journal("DeleteMessage")]
    assert (len(urls), len(set(urls))) == (3, 1)
    assert ledger(pool, low) == [1, 1, 0, 0]
    low.wait_depth()
