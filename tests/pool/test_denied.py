"""Trouble with the queue that no retry heals, and deletes that are not confirmed."""

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from tests.support import impatient
from tests.support.control import status
from tests.support.eventually import eventually
from tests.support.pool import Expected, Home, Launch, Pool, StartPool
from tests.support.proxy import FaultProxy
from tests.support.servers import EMPTY, LiveQueue

DENIED, GONE = "AccessDenied", "AWS.SimpleQueueService.NonExistentQueue"
EVERY_CALL = ("ReceiveMessage", "DeleteMessage", "ChangeMessageVisibility", "GetQueueAttributes")
GAVE_UP = Expected(exit=5, noise=True, errors=frozenset({"message.undeleted"}))
UNDELETED = Expected(errors=frozenset({"message.undeleted"}))
SHORT = ("--drain-timeout", "1", "--exit-timeout", "1")


def refuse(proxy: FaultProxy, action: str, code: str) -> None:
    """From now on, until it heals."""
    proxy.fail(action, times=10_000, status=400, code=code)


def bounded(
    launch: Launch, queue: LiveQueue, proxy: FaultProxy, *options: str, seconds: str = "3"
) -> Pool:
    """A pool that ends by itself, and whose minute is so long."""
    where = (
        "start",
        "--queue",
        queue.name,
        "--endpoint-url",
        proxy.endpoint,
        "--log-format",
        "json",
    )
    wrapper = (sys.executable, str(Path(impatient.__file__)), seconds)
    how = ("--workers", "2", "--wait-time", "1", *SHORT, *options)
    return launch(
        *where, *how, "tampered:job", expected=GAVE_UP, wrapper=wrapper, DENIED_FOR=seconds
    )


def the_line(pool: Pool) -> str:
    """What is said at the end."""
    return pool.refusal()


# Deletes that are denied


@pytest.mark.slow
def polling(home: Home) -> int:
    """Dispatchers that have a grant, whether their calls are there yet or not."""
    return [each["state"] for each in status(home)["dispatchers"]].count("polling")


def test_nothing_is_received_until_a_delete_is_allowed(
    start: StartPool, home: Home, queue: LiveQueue, proxy: FaultProxy
) -> None:
    queue.send("task")
    refuse(proxy, "DeleteMessage", DENIED)
    pool = start(endpoint=proxy.endpoint)
    (told,) = pool.wait_event("deletes.denied")
    assert "sqs:DeleteMessage" in told["error"]
    eventually(lambda: polling(home) == 0, what="the open polls came home")
    polls, tries = proxy.count("ReceiveMessage"), proxy.count("DeleteMessage")
    queue.send("another")
    proxy.wait_count("DeleteMessage", tries + 4)
    assert proxy.count("ReceiveMessage") == polls
    found = status(home)
    assert found["state"] == "degraded"
    assert "sqs:DeleteMessage" in found["reason"]
    assert queue.name in found["reason"]
    proxy.heal("DeleteMessage")
    pool.wait_event("deletes.allowed")
    pool.wait_event("message.deleted", count=2)
    assert sorted(home.trace.bodies("done")) == ["another", "task"], "each once"
    assert status(home)["state"] == "running"


def test_a_pool_that_serves_leaves_the_message_and_goes_on_probing(
    start: StartPool, home: Home, queue: LiveQueue, proxy: FaultProxy
) -> None:
    (message_id,) = queue.send("task")
    refuse(proxy, "DeleteMessage", DENIED)
    pool = start(app="tampered:job", endpoint=proxy.endpoint, expected=UNDELETED, DENIED_FOR="2")
    pool.wait_event("message.left", message_id=message_id)
    (told,) = pool.wait_event("message.undeleted", message_id=message_id)
    assert told["level"] == "error"
    assert "sqs:DeleteMessage" in told["message"]
    tries = proxy.count("DeleteMessage")
    proxy.wait_count("DeleteMessage", tries + 2)
    assert status(home)["state"] == "degraded"
    proxy.heal("DeleteMessage")
    pool.wait_event("message.deleted_late", message_id=message_id)
    pool.wait_event("deletes.allowed")
    pool.terminate()
    assert pool.wait() == 0
    assert pool.ledger()["left"] == 1
    assert home.trace.bodies("done") == ["task"]
    assert queue.depth() == EMPTY


BOUNDS = [
    ("--until-empty",),
    ("--max-jobs", "50"),
    ("--max-seconds", "100"),
    ("--max-seconds", "2"),
]


