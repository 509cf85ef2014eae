"""Program A's way to stop a job: freeze, clean up, kill; and only then is the message anybody
else's.
"""

import os
import signal
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from fleet.core.config import SAME_SIGNAL
from tests.pool.settling.test_outcomes import APP, LOUD, fates
from tests.support.eventually import let_pass
from tests.support.gates import Line
from tests.support.pool import Home, Pool, StartPool
from tests.support.processes import is_alive
from tests.support.proxy import FaultProxy
from tests.support.servers import EMPTY, LiveQueue
from tests.support.witness import Witness

HANDLER = ("--transformer", "endings:split", "--exit-handler", "endings:handler")


@pytest.fixture
def pool_with_handler(start: StartPool, home: Home, proxy: FaultProxy) -> Callable[..., Pool]:
    home.gate("never")

    def start_it(*options: str, workers: int = 2) -> Pool:
        return start(
            *HANDLER, *options, app=APP, workers=workers, endpoint=proxy.endpoint, expected=LOUD
        )

    return start_it


def handled(home: Home, message_id: str) -> list[Any]:
    """What the handler's tries for a message have seen."""
    return [line.detail for line in home.trace.lines("handler") if line.message_id == message_id]


def test_it_runs_while_the_job_is_frozen(
    pool_with_handler: Callable[..., Pool], home: Home, queue: LiveQueue, proxy: FaultProxy
) -> None:
    """A drain: the job, a child of it in a session of its own, arguments, message; released when
    all are dead.
    """
    witness = Witness(proxy, home.trace)
    (message_id,) = queue.send("family never :: leave")
    pool = pool_with_handler("--drain-timeout", "0")
    home.trace.wait("family")
    pool.terminate()
    assert pool.wait() == 0
    (seen,) = handled(home, message_id)
    assert seen["id"] == message_id
    assert seen["farewell"] == "leave"
    assert seen["states"] == {"started": "T", "child": "T", "family": "T"}
    assert not any(is_alive(line.pid) for line in home.trace.lines()), "the job's, or the handler's"
    assert fates(pool, [message_id]) == [[("released", 0)]]
    assert home.trace.bodies("handled") == ["family never"]
    assert not home.trace.lines("done")
    assert f"ChangeMessageVisibility {message_id}" in witness.seen
    assert not witness.broken
    queue.wait_depth(visible=1)


def test_each_way_it_can_end(
    pool_with_handler: Callable[..., Pool], home: Home, queue: LiveQueue, proxy: FaultProxy
) -> None:
    """After --job-timeout: done, raised, timed out once, timed out twice."""
    witness = Witness(proxy, home.trace)
    ids = queue.send(
        "family never :: fine",
        "hold never :: raise",
        "hold never :: hang 1",
        "family never :: hang",
    )
    options = ("--job-timeout", "1", "--exit-timeout", "1.5", "--retry-delay", "600")
    pool = pool_with_handler(*options, workers=4)
    pool.wait_event("message.dead_lettered")
    pool.wait_event("message.released", count=2)
    (left,) = pool.wait_event("message.left")
    assert fates(pool, ids)[1] == [("left", 0)], "what one that raised leaves to the lease"
    assert left["message_id"] == ids[1]
    assert "handler" in left["why"]
    for fine in (ids[0], ids[2]):
        ((how, delay),) = fates(pool, [fine])[0]
        assert how == "released"
        assert 540 <= delay <= 660
    assert fates(pool, [ids[3]]) == [[("dead_lettered", 0)]]
    assert [len(handled(home, message_id)) for message_id in ids] == [1, 1, 2, 2]
    again = handled(home, ids[2])
    assert [seen["states"]["started"] for seen in again] == ["T", "gone"], (
        "killed with the handler that hung"
    )
    assert len(pool.events("handler.started")) == 6
    (failed,) = pool.events("handler.failed", message_id=ids[1])
    assert (failed["error_type"], failed["error"]) == ("ValueError", "the clean-up failed")
    assert len(pool.events("job.timed_out")) == 4
    assert queue.dead_bodies() == ["family never :: hang"]
    assert not any(is_alive(line.pid) for line in home.trace.lines())
    assert not witness.broken
    pool.terminate()
    assert pool.wait() == 0


