"""--batch-size: several messages of one receive, one after another in one dispatcher."""

import json
import os
import signal
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from tests.support.eventually import eventually
from tests.support.gates import Gate
from tests.support.pool import QUIET, Expected, Home, Pool, StartPool, run_fleet
from tests.support.proxy import FaultProxy
from tests.support.servers import EMPTY, Depth, LiveQueue, Server
from tests.support.witness import Witness

BATCH = ("--batch-size", "10", "--depth-interval", "0.2")
Begin = Callable[..., tuple[Pool, list[Gate]]]


def depth(home: Home) -> Any:
    """What the pool's last sample of the queue said."""
    return json.loads(run_fleet(home, "status", "--json").output)["depth"]


@pytest.fixture
def begin(start: StartPool, home: Home, queue: LiveQueue, proxy: FaultProxy) -> Begin:
    """A function that starts a pool whose dispatchers are all held, and that knows of `bodies` in
    the queue.

    What each takes when its gate is opened is its share of them.
    """

    def begin(
        *bodies: str,
        options: tuple[str, ...] = (),
        workers: int = 1,
        queue: LiveQueue = queue,
        app: str = "jobs:job",
        expected: Expected = QUIET,
    ) -> tuple[Pool, list[Gate]]:
        pool = start(
            *BATCH,
            *options,
            app=app,
            workers=workers,
            queue=queue,
            endpoint=proxy.endpoint,
            expected=expected,
        )
        gates = []
        for number in range(workers):
            gates.append(home.gate(f"first-{number}"))
            send(queue, [f"hold first-{number}"], "first")
            home.trace.wait("started", number + 1)
        send(queue, bodies, "group")
        eventually(
            lambda: depth(home)["visible"] == len(bodies), what="the pool knows how many there are"
        )
        return pool, gates

    return begin


def asks(proxy: FaultProxy) -> list[int]:
    """How many messages were asked for, receive by receive."""
    return [each.request["MaxNumberOfMessages"] for each in proxy.journal("ReceiveMessage")]


def send(queue: LiveQueue, bodies: Sequence[str], group: str) -> list[str]:
    """Each on its own, so that their order is known; return their ids."""
    fifo = queue.name.endswith(".fifo")
    if not fifo:
        return [queue.send_one(body) for body in bodies]
    return [
        queue.send_one(body, MessageGroupId=group, MessageDeduplicationId=body) for body in bodies
    ]


def test_one_receive_brings_several_and_each_has_its_own_process(
    begin: Begin, home: Home, queue: LiveQueue, proxy: FaultProxy
) -> None:
    bodies = [f"task {number}" for number in range(9)]
    pool, (gate,) = begin(*bodies)
    before = len(asks(proxy))
    gate.open()
    pool.wait_event("message.deleted", count=10)
    assert asks(proxy)[before] == 9
    done = [line for line in home.trace.lines("done") if line.body in bodies]
    assert sorted(line.body for line in done) == bodies
    assert len({line.pid for line in done}) == 9
    order = [
        event["event"]
        for event in pool.events()
        if event["event"] in ("job.started", "message.deleted")
    ]
    assert order == ["job.started", "message.deleted"] * 10, "one after another"
    assert queue.depth() == EMPTY


def test_a_shallow_queue_is_spread_over_all(begin: Begin, home: Home, proxy: FaultProxy) -> None:
    """Eight messages for four: nobody asks for more than two, though ten would be allowed."""
    pool, gates = begin(*(f"task {number}" for number in range(8)), workers=4)
    before = len(asks(proxy))
    for gate in gates:
        gate.open()
    pool.wait_event("message.deleted", count=12)
    assert max(asks(proxy)[before:]) == 2
    assert len(home.trace.lines("done")) == 12


def test_a_burst_between_two_samples_fills_batches(
    start: StartPool, home: Home, queue: LiveQueue, proxy: FaultProxy
) -> None:
    gate = home.gate("first")
    pool = start(
        "--batch-size", "10", "--depth-interval", "600", workers=1, endpoint=proxy.endpoint
    )
    queue.send("hold first")
    home.trace.wait("started")
    queue.send(*(f"task {number}" for number in range(16)))
    gate.open()
    pool.wait_event("message.deleted", count=17)
    assert [size for size in asks(proxy) if size > 1][:3] == [2, 4, 8]
    assert len(home.trace.lines("done")) == 17


