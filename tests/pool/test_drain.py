"""SIGTERM: nothing new is taken, what runs is finished or handed back, and the books balance."""

import os
import signal

import pytest

from tests.support.eventually import eventually
from tests.support.pool import Expected, Home, Pool, StartPool
from tests.support.processes import is_alive
from tests.support.proxy import FaultProxy
from tests.support.servers import EMPTY, Depth, LiveQueue

RECEIVE = "ReceiveMessage"
CHANGE = "ChangeMessageVisibility"
STOPPED_HARD = Expected(kills=frozenset({"job.stopped"}))


def dispatchers(pool: Pool) -> int:
    return len(pool.titled("fleet: dispatcher"))


def settled(pool: Pool) -> dict[str, int]:
    names = ("deleted", "released", "dead_lettered", "left")
    return {name: pool.ledger()[name] for name in names if pool.ledger()[name]}


def polls_one_by_one(proxy: FaultProxy) -> bool:
    """Say whether the only open poll followed an empty one that was alone too."""
    polls = proxy.journal(RECEIVE)
    if len(polls) < 2:
        return False
    *others, last, now = polls
    if (
        last.answered is None
        or last.answered > now.asked
        or now.answered is not None
        or "Messages" in (last.answer or {})
    ):
        return False
    return all(other.answered is not None and other.answered < last.asked for other in others)


def check_releases_came_after_all_polls(proxy: FaultProxy) -> None:
    """The rule of the host: what is released while a poll is open is swallowed by it."""
    releases = [e.asked for e in proxy.journal(CHANGE) if e.request["VisibilityTimeout"] == 0]
    answers = [e.answered for e in proxy.journal(RECEIVE)]
    assert releases
    assert all(answer is not None and answer < min(releases) for answer in answers)


def test_idle_polling_and_working(
    start: StartPool, home: Home, queue: LiveQueue, proxy: FaultProxy
) -> None:
    gate = home.gate("g")
    pool = start(workers=4, endpoint=proxy.endpoint)
    pool.wait_ready(4)
    queue.send("hold g")
    home.trace.wait("started")
    eventually(lambda: polls_one_by_one(proxy), what="the pool is quiet again, with one poll")
    proxy.stall(RECEIVE)
    proxy.wait_held(RECEIVE)
    pool.terminate()
    eventually(
        lambda: dispatchers(pool) == 2,
        what="the idle have left, the poller and the worker are there",
    )
    proxy.release(RECEIVE)
    eventually(lambda: dispatchers(pool) == 1, what="the poller has left")
    assert pool.process.poll() is None
    gate.open()
    assert pool.wait() == 0
    assert home.trace.bodies("done") == ["hold g"]
    assert settled(pool) == {"deleted": 1}
    assert queue.depth() == EMPTY


def test_a_poll_whose_connection_was_cut_swallows_nothing_that_is_handed_back(
    start: StartPool, home: Home, queue: LiveQueue, proxy: FaultProxy
) -> None:
    """The server does not know of the cut: it serves the poll to its end."""
    home.gate("never")
    queue.send("hold never")
    options = ("--wait-time", "3", "--drain-timeout", "0")
    pool = start(*options, workers=2, endpoint=proxy.endpoint, expected=STOPPED_HARD)
    home.trace.wait("started")
    proxy.wait_open(RECEIVE)
    proxy.fail(RECEIVE, times=1000)  # no other poll is opened
    proxy.hang_up()
    pool.wait_event("poll.failed")
    pool.terminate()
    assert pool.wait() == 0
    assert settled(pool) == {"released": 1}
    assert queue.depth() == Depth(1, 0, 0)


def test_nothing_to_do(start: StartPool) -> None:
    pool = start(workers=4)
    pool.wait_ready(4)
    pool.terminate()
    assert pool.wait() == 0
    assert settled(pool) == {}


def test_a_message_that_an_open_poll_still_brings(
    start: StartPool, home: Home, queue: LiveQueue, proxy: FaultProxy
) -> None:
    proxy.stall(RECEIVE)
    pool = start(endpoint=proxy.endpoint)
    pool.wait_ready(2)
    proxy.wait_open(RECEIVE)
    queue.send("late")
    queue.wait_depth(in_flight=1)
    pool.drain()
    proxy.release(RECEIVE)
    assert pool.wait() == 0
    assert home.trace.lines() == []
    assert settled(pool) == {"released": 1}
    queue.wait_depth(visible=1)
    check_releases_came_after_all_polls(proxy)


def test_messages_of_several_open_polls_are_not_passed_round(
    start: StartPool, home: Home, queue: LiveQueue, proxy: FaultProxy
) -> None:
    """The first to come home waits for the last, and no poll of this host brings what it gives
    back.
    """
    pool = start(workers=4, endpoint=proxy.endpoint)
    pool.wait_ready(4)
    queue.send(*(f"task {number}" for number in range(100)))
    home.trace.wait("done", 20)
    proxy.stall(RECEIVE)
    proxy.wait_held(RECEIVE, 4)
    done = pool.events("message.deleted")
    pool.drain()
    proxy.release(RECEIVE, 1)
    eventually(lambda: "holding" in pool.slot_table(), what="the first has come home and waits")
    assert not pool.events("message.released")
    proxy.release(RECEIVE)
    assert pool.wait() == 0
    assert settled(pool) == {"deleted": len(done), "released": 4}
    received = [event["message_id"] for event in pool.events("message.received")]
    assert len(set(received)) == len(received)
    queue.wait_depth(visible=100 - len(done))
    check_releases_came_after_all_polls(proxy)