def test_a_death_is_cleaned_up_after(
    pool_with_handler: Callable[..., Pool], home: Home, queue: LiveQueue
) -> None:
    """By a signal of its own; a job that failed by itself has had its own chance to clean up."""
    dead, failed = queue.send("die SEGV :: fine", "end 3")
    pool = pool_with_handler("--retry-delay", "600")
    pool.wait_event("message.released", count=2)
    (seen,) = handled(home, dead)
    assert seen["states"] == {"started": "gone"}
    assert not handled(home, failed)
    assert pool.events("job.signalled")[0]["stopped_by"] is None


def test_one_that_had_finished_when_the_stop_came_is_finished(
    start: StartPool, home: Home, queue: LiveQueue
) -> None:
    """Its dispatcher is stopped over both, the end and the order to stop; program A surrendered
    such work.
    """
    home.gate("never")
    gate = home.gate("g")
    queue.send("hold g")
    pool = start(*HANDLER, "--drain-timeout", "0", app=APP, workers=1, expected=LOUD)
    (line,) = home.trace.wait("started")
    dispatcher = pool.dispatcher(0)
    os.kill(dispatcher, signal.SIGSTOP)
    gate.open()
    home.trace.wait("done")
    pool.drain()
    os.kill(dispatcher, signal.SIGCONT)
    assert pool.wait() == 0
    assert pool.ledger()["deleted"] == 1
    assert not home.trace.lines("handler")
    assert not is_alive(line.pid)
    assert queue.depth() == EMPTY


def test_an_idle_pool_runs_none(
    pool_with_handler: Callable[..., Pool], home: Home, queue: LiveQueue
) -> None:
    """Program A ran the last job's handler once more when TERM came to an idle dispatcher."""
    queue.send("die SEGV :: fine")
    pool = pool_with_handler("--retry-delay", "600", workers=1)
    pool.wait_event("message.released")
    pool.terminate()
    assert pool.wait() == 0
    assert len(home.trace.lines("handler")) == 1


@pytest.mark.parametrize("failing", ["cut", "refused"])
def test_errors_of_sqs_meanwhile_leave_no_orphan(
    pool_with_handler: Callable[..., Pool],
    home: Home,
    queue: LiveQueue,
    proxy: FaultProxy,
    failing: str,
) -> None:
    """Every call of the exit sequence fails once: what must be known, the dead letter, the delete
    after it.
    """
    (message_id,) = queue.send("family never :: hang")
    # Together they take longer than a lease.
    times = (
        "--visibility-timeout",
        "4",
        "--job-timeout",
        "1.5",
        "--exit-timeout",
        "1.5",
        "-v",
    )
    pool = pool_with_handler(*times, workers=1)
    home.trace.wait("handler")
    for action in ("ChangeMessageVisibility", "GetQueueUrl", "SendMessage", "DeleteMessage"):
        if failing == "cut":
            proxy.cut(action)
        else:
            proxy.fail(action)
    pool.wait_event("message.dead_lettered")
    assert fates(pool, [message_id]) == [[("dead_lettered", 0)]]
    assert len(pool.events("message.unsettled")) >= 3
    assert not any(is_alive(line.pid) for line in home.trace.lines())
    assert queue.dead_bodies() == ["family never :: hang"]
    assert queue.depth() == EMPTY


@pytest.mark.parametrize("load", ["--preload", "--no-preload"])
def test_what_it_is_called_with(start: StartPool, home: Home, queue: LiveQueue, load: str) -> None:
    """A router's job: its arguments by position and by name, and the message as `message`."""
    home.gate("never")
    call = (
        '{"_job": "wait_for", "_exit_handler": "plain_handler",'
        ' "_job_args": ["never"], "named": "n"}'
    )
    (message_id,) = queue.send(call)
    pool = start(
        load, "--router", "endings:route", "--drain-timeout", "0", app=APP, workers=1, expected=LOUD
    )
    home.trace.wait("started")
    pool.terminate()
    assert pool.wait() == 0
    (line,) = home.trace.lines("handler")
    assert line.detail == [["never"], {"named": "n", "message": message_id}]
    assert pool.ledger()["released"] == 1


def test_it_is_not_asked_where_there_is_none(
    start: StartPool, home: Home, queue: LiveQueue
) -> None:
    """SIGTERM, the exit time-out, SIGKILL."""
    home.gate("never")
    gentle, deaf = queue.send("last-words never", "deaf never")
    pool = start(
        "--job-timeout", "1", "--exit-timeout", "1", "--retry-delay", "600", app=APP, expected=LOUD
    )
    pool.wait_event("message.released", count=2)
    assert home.trace.bodies("terminated") == ["last-words"]
    for message_id in (gentle, deaf):
        (ended,) = pool.events("job.timed_out", message_id=message_id)
        assert ended["exit"] == "SIGKILL"
        assert ended["duration"] > 1.5, "both time-outs; the first counts from just before the fork"
    lines: list[Line] = home.trace.lines()
    assert not any(is_alive(line.pid) for line in lines)