def test_those_that_wait_keep_their_leases(begin: Begin, home: Home, queue: LiveQueue) -> None:
    pool, (gate,) = begin("hold second", "task 1", "task 2", options=("--visibility-timeout", "3"))
    second = home.gate("second")
    gate.open()
    home.trace.wait("started", 2)
    received = [event["message_id"] for event in pool.wait_event("message.received", count=4)]
    for message_id in received[1:]:
        pool.wait_event("lease.extended", count=4, message_id=message_id)
    assert queue.depth() == Depth(0, 3, 0)
    second.open()
    pool.wait_event("message.deleted", count=4)
    assert {line.attempt for line in home.trace.lines("started")} == {1}


@pytest.mark.slow
@pytest.mark.parametrize("how", ["TERM", "--max-seconds"])
def test_at_a_drain_those_that_wait_go_back_at_once(
    begin: Begin, home: Home, queue: LiveQueue, proxy: FaultProxy, how: str
) -> None:
    """While the job of the one before them still runs; and none of them is begun."""
    witness = Witness(proxy, home.trace)
    options = () if how == "TERM" else ("--max-seconds", "8")
    pool, (gate,) = begin("hold second", "task 1", "task 2", options=options)
    second = home.gate("second")
    gate.open()
    running = home.trace.wait("started", 2)[-1]
    if how == "TERM":
        pool.drain()
    released = pool.wait_event("message.released", count=2)
    assert all("too late" in event["why"] for event in released)
    assert not pool.events("message.deleted", message_id=running.message_id)
    second.open()
    assert pool.wait() == 0
    assert home.trace.bodies("done") == ["hold first-0", "hold second"]
    ledger = pool.ledger()
    assert (ledger["received"], ledger["deleted"], ledger["released"]) == (4, 2, 2)
    assert queue.depth() == Depth(2, 0, 0)
    assert not witness.broken


def test_those_that_wait_are_not_released_into_a_siblings_poll(
    begin: Begin, home: Home, queue: LiveQueue
) -> None:
    """It would swallow them, and cost them an attempt."""
    pool, gates = begin("hold second", "task 1", "task 2", workers=2, options=("--wait-time", "5"))
    second = home.gate("second")
    gates[0].open()  # takes its share, two of the three
    home.trace.wait("started", 3)
    pool.wait_event("message.received", count=4)
    gates[1].open()  # does what is left, and polls
    pool.wait_event("message.deleted", count=3)
    (waits,) = (
        each["message_id"]
        for each in pool.events("message.received")
        if not ended(pool, each["message_id"])
    )
    pool.drain()
    second.open()
    assert pool.wait() == 0
    assert len(pool.events("message.released", message_id=waits)) == 1
    assert len(pool.events("message.received", message_id=waits)) == 1
    assert queue.depth() == Depth(1, 0, 0)


def ended(pool: Pool, message_id: str) -> bool:
    """Whether a job has been started for the message."""
    return bool(pool.events("job.started", message_id=message_id))


def test_a_dispatchers_death_settles_all_of_them(
    begin: Begin, home: Home, queue: LiveQueue, proxy: FaultProxy
) -> None:
    """One was done already, one runs, two wait: the first stays deleted, the others are seen again
    at once.
    """
    witness = Witness(proxy, home.trace)
    kills = frozenset({"dispatcher.died"})
    pool, (gate,) = begin(
        "task 1", "hold second", "task 2", "task 3", expected=Expected(kills=kills)
    )
    second = home.gate("second")
    gate.open()
    pool.wait_event("job.started", count=3)
    os.kill(pool.dispatcher(0), signal.SIGKILL)
    released = pool.wait_event("message.released", count=3)
    assert {event["why"] for event in released} == {"its dispatcher died"}
    second.open()
    pool.wait_event("message.deleted", count=5)
    pool.terminate()
    assert pool.wait() == 0
    assert sorted(home.trace.bodies("done")) == [
        "hold first-0",
        "hold second",
        "task 1",
        "task 2",
        "task 3",
    ]
    ledger = pool.ledger()
    assert (ledger["received"], ledger["deleted"], ledger["released"]) == (8, 5, 3)
    assert queue.depth() == EMPTY
    assert not witness.broken


