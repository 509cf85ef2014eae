"""Several queues in one pool, as its user sees them."""

from collections import Counter
from collections.abc import Sequence
from typing import Protocol
from uuid import uuid4

import pytest

from tests.support.control import status
from tests.support.eventually import eventually
from tests.support.pool import QUIET, Event, Expected, Home, Launch, Pool, run_fleet
from tests.support.proxy import Exchange, FaultProxy
from tests.support.servers import LiveQueue, Server

STOPPED = Expected(kills=frozenset({"job.timed_out"}))
GONE = Expected(exit=5, noise=True, ledger=False)
UNTIL_EMPTY = ("--until-empty", "--empty-for", "1")


class StartQueues(Protocol):
    """Starts a pool on several queues: their names, or each as `name=weight`."""

    def __call__(
        self,
        queues: Sequence[str],
        *options: str,
        workers: int = 2,
        endpoint: str | None = None,
        expected: Expected = QUIET,
        tables: str = "",
        app: str = "jobs:job",
    ) -> Pool: ...


@pytest.fixture
def high(ministack_server: Server) -> LiveQueue:
    """The first queue."""
    return LiveQueue(ministack_server, f"high-{uuid4().hex[:8]}")


@pytest.fixture
def low(ministack_server: Server) -> LiveQueue:
    """The second queue."""
    return LiveQueue(ministack_server, f"low-{uuid4().hex[:8]}")


@pytest.fixture
def start_queues(launch: Launch, home: Home, ministack_server: Server) -> StartQueues:
    """A function that starts a pool on several queues, directly or through a proxy."""

    def start(
        queues: Sequence[str],
        *options: str,
        workers: int = 2,
        endpoint: str | None = None,
        expected: Expected = QUIET,
        tables: str = "",
        app: str = "jobs:job",
    ) -> Pool:
        file = home.directory / "fleet.toml"
        file.write_text(tables)
        return launch(
            *("start", "--config", str(file), "--log-format", "json"),
            *(part for queue in queues for part in ("--queue", queue)),
            *("--endpoint-url", endpoint or ministack_server.endpoint, "--wait-time", "1"),
            *("--workers", str(workers), *options, *([app] if app else [])),
            expected=expected,
        )

    return start


def running_at_once(home: Home, prefix: str) -> int:
    """The most jobs of one kind that ran at the same time."""
    running = most = 0
    for line in home.trace.lines():
        if line.body.startswith(prefix):
            running += {"started": 1, "done": -1}[line.what]
            most = max(most, running)
    return most


def ledgers(pool: Pool) -> dict[str | None, Event]:
    """How the pool ended, by queue; None is the pool's own."""
    pool.ledger()
    return {event.get("queue"): event for event in pool.events("drain.finished")}


# Which queue is next.


def test_nothing_of_the_low_queue_is_begun_while_the_high_one_has_messages(
    start_queues: StartQueues, home: Home, high: LiveQueue, low: LiveQueue
) -> None:
    gate = home.gate("g")
    high.send("hold g")
    pool = start_queues([high.name, low.name], workers=1)
    home.trace.wait("started")
    low.send("low 1", "low 2")
    high.send("high 1", "high 2", "high 3")
    gate.open()
    pool.wait_event("message.deleted", count=6)
    assert [line.split()[0] for line in home.trace.bodies("started")] == [
        "hold",
        *["high"] * 3,
        *["low"] * 2,
    ]


def test_no_more_of_a_queue_run_than_its_limit(
    start_queues: StartQueues, home: Home, high: LiveQueue, low: LiveQueue
) -> None:
    """Though workers are free, which do what comes to the other queue."""
    gate = home.gate("g")
    low.send(*["hold g"] * 5)
    tables = f'[[queue]]\nname = "{high.name}"\n[[queue]]\nname = "{low.name}"\nlimit = 2\n'
    pool = start_queues([], workers=4, tables=tables)
    home.trace.wait("started", 2)
    for number in range(3):
        high.send(f"high {number}")
        pool.wait_event("message.deleted", count=number + 1)
    low.wait_depth(visible=3, in_flight=2)
    gate.open()
    home.trace.wait("started", 3 + 3)
    gate.open(4)
    pool.wait_event("message.deleted", count=8)
    assert running_at_once(home, "hold") == 2


def test_weights_are_shares_of_the_job_time(
    start_queues: StartQueues, home: Home, high: LiveQueue, low: LiveQueue
) -> None:
    """Jobs of one queue take three times as long; the other has three times the weight."""
    high.send(*["take 0.05"] * 60)
    low.send(*["take 0.15"] * 20)
    pool = start_queues([f"{high.name}=3", f"{low.name}=1"], "--max-jobs", "40", workers=1)
    assert pool.wait() == 0
    seconds = {
        queue.name: [each["duration"] for each in pool.events("job.succeeded", queue=queue.name)]
        for queue in (high, low)
    }
    assert len(home.trace.lines("done")) == 40
    for_weight = sum(seconds[high.name]) / 3, sum(seconds[low.name])
    longest = max(map(max, seconds.values()))
    assert abs(for_weight[0] - for_weight[1]) <= 3 * longest
    assert len(seconds[high.name]) > 3 * len(seconds[low.name])