@pytest.mark.parametrize("bound", BOUNDS, ids=["-".join(bound) for bound in BOUNDS])
def test_a_run_that_ends_by_itself_gives_denied_deletes_up(
    launch: Launch, home: Home, queue: LiveQueue, proxy: FaultProxy, bound: tuple[str, ...]
) -> None:
    """With several of them at once; 5 beats 6."""
    queue.send("task", "task", "fail x")
    refuse(proxy, "DeleteMessage", DENIED)
    pool = bounded(launch, queue, proxy, *bound)
    assert pool.wait(60) == 5
    assert queue.name in the_line(pool)
    assert "sqs:DeleteMessage" in the_line(pool)
    assert pool.events("message.undeleted")
    assert pool.ledger()["deleted"] == 0
    assert len(home.trace.bodies("done")) <= 2, "none is done again"


@pytest.mark.parametrize("options", [(), ("--until-empty",), ("--batch-size", "3")])
def test_a_stop_meanwhile(
    start: StartPool, home: Home, queue: LiveQueue, proxy: FaultProxy, options: tuple[str, ...]
) -> None:
    """It is waited for no longer than a stop may take, and what is left is said: as yet nobody has
    given up. The second message may be received before the denial, or not.
    """
    queue.send("task", "task")
    refuse(proxy, "DeleteMessage", DENIED)
    left = Expected(exit=8, errors=frozenset({"message.undeleted"}))
    pool = start(*SHORT, *options, endpoint=proxy.endpoint, expected=left)
    pool.wait_event("deletes.denied")
    pool.wait_event("job.succeeded")
    pool.terminate()
    assert pool.wait(60) == 8
    assert "not confirmed" in pool.events("master.stopped")[0]["message"]
    assert not pool.events("dispatcher.hung")
    assert len(home.trace.bodies("done")) <= 2


def test_a_dispatcher_that_dies_with_a_denied_delete_changes_nothing(
    start: StartPool, home: Home, queue: LiveQueue, proxy: FaultProxy
) -> None:
    queue.send("task")
    refuse(proxy, "DeleteMessage", DENIED)
    kills = Expected(kills=frozenset({"dispatcher.died"}))
    pool = start(workers=1, endpoint=proxy.endpoint, expected=kills)
    pool.wait_event("deletes.denied")
    os.kill(pool.dispatcher(0), signal.SIGKILL)
    pool.wait_event("will.failed")
    pool.wait_event("dispatcher.ready", count=2)
    queue.send("another")
    proxy.wait_count("DeleteMessage", proxy.count("DeleteMessage") + 3)
    assert home.trace.bodies("done") == ["task"]
    proxy.heal("DeleteMessage")
    pool.wait_event("message.deleted", count=2)
    assert home.trace.bodies("done") == ["task", "another"]


# Polls that are refused


@pytest.mark.parametrize("fault", [DENIED, GONE], ids=["denied", "gone"])
@pytest.mark.parametrize("bound", [("--until-empty",), ("--max-jobs", "50")])
def test_a_run_that_ends_by_itself_gives_refused_polls_up(
    launch: Launch, queue: LiveQueue, proxy: FaultProxy, fault: str, bound: tuple[str, ...]
) -> None:
    refuse(proxy, "ReceiveMessage", fault)
    pool = bounded(launch, queue, proxy, *bound)
    assert pool.wait(60) == 5
    assert queue.name in the_line(pool)
    assert pool.ledger()["received"] == 0


def test_a_pool_that_serves_goes_on(
    start: StartPool, home: Home, queue: LiveQueue, proxy: FaultProxy
) -> None:
    refuse(proxy, "ReceiveMessage", GONE)
    pool = start("-v", endpoint=proxy.endpoint)
    pool.wait_event("poll.failed", count=2)
    assert status(home)["state"] == "degraded"
    assert "does not exist" in status(home)["reason"]
    proxy.heal("ReceiveMessage")
    queue.send("task")
    pool.wait_event("message.deleted", timeout=60)