def test_a_last_attempt_that_an_open_poll_still_brings_is_run(
    start: StartPool, home: Home, queue: LiveQueue, proxy: FaultProxy
) -> None:
    """To release it would dead-letter it unworked."""
    queue.send("late")
    for _ in range(2):
        assert queue.server.client.receive_message(QueueUrl=queue.url, VisibilityTimeout=0)[
            "Messages"
        ]
    proxy.stall(RECEIVE)
    pool = start(endpoint=proxy.endpoint)
    proxy.wait_held(RECEIVE)
    pool.drain()
    proxy.release(RECEIVE)
    assert pool.wait() == 0
    assert [(line.body, line.attempt) for line in home.trace.lines("done")] == [("late", 3)]
    assert settled(pool) == {"deleted": 1}


@pytest.mark.parametrize("drain_timeout", ["0", "0.5"])
def test_a_job_that_does_not_finish_in_time(
    start: StartPool, home: Home, queue: LiveQueue, drain_timeout: str
) -> None:
    home.gate("g")
    queue.send("hold g")
    pool = start("--drain-timeout", drain_timeout)
    (line,) = home.trace.wait("started")
    pool.terminate()
    pool.wait_event("message.released")
    assert not is_alive(line.pid)
    assert pool.wait() == 0
    assert pool.events("job.stopped")
    assert settled(pool) == {"released": 1}
    queue.wait_depth(visible=1)


def test_a_job_that_ignores_sigterm_is_killed_before_its_message_is_visible(
    start: StartPool, home: Home, queue: LiveQueue
) -> None:
    home.gate("g")
    queue.send("deaf g")
    pool = start("--drain-timeout", "0", "--exit-timeout", "0.5", expected=STOPPED_HARD)
    (line,) = home.trace.wait("deaf")
    pool.terminate()
    pool.wait_event("message.released")
    assert not is_alive(line.pid)
    assert pool.wait() == 0
    assert settled(pool) == {"released": 1}
    queue.wait_depth(visible=1)


def test_a_job_that_finishes_when_it_is_asked_to_stop_has_succeeded(
    start: StartPool, home: Home, queue: LiveQueue
) -> None:
    home.gate("g")
    queue.send("tidy g")
    pool = start("--drain-timeout", "0")
    home.trace.wait("tidy")
    pool.terminate()
    assert pool.wait() == 0
    assert settled(pool) == {"deleted": 1}
    assert queue.depth() == EMPTY


def test_the_lease_is_kept_while_a_message_waits_for_its_release(
    start: StartPool, home: Home, queue: LiveQueue, proxy: FaultProxy
) -> None:
    home.gate("g")
    pool = start(
        "--drain-timeout", "0", "--visibility-timeout", "2", workers=2, endpoint=proxy.endpoint
    )
    pool.wait_ready(2)
    queue.send("hold g")
    home.trace.wait("started")
    proxy.stall(RECEIVE)
    proxy.wait_held(RECEIVE)
    pool.terminate()
    pool.wait_event("job.stopped")
    extended = len(pool.events("lease.extended"))
    pool.wait_event("lease.extended", count=extended + 2)
    assert not pool.events("message.released")
    proxy.release(RECEIVE)
    assert pool.wait() == 0
    assert settled(pool) == {"released": 1}
    check_releases_came_after_all_polls(proxy)


def test_to_the_whole_group(start: StartPool, home: Home, queue: LiveQueue) -> None:
    """As supervisors do that signal every process: the same as to the master alone."""
    gate = home.gate("g")
    queue.send("hold g")
    pool = start(workers=3)
    pool.wait_ready(3)
    home.trace.wait("started")
    pool.send_group(signal.SIGTERM)
    pool.wait_event("drain.started")
    gate.open()
    assert pool.wait() == 0
    assert settled(pool) == {"deleted": 1}


def test_to_one_dispatcher(start: StartPool, home: Home, queue: LiveQueue) -> None:
    """It finishes what it has and leaves; its slot is filled again."""
    gate = home.gate("g")
    queue.send("hold g")
    pool = start(workers=1)
    home.trace.wait("started")
    pid = pool.dispatcher(0)
    os.kill(pid, signal.SIGTERM)
    gate.open()
    pool.wait_event("message.deleted")
    pool.wait_event("dispatcher.ready", count=2, slot=0)
    assert not is_alive(pid)
    queue.send("task")
    pool.wait_event("message.deleted", count=2)
    assert not pool.events("dispatcher.died")


def test_another_at_the_very_end_changes_nothing(start: StartPool) -> None:
    """Supervisors repeat themselves; the exit status must not depend on when."""
    pool = start()
    pool.wait_ready(2)
    pool.terminate()
    pool.wait_event("master.stopped")
    for _ in range(20):
        pool.terminate()
    assert pool.wait() == 0


def test_under_load(start: StartPool, home: Home, queue: LiveQueue) -> None:
    bodies = [f"task {number}" for number in range(300)]
    queue.send(*bodies)
    pool = start(workers=4)
    home.trace.wait("done", 50)
    pool.terminate()
    assert pool.wait() == 0
    done = home.trace.bodies("done")
    assert len(set(done)) == len(done)
    assert pool.ledger()["deleted"] == len(done)
    assert pool.ledger()["left"] == 0
    queue.wait_depth(visible=len(bodies) - len(done))