# What each queue has of its own.


def test_each_queue_has_its_own_app_and_options(
    start_queues: StartQueues, home: Home, high: LiveQueue, low: LiveQueue
) -> None:
    """APP is left out."""
    gate = home.gate("g")
    high.send("hold g")
    low.send("hold never")
    home.gate("never")
    tables = f"""
    [[queue]]
    name = "{high.name}"
    app = "jobs:job"
    [[queue]]
    name = "{low.name}"
    app = "reports:job"
    job_timeout = 0.5
    """
    pool = start_queues([], tables=tables, app="")
    (timed_out,) = pool.wait_event("job.timed_out")
    assert timed_out["queue"] == low.name
    gate.open()
    (done,) = pool.wait_event("message.deleted")
    assert done["queue"] == high.name
    assert home.trace.bodies("reported")[0] == "hold never"
    assert "hold g" not in home.trace.bodies("reported")


def test_a_job_that_is_stopped_runs_its_own_queues_exit_handler(
    start_queues: StartQueues, home: Home, high: LiveQueue, low: LiveQueue
) -> None:
    home.gate("never")
    ids = [*high.send("hold never"), *low.send("hold never")]
    tables = "".join(
        f"""
        [[queue]]
        name = "{queue.name}"
        app = "{app}:job"
        exit_handler = "{app}:put_away"
        job_timeout = 0.5
        """
        for queue, app in ((high, "jobs"), (low, "reports"))
    )
    pool = start_queues([], tables=tables, app="", expected=STOPPED)
    pool.wait_event("job.timed_out", queue=high.name)
    pool.wait_event("job.timed_out", queue=low.name)
    told = {(line.message_id, line.detail) for line in home.trace.wait("put away", 2)}
    assert told == {(ids[0], "by jobs"), (ids[1], "by reports")}


def test_each_queue_has_its_own_visibility_timeout(
    start_queues: StartQueues, home: Home, high: LiveQueue, low: LiveQueue, proxy: FaultProxy
) -> None:
    """What a poll asks for, and what a lease is extended by."""
    gate = home.gate("g")
    high.send("hold g")
    low.send("hold g")
    tables = f"""
    [[queue]]
    name = "{high.name}"
    visibility_timeout = 3
    [[queue]]
    name = "{low.name}"
    visibility_timeout = 5
    """
    pool = start_queues([], tables=tables, endpoint=proxy.endpoint)
    for action in ("ReceiveMessage", "ChangeMessageVisibility"):
        wait_leases(proxy, action, {(high.name, 3), (low.name, 5)})
    gate.open(2)
    pool.wait_event("message.deleted", count=2)


def wait_leases(proxy: FaultProxy, action: str, wanted: set[tuple[str, int]]) -> None:
    """Wait until those are the queues that were called, each with its seconds."""

    def found() -> set[tuple[str, int]]:
        calls = proxy.journal(action)
        return {(queue_of(each), each.request["VisibilityTimeout"]) for each in calls}

    eventually(lambda: found() == wanted, what=lambda: f"{action} of {wanted}, now {found()}")


def test_a_fifo_queue_beside_a_standard_one(
    start_queues: StartQueues, home: Home, high: LiveQueue, ministack_server: Server
) -> None:
    fifo = LiveQueue.fresh(ministack_server, fifo=True)
    for number in range(3):
        fifo.send_one(f"fifo {number}", MessageGroupId="g", MessageDeduplicationId=str(number))
    high.send(*(f"high {number}" for number in range(3)))
    pool = start_queues([high.name, fifo.name], *UNTIL_EMPTY)
    assert pool.wait() == 0
    done = home.trace.bodies("done")
    assert [body for body in done if body.startswith("fifo")] == ["fifo 0", "fifo 1", "fifo 2"]
    assert len(done) == 6


# Trouble of one queue.