def test_a_routed_job_without_one_is_asked(start: StartPool, home: Home, queue: LiveQueue) -> None:
    """SIGTERM, as for any job that has no exit handler."""
    (message_id,) = queue.send('{"_job": "finish_at_term", "_job_args": ["0"]}')
    pool = start(
        "--router", "endings:route", "--drain-timeout", "0", app=APP, workers=1, expected=LOUD
    )
    home.trace.wait("waiting")
    pool.terminate()
    assert pool.wait() == 0
    assert fates(pool, [message_id]) == [[("deleted", 0)]]


def test_a_second_signal_over_it_lets_it_finish(
    pool_with_handler: Callable[..., Pool], home: Home, queue: LiveQueue, proxy: FaultProxy
) -> None:
    """It means: stop the jobs now; this one is being stopped, and cleaned up after."""
    witness = Witness(proxy, home.trace)
    gate = home.gate("g")
    (message_id,) = queue.send("family never :: gate g")
    pool = pool_with_handler("--drain-timeout", "0", workers=1)
    home.trace.wait("family")
    pool.terminate()
    (line,) = home.trace.wait("handler")
    let_pass(SAME_SIGNAL * 1.1)
    pool.terminate()
    pool.wait_event("drain.started", count=2)
    assert is_alive(line.pid)
    gate.open()
    assert pool.wait() == 0
    assert home.trace.bodies("handled") == ["family never"]
    assert fates(pool, [message_id]) == [[("released", 0)]]
    assert not witness.broken


def test_a_third_signal_over_it_kills_all(
    pool_with_handler: Callable[..., Pool], home: Home, queue: LiveQueue, proxy: FaultProxy
) -> None:
    """Job, handler and what they have left; the message waits for its lease."""
    witness = Witness(proxy, home.trace)
    queue.send("attempts family never/orphan :: hang")
    pool = pool_with_handler("--drain-timeout", "0", workers=1)
    pool.expected = replace(LOUD, exit=7, kills=LOUD.kills | {"dispatcher.died", "message.left"})
    home.trace.wait("family")
    for times in (1, 2):
        pool.terminate()
        pool.wait_event("drain.started", count=times)
        home.trace.wait("handler")
        let_pass(SAME_SIGNAL * 1.1)
    pool.terminate()
    assert pool.wait() == 7
    assert not any(is_alive(line.pid) for line in home.trace.lines())
    assert len(home.trace.lines("handler")) == 1
    assert pool.ledger()["left"] == 1
    assert not pool.events("message.released")
    queue.wait_depth(in_flight=1)
    assert not witness.broken


def test_a_dispatcher_that_dies_over_it_leaves_nothing(
    pool_with_handler: Callable[..., Pool], home: Home, queue: LiveQueue, proxy: FaultProxy
) -> None:
    """Frozen job, its child in another session, one that was double-forked, the handler and what
    that has left.
    """
    witness = Witness(proxy, home.trace)
    (message_id,) = queue.send("attempts family never/orphan :: hang 1")
    pool = pool_with_handler("--visibility-timeout", "20", "--job-timeout", "1", workers=1)
    pool.expected = replace(LOUD, kills=LOUD.kills | {"dispatcher.died"})
    home.trace.wait("handler")
    os.kill(pool.dispatcher(0), signal.SIGKILL)
    pool.wait_event("message.released", message_id=message_id, why="its dispatcher died")
    pool.wait_event("message.deleted", message_id=message_id, attempt=2)
    assert not witness.broken
    assert not any(is_alive(line.pid) for line in home.trace.lines())


def test_a_master_that_dies_over_it_changes_nothing(
    pool_with_handler: Callable[..., Pool], home: Home, queue: LiveQueue, proxy: FaultProxy
) -> None:
    witness = Witness(proxy, home.trace)
    queue.send("family never :: hang 1")
    pool = pool_with_handler(
        "--job-timeout", "1", "--exit-timeout", "1", "--retry-delay", "0", workers=1
    )
    home.trace.wait("handler")
    pool.kill_master()
    home.wait_empty()
    queue.wait_depth(visible=1)
    assert home.trace.bodies("handled") == ["family never"]
    assert not witness.broken