def test_a_queue_that_is_deleted_with_a_job_in_hand(
    start: StartPool, home: Home, queue: LiveQueue, proxy: FaultProxy
) -> None:
    """What can be done with its message is nothing: it is left at once, and that is no fault of
    ours.
    """
    gate = home.gate("g")
    queue.send("hold g", "attempts fail x/hold g")
    pool = start("--retry-delay", "5", app="endings:job", endpoint=proxy.endpoint, workers=3)
    home.trace.wait("started", 1)
    pool.wait_event("job.started", count=2)
    for action in EVERY_CALL:
        refuse(proxy, action, GONE)
    pool.drain()
    gate.open(2)
    assert pool.wait() == 0
    assert pool.ledger()["left"] == 2


def test_the_last_delete_of_a_counted_run_races_the_end_of_the_queue(
    start: StartPool, queue: LiveQueue, proxy: FaultProxy
) -> None:
    queue.send("task")
    refuse(proxy, "DeleteMessage", GONE)
    pool = start("--max-jobs", "1", endpoint=proxy.endpoint, expected=Expected(exit=5, noise=True))
    assert pool.wait() == 5
    assert "does not exist" in the_line(pool)


# Deletes that nobody confirms


def test_an_endpoint_that_dies_before_the_deletes(
    start: StartPool, home: Home, queue: LiveQueue, proxy: FaultProxy
) -> None:
    """The stop ends within its bound and says what it could not do, in a few lines."""
    gate = home.gate("g")
    queue.send(*["hold g"] * 3)
    pool = start(*SHORT, endpoint=proxy.endpoint, workers=3, expected=Expected(exit=8))
    home.trace.wait("started", 3)
    for action in EVERY_CALL:
        proxy.cut(action, times=10_000)
    gate.open(3)
    pool.wait_event("job.succeeded", count=3)
    pool.wait_event("message.unsettled")
    pool.terminate()
    assert pool.wait(60) == 8
    (said,) = pool.events("master.stopped")
    assert "3 finished, their deletes not confirmed" in said["message"]
    assert not pool.events("dispatcher.hung")
    (started,) = pool.events("master.started")
    assert len(pool.events("message.unsettled")) <= 2 + started["longest_stop"] / 10
    tries = sum(1 + event.get("more", 0) for event in pool.events("message.unsettled"))
    assert tries >= proxy.count("DeleteMessage") - 3, "and they tell of every try"


def test_an_endpoint_that_hangs_shows_with_the_leases_that_it_costs(
    start: StartPool, home: Home, queue: LiveQueue, proxy: FaultProxy
) -> None:
    gate = home.gate("g")
    queue.send("hold g", "hold g")
    pool = start("--visibility-timeout", "4", endpoint=proxy.endpoint)
    home.trace.wait("started", 2)
    proxy.stall("ChangeMessageVisibility")
    eventually(
        lambda: status(home)["reason"] and "2 leases lost" in status(home)["reason"],
        what="two leases lost",
    )
    found = status(home)
    assert found["state"] == "degraded"
    assert found["counts"]["lease_lost"] == 2
    proxy.release("ChangeMessageVisibility")
    gate.open(2)
    pool.wait_event("message.deleted", count=2)
    eventually(lambda: status(home)["state"] == "running", what="running again")
    assert status(home)["counts"]["lease_lost"] == 2


# The start


@contextmanager
def token_service(*answers: int) -> Iterator[str]:
    """A container's credentials: answers so, and then hands them out."""
    left = list(answers)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            code = left.pop(0) if left else 200
            keys = (
                b'{"AccessKeyId": "a", "SecretAccessKey": "b", "Token": "c",'
                b' "Expiration": "2999-01-01T00:00:00Z"}'
            )
            body = (
                keys if code == 200 else b'{"code": "InvalidIdentityToken", "message": "try again"}'
            )
            self.send_response(code)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


NO_KEYS = {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}


def test_a_token_service_that_stumbles_at_the_start(start: StartPool, queue: LiveQueue) -> None:
    queue.send("task")
    with token_service(400, 400, 400) as url:
        pool = start(**NO_KEYS, AWS_CONTAINER_CREDENTIALS_FULL_URI=url)
        pool.wait_event("message.deleted")
        pool.terminate()
        assert pool.wait() == 0
    assert pool.events("queue.late")


def test_one_that_never_gives_any_is_not_yet(start: StartPool, queue: LiveQueue) -> None:
    late = Expected(exit=69, noise=True, ledger=False)
    with token_service(*[400] * 1000) as url:
        pool = start(
            "--start-timeout", "1", expected=late, **NO_KEYS, AWS_CONTAINER_CREDENTIALS_FULL_URI=url
        )
        assert pool.wait() == 69
    assert queue.name in the_line(pool)