def test_a_message_is_released_while_the_other_queue_is_polled(
    start_queues: StartQueues, home: Home, high: LiveQueue, low: LiveQueue, proxy: FaultProxy
) -> None:
    """In a drain: only a poll of the same queue could swallow it."""
    home.gate("g")
    tables = f'[[queue]]\nname = "{high.name}"\nlimit = 1\n[[queue]]\nname = "{low.name}"\n'
    high.send("hold g")
    pool = start_queues(
        [], "--drain-timeout", "0", workers=2, tables=tables, endpoint=proxy.endpoint
    )
    home.trace.wait("started")
    proxy.stall("ReceiveMessage")
    proxy.wait_held("ReceiveMessage")
    pool.drain()
    high.wait_depth(visible=1)
    (poll,) = [each for each in proxy.journal("ReceiveMessage") if each.answered is None]
    assert queue_of(poll) == low.name
    proxy.release("ReceiveMessage")
    assert pool.wait() == 0
    assert ledgers(pool)[high.name]["released"] == 1


def queue_of(exchange: Exchange) -> str:
    """The queue that a call is about."""
    return str(exchange.request["QueueUrl"]).rpartition("/")[2]


def test_a_queue_that_is_deleted_degrades_itself_alone(
    start_queues: StartQueues, home: Home, high: LiveQueue, low: LiveQueue
) -> None:
    pool = start_queues([high.name, low.name])
    pool.wait_ready(2)
    low.server.client.delete_queue(QueueUrl=low.url)
    pool.wait_event("poll.failed", queue=low.name)
    high.send("high")
    pool.wait_event("message.deleted", queue=high.name)
    told = status(home)
    states = {each["name"]: each["state"] for each in told["queues"]}
    assert states == {high.name: "running", low.name: "degraded"}
    (gone,) = [each["reason"] for each in told["queues"] if each["name"] == low.name]
    assert (told["state"], low.name in gone) == ("running", True)


def test_a_queue_that_is_not_there_at_the_start_is_exit_5(
    start_queues: StartQueues, high: LiveQueue
) -> None:
    pool = start_queues([high.name, "nowhere"], expected=GONE)
    assert pool.wait() == 5
    assert "nowhere" in pool.refusal()


def test_one_queue_is_paused_and_limited_by_its_name(
    start_queues: StartQueues, home: Home, high: LiveQueue, low: LiveQueue
) -> None:
    gate = home.gate("g")
    pool = start_queues([high.name, low.name], workers=3)
    pool.wait_ready(3)
    assert run_fleet(home, "pause", "--queue", low.name).status == 0
    assert run_fleet(home, "scale", "--queue", low.name, "--limit", "1").status == 0
    low.send("hold g", "hold g")
    high.send("high")
    pool.wait_event("message.deleted", queue=high.name)
    assert not pool.events("message.received", queue=low.name)
    told = {each["name"]: (each["state"], each["limit"]) for each in status(home)["queues"]}
    assert told == {high.name: ("running", None), low.name: ("paused", 1)}
    assert run_fleet(home, "resume", "--queue", low.name).status == 0
    home.trace.wait("started", 2)
    low.wait_depth(visible=1, in_flight=1)
    gate.open(2)
    pool.wait_event("message.deleted", count=2, queue=low.name)
    assert running_at_once(home, "hold") == 1
    unknown = run_fleet(home, "pause", "--queue", "nowhere")
    assert (unknown.status, high.name in unknown.error_line) == (2, True)


# Ends.


def test_one_worker_empties_three_queues(
    start_queues: StartQueues, home: Home, high: LiveQueue, low: LiveQueue, queue: LiveQueue
) -> None:
    queues = [high, queue, low]
    for each in queues:
        each.send(*(f"{each.name} {number}" for number in range(2)))
    pool = start_queues([each.name for each in queues], *UNTIL_EMPTY, workers=1)
    assert pool.wait() == 0
    done = Counter(body.split()[0] for body in home.trace.bodies("done"))
    assert done == {each.name: 2 for each in queues}
    told = ledgers(pool)
    assert told.pop(None)["deleted"] == 6
    assert {name: event["deleted"] for name, event in told.items()} == {
        each.name: 2 for each in queues
    }


# What it costs.


def test_an_idle_pool_keeps_one_poll_open_a_queue(
    start_queues: StartQueues, high: LiveQueue, low: LiveQueue, proxy: FaultProxy
) -> None:
    pool = start_queues([high.name, low.name], workers=8, endpoint=proxy.endpoint)
    pool.wait_ready(8)
    proxy.wait_count("ReceiveMessage", 8)
    for queue in (high, low):
        polls = [each for each in proxy.journal("ReceiveMessage") if queue_of(each) == queue.name]
        assert len(polls) >= 2
        assert most_open(polls) == 1
        assert {each.request["WaitTimeSeconds"] for each in polls} == {1}


def most_open(exchanges: Sequence[Exchange]) -> int:
    """How many of them were open at the same time."""
    marks = sorted(
        [(each.asked, 1) for each in exchanges]
        + [(each.answered, -1) for each in exchanges if each.answered is not None]
    )
    now = most = 0
    for _, change in marks:
        now += change
        most = max(most, now)
    return most