@pytest.mark.parametrize("how", ["drain", "the master's death"])
def test_a_message_on_its_last_attempt_is_run_also_in_a_drain(
    begin: Begin, home: Home, ministack_server: Server, how: str
) -> None:
    """To release it would be to dead-letter it unworked."""
    queue = LiveQueue.fresh(ministack_server, limit=2)
    pool, (gate,) = begin("hold second", "hold second", "hold second", queue=queue)
    second = home.gate("second")
    found = queue.server.client.receive_message(
        QueueUrl=queue.url, MaxNumberOfMessages=10, VisibilityTimeout=0
    )
    assert len(found["Messages"]) == 3
    eventually(lambda: depth(home)["visible"] == 3, what="the pool knows of three")
    gate.open()
    pool.wait_event("message.received", count=4)
    home.trace.wait("started", 2)
    if how == "drain":
        pool.drain()
    else:
        pool.kill_master()
    second.open(3)
    pool.wait_log_end()
    assert home.trace.bodies("done") == ["hold first-0"] + ["hold second"] * 3
    assert queue.depth() == queue.dead_depth() == EMPTY


def test_the_master_is_gone(begin: Begin, home: Home, queue: LiveQueue) -> None:
    """What runs is finished, what waits goes back."""
    pool, (gate,) = begin("hold second", "task 1", "task 2")
    second = home.gate("second")
    gate.open()
    home.trace.wait("started", 2)
    pool.kill_master()
    pool.wait_event("message.released", count=2)
    second.open()
    pool.wait_event("message.deleted", count=2)
    home.wait_empty()
    assert home.trace.bodies("done") == ["hold first-0", "hold second"]
    eventually(lambda: queue.depth() == Depth(2, 0, 0), what="the two are seen again")


def test_on_a_fifo_queue_nothing_overtakes(
    begin: Begin, home: Home, ministack_server: Server
) -> None:
    """After a failure the later messages of its group go back unworked; other groups go on."""
    queue = LiveQueue.fresh(ministack_server, fifo=True)
    pool, (gate,) = begin(
        options=("--retry-delay", "1"),
        queue=queue,
        app="endings:job",
        expected=Expected(noise=True),
    )
    group = ["attempts fail x/task", "a 2", "a 3"]
    ids = send(queue, group, "a")
    (other,) = send(queue, ["b 1"], "b")
    eventually(lambda: depth(home)["visible"] == 4, what="the pool knows of four")
    gate.open()
    pool.wait_event("message.deleted", count=5)
    for message_id in ids[1:]:
        fate = [event["event"] for event in pool.events(message_id=message_id)]
        assert fate[:2] == ["message.received", "message.released"], "it went back unworked"
        assert "group" in pool.events("message.released", message_id=message_id)[0]["why"]
    assert not pool.events("message.released", message_id=other)
    assert [body for body in home.trace.bodies("done") if body in group] == group


def test_no_more_than_max_jobs_are_taken(start: StartPool, home: Home, queue: LiveQueue) -> None:
    queue.send(*(f"task {number}" for number in range(30)))
    pool = start(*BATCH, "--max-jobs", "13", workers=2)
    assert pool.wait() == 0
    assert (pool.ledger()["received"], len(home.trace.lines("done"))) == (13, 13)
    assert queue.depth() == Depth(17, 0, 0)


def test_many_through_a_few(start: StartPool, home: Home, queue: LiveQueue) -> None:
    bodies = [f"task {number}" for number in range(200)]
    queue.send(*bodies)
    pool = start(*BATCH, "--until-empty", "--empty-for", "1", workers=3)
    assert pool.wait(90) == 0
    assert sorted(home.trace.bodies("done")) == sorted(bodies)
    assert (pool.ledger()["received"], pool.ledger()["deleted"]) == (200, 200)
    assert queue.depth() == queue.dead_depth() == EMPTY


def test_where_there_is_one_attempt_batches_are_refused(
    home: Home, ministack_server: Server
) -> None:
    queue = LiveQueue.fresh(ministack_server, limit=1)
    where = ("--queue", queue.name, "--endpoint-url", queue.server.endpoint)
    ended = run_fleet(home, "start", *where, "--batch-size", "2", "jobs:job")
    assert ended.status == 2
    assert "--batch-size 2" in ended.error_line
    assert "maxReceiveCount" in ended.error_line
    assert queue.name in ended.error_line


@pytest.mark.parametrize("size", ["0", "11", "1.5", "many"])
def test_a_size_that_cannot_be(home: Home, size: str) -> None:
    ended = run_fleet(home, "start", "-q", "jobs", "--batch-size", size, "jobs:job")
    assert ended.status == 2
    assert "--batch-size" in ended.error_line
    assert "1 to 10" in ended.error_line
