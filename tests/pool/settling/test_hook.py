"""--on-failure: a hook in a process of its own, before the message of a job that has failed is
settled.
"""

import os
import signal
from dataclasses import replace
from typing import Any

import pytest

from tests.pool.settling.test_outcomes import APP, LOUD, fates
from tests.support.pool import Home, StartPool
from tests.support.processes import is_alive
from tests.support.proxy import FaultProxy
from tests.support.servers import EMPTY, LiveQueue, Server
from tests.support.witness import Witness

HOOK = ("--on-failure", "endings:told", "--transformer", "endings:split")


def told(home: Home, message_id: str) -> list[Any]:
    """What the hook has been told of a message."""
    return [line.detail for line in home.trace.lines("told") if line.message_id == message_id]


@pytest.mark.parametrize("load", ["--preload", "--no-preload"])
def test_what_it_is_told(start: StartPool, home: Home, queue: LiveQueue, load: str) -> None:
    """Of an exception, an exit status, a death by a signal, a time-out; not of a retry, nor of a
    success.
    """
    home.gate("never")
    failed, left, dead, late, again, good = queue.send(
        "fail x", "end 3", "die SEGV", "hold never", "retry 600", "task"
    )
    options = (load, "--job-timeout", "2", "--retry-delay", "600")
    pool = start(*HOOK, *options, app=APP, workers=6, expected=LOUD)
    pool.wait_event("message.released", count=5)
    pool.wait_event("message.deleted", message_id=good)
    for message_id, outcome, exit_, error in [
        (failed, "failed", [1, None], ["ValueError", "x", "fail"]),
        (left, "failed", [3, None], ["", "", ""]),
        (dead, "signalled", [None, signal.SIGSEGV], ["", "", ""]),
        (late, "timed_out", [None, signal.SIGTERM], ["", "", ""]),
    ]:
        (seen,) = told(home, message_id)
        assert (seen["outcome"], seen["exit"], seen["error"]) == (outcome, exit_, error)
        assert seen["traceback"] == (["ValueError: x"] if message_id == failed else [])
        assert seen["attempts"] == [1, False]
        assert seen["measured"]
        assert seen["current"]
        assert seen["job"] == ["gone"]
    assert not told(home, again)
    assert not told(home, good)


def test_a_reject_is_told_where_there_is_no_dead_letter_queue(
    start: StartPool, home: Home, ministack_server: Server
) -> None:
    queue = LiveQueue.fresh(ministack_server, limit=None)
    (message_id,) = queue.send("reject why")
    pool = start(*HOOK, "--delete-failed", app=APP, workers=1, queue=queue, expected=LOUD)
    pool.wait_event("message.deleted")
    (seen,) = told(home, message_id)
    assert (seen["outcome"], seen["exit"], seen["attempts"]) == ("rejected", [65, None], [1, False])


def test_it_comes_after_the_exit_handler_and_before_the_settlement(
    start: StartPool, home: Home, queue: LiveQueue, proxy: FaultProxy
) -> None:
    """The lease is kept meanwhile."""
    witness = Witness(proxy, home.trace)
    gate = home.gate("g")
    (message_id,) = queue.send("die SEGV :: gate g")
    options = (
        "--exit-handler",
        "endings:plain_handler",
        "--retry-delay",
        "600",
        "--visibility-timeout",
        "2",
    )
    pool = start(*HOOK, *options, app=APP, workers=1, endpoint=proxy.endpoint, expected=LOUD)
    home.trace.wait("told")
    assert len(home.trace.lines("handler")) == 1
    pool.wait_event("lease.extended", count=len(pool.events("lease.extended")) + 2)
    assert not pool.events("message.released")
    gate.open()
    pool.wait_event("message.released", message_id=message_id)
    assert not witness.broken


def test_each_way_it_can_end(
    start: StartPool, home: Home, queue: LiveQueue, proxy: FaultProxy
) -> None:
    """None of them changes what becomes of the message; what it leaves is gone before that."""
    witness = Witness(proxy, home.trace)
    ids = queue.send("fail x :: fine", "fail x :: raise", "fail x :: hang", "fail x :: leave")
    options = ("--exit-timeout", "1.5", "--delete-failed")
    pool = start(*HOOK, *options, app=APP, workers=4, endpoint=proxy.endpoint, expected=LOUD)
    pool.expected = replace(LOUD, kills=LOUD.kills | {"hook.failed"})
    pool.wait_event("message.deleted", count=4)
    assert fates(pool, ids) == [[("deleted", 0)]] * 4
    assert len(pool.events("hook.started")) == 4
    assert {event["message_id"] for event in pool.events("hook.ended")} == {ids[0], ids[3]}
    (raised,) = pool.events("hook.failed", message_id=ids[1])
    assert (raised["exit"], raised["error_type"]) == ("exit 1", "ValueError")
    (hung,) = pool.events("hook.failed", message_id=ids[2])
    assert hung["exit"] == "SIGKILL, longer than 1.5 s"
    assert all(len(told(home, message_id)) == 1 for message_id in ids)
    assert not any(is_alive(line.pid) for line in home.trace.lines())
    assert not witness.broken
    assert queue.depth() == EMPTY


def test_it_may_be_async_and_what_cannot_be_called_is_refused(
    start: StartPool, home: Home, queue: LiveQueue
) -> None:
    (message_id,) = queue.send("fail x")
    pool = start(
        "--on-failure", "endings:told_later", "--delete-failed", app=APP, workers=1, expected=LOUD
    )
    pool.wait_event("message.deleted", message_id=message_id)
    assert [line.message_id for line in home.trace.lines("told")] == [message_id]
    options = ("--name", "another", "--on-failure", "endings:split_off")
    refused = start(*options, app=APP, workers=1, expected=replace(LOUD, exit=4, ledger=False))
    assert refused.wait() == 4


def test_a_drain_lets_it_finish(start: StartPool, home: Home, queue: LiveQueue) -> None:
    gate = home.gate("g")
    (message_id,) = queue.send("fail x :: gate g")
    pool = start(
        *HOOK, "--delete-failed", "--drain-timeout", "0", app=APP, workers=1, expected=LOUD
    )
    home.trace.wait("told")
    pool.drain()
    gate.open()
    assert pool.wait() == 0
    assert home.trace.bodies("listened") == ["fail x :: gate g"]
    assert fates(pool, [message_id]) == [[("deleted", 0)]]


def test_a_dispatcher_that_dies_over_it_leaves_the_message_as_failed(
    start: StartPool, home: Home, queue: LiveQueue, proxy: FaultProxy
) -> None:
    """Its job has ended, and that is on the record."""
    witness = Witness(proxy, home.trace)
    queue.send("end 3 :: hang")
    pool = start(*HOOK, app=APP, workers=1, endpoint=proxy.endpoint, expected=LOUD)
    pool.expected = replace(LOUD, kills=LOUD.kills | {"dispatcher.died"})
    home.trace.wait("told")
    os.kill(pool.dispatcher(0), signal.SIGKILL)
    pool.wait_event("message.left", why="its dispatcher died")
    pool.terminate()
    assert pool.wait() == 0
    assert not any(is_alive(line.pid) for line in home.trace.lines())
    assert not witness.broken
