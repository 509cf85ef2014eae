"""SQS's errors at every call of a delivery: the message stays ours, the work stays done, the pool
stays up.
"""

import hashlib
import json
from typing import Any

import pytest

from tests.pool.settling.test_outcomes import APP, LOUD, fates
from tests.support.pool import Home, StartPool, both_transports
from tests.support.processes import is_alive
from tests.support.proxy import FaultProxy
from tests.support.servers import EMPTY, LiveQueue, Server
from tests.support.witness import Witness

EXTEND = "ChangeMessageVisibility"
PRIVATE = "a body that nobody may read"
RUBBISH = (
    b"",
    b"<html>",
    b"[]",
    b"7",
    b'{"Messages": 3}',
    b'{"Messages": [{}]}',
    b'{"Messages": [null]}',
)

KINDS = 4


def trouble(proxy: FaultProxy, action: str) -> None:
    """Make each kind of error once that heals by itself, or by a new session."""
    proxy.fail(action)
    proxy.throttle(action)
    proxy.cut(action)
    proxy.fail(action, status=403, code="ExpiredToken")


@both_transports
@pytest.mark.slow
def test_failed_extends_are_tried_again(
    start: StartPool, home: Home, queue: LiveQueue, proxy: FaultProxy
) -> None:
    """Through 500, throttles, cuts before and after, expired credentials and a stall: delivered
    once.
    """
    gate = home.gate("g")
    (message_id,) = queue.send("hold g")
    trouble(proxy, EXTEND)
    proxy.cut(EXTEND, after=True)
    pool = start("--visibility-timeout", "9", "-v", app=APP, workers=1, endpoint=proxy.endpoint)
    pool.wait_event("lease.extended")
    asked = proxy.count(EXTEND)
    assert asked == KINDS + 2
    proxy.stall(EXTEND)
    proxy.wait_count(EXTEND, asked + 2)  # the first one was given up
    proxy.release(EXTEND)
    pool.wait_event("lease.extended", count=2)
    gate.open()
    pool.wait_event("message.deleted")
    failed = pool.events("lease.failed")
    assert len(failed) >= KINDS + 2
    assert all(event["message_id"] == message_id and event["left"] > 0 for event in failed)
    assert not pool.events("lease.lost")
    assert [line.attempt for line in home.trace.lines("started")] == [1]


def test_a_lost_lease_kills_where_that_is_wanted(
    start: StartPool, home: Home, queue: LiveQueue, proxy: FaultProxy
) -> None:
    """The job is stopped; the message is neither extended nor released: it may be another's."""
    home.gate("never")
    (message_id,) = queue.send("attempts family never/task")
    proxy.fail(EXTEND, times=1000)
    options = ("--visibility-timeout", "3", "--on-lease-lost", "kill", "--exit-timeout", "5")
    pool = start(*options, app=APP, workers=1, endpoint=proxy.endpoint, expected=LOUD)
    pool.wait_event("lease.lost")
    tried = proxy.count(EXTEND)
    pool.wait_event("message.left")
    assert proxy.count(EXTEND) == tried
    pool.wait_event("message.deleted")
    assert proxy.count(EXTEND) == tried
    (stopped,) = pool.events("job.stopped")
    assert stopped["stopped_by"] == "its lease was lost"
    assert fates(pool, [message_id]) == [[("left", 0), ("deleted", 0)]]
    assert not any(is_alive(line.pid) for line in home.trace.lines())


def test_a_lost_lease_kills_by_default_on_a_fifo_queue(
    start: StartPool, home: Home, ministack_server: Server, proxy: FaultProxy
) -> None:
    """Its group goes on elsewhere, and two of one group must not run at a time."""
    queue = LiveQueue.fresh(ministack_server, fifo=True)
    home.gate("never")
    message_id = queue.send_one(
        "attempts hold never/task", MessageGroupId="blue", MessageDeduplicationId="once"
    )
    proxy.fail(EXTEND, times=1000)
    pool = start(
        "--visibility-timeout",
        "2",
        app=APP,
        workers=1,
        queue=queue,
        endpoint=proxy.endpoint,
        expected=LOUD,
    )
    (stopped,) = pool.wait_event("job.stopped")
    assert stopped["stopped_by"] == "its lease was lost"
    pool.wait_event("message.deleted", message_id=message_id, attempt=2)
    assert fates(pool, [message_id]) == [[("left", 0), ("deleted", 0)]]


@pytest.mark.slow
def test_the_longest_lease_ends_and_that_is_said_before(
    start: StartPool, home: Home, queue: LiveQueue, proxy: FaultProxy
) -> None:
    """SQS's twelve hours from the receive, here seven seconds: never asked beyond, and then as any
    lost lease.
    """
    home.gate("never")
    (message_id,) = queue.send("attempts family never/task")
    options = ("--visibility-timeout", "4", "--on-lease-lost", "kill", "--exit-timeout", "5")
    pool = start(
        *options, app="tampered:job", workers=1, endpoint=proxy.endpoint, expected=LOUD, LONGEST="7"
    )
    (limit,) = pool.wait_event("lease.limit", message_id=message_id)
    assert 0 < limit["left"] < 4
    tried = proxy.count(EXTEND)
    assert is_alive(home.trace.wait("family")[0].pid)
    (stopped,) = pool.wait_event("job.stopped", message_id=message_id)
    assert stopped["stopped_by"] == "its lease was lost"
    assert len(pool.events("lease.lost")) == 1
    pool.wait_event("message.deleted", message_id=message_id, attempt=2)
    assert fates(pool, [message_id]) == [[("left", 0), ("deleted", 0)]]
    assert proxy.count(EXTEND) == tried
    assert all(each.request["VisibilityTimeout"] <= 4 for each in proxy.journal(EXTEND))
    assert not pool.events("dispatcher.died"), (
        "no beat is needed for a lease that nobody can extend"
    )


def test_what_fails_after_a_lost_lease_is_left(
    start: StartPool, home: Home, queue: LiveQueue, proxy: FaultProxy
) -> None:
    """No release and no dead letter: only a success deletes."""
    gate = home.gate("g")
    ids = queue.send("attempts after g retry 0/task", "attempts after g reject no/task")
    proxy.fail(EXTEND, times=1000)
    pool = start(
        "--visibility-timeout", "2", app=APP, workers=2, endpoint=proxy.endpoint, expected=LOUD
    )
    pool.wait_event("lease.lost", count=2)
    proxy.heal(EXTEND)
    tried = proxy.count(EXTEND)
    gate.open(2)
    pool.wait_event("message.deleted", count=2)
    pool.wait_event("message.left", count=2)
    # The other dispatcher may have received and deleted it before its first job has ended.
    assert [sorted(each) for each in fates(pool, ids)] == [[("deleted", 0), ("left", 0)]] * 2
    assert proxy.count(EXTEND) == tried
    assert queue.dead_depth() == EMPTY


def test_a_delete_is_repeated(
    start: StartPool, home: Home, queue: LiveQueue, proxy: FaultProxy
) -> None:
    """Past the lease too, on a standard queue: the work is done."""
    (message_id,) = queue.send("task")
    trouble(proxy, "DeleteMessage")
    pool = start("--visibility-timeout", "2", "-v", app=APP, workers=1, endpoint=proxy.endpoint)
    pool.wait_event("message.deleted")
    assert proxy.count("DeleteMessage") == KINDS + 1
    assert len(pool.events("message.unsettled", message_id=message_id)) == KINDS
    assert home.trace.bodies("done") == ["task"]
    assert queue.depth() == EMPTY


def test_a_delete_is_repeated_past_the_lease(
    start: StartPool, home: Home, queue: LiveQueue, proxy: FaultProxy
) -> None:
    """On a standard queue: the work is done, though the server shows the message to everybody
    again.
    """
    (message_id,) = queue.send("task")
    proxy.fail("DeleteMessage", times=1000)
    options = ("--visibility-timeout", "2")
    pool = start(
        *options,
        app="tampered:job",
        workers=1,
        endpoint=proxy.endpoint,
        expected=LOUD,
        KEPT_FOR="0",
    )
    pool.wait_event("message.unsettled")
    queue.wait_depth(visible=1)
    proxy.wait_count("DeleteMessage", proxy.count("DeleteMessage") + 2)
    proxy.heal("DeleteMessage")
    pool.wait_event("message.deleted", message_id=message_id, attempt=1)
    assert home.trace.bodies("done") == ["task"]
    assert queue.depth() == EMPTY


@pytest.mark.parametrize(("fifo", "late"), [(False, "2"), (True, "1000")])
def test_a_delete_is_not_repeated_for_ever(
    start: StartPool, ministack_server: Server, proxy: FaultProxy, fifo: bool, late: str
) -> None:
    """The lease is kept for five minutes (here one second); then five more (here two seconds), none
    on a FIFO queue.
    """
    queue = LiveQueue.fresh(ministack_server, fifo=fifo)
    group: dict[str, Any] = (
        {"MessageGroupId": "blue", "MessageDeduplicationId": "once"} if fifo else {}
    )
    message_id = queue.send_one("task", **group)
    proxy.fail("DeleteMessage", times=1000)
    options = ("--visibility-timeout", "2")
    where = {"workers": 1, "queue": queue, "endpoint": proxy.endpoint}
    pool = start(
        *options, app="tampered:job", expected=LOUD, LATE_DELETE=late, KEPT_FOR="1", **where
    )
    pool.wait_event("message.unsettled", message_id=message_id)
    if not fifo:
        queue.wait_depth(visible=1)
        proxy.wait_count("DeleteMessage", proxy.count("DeleteMessage") + 1)
    (left,) = pool.wait_event("message.left", message_id=message_id)
    assert "did not take" in left["why"]
    proxy.heal("DeleteMessage")
    pool.wait_event("message.deleted", message_id=message_id, attempt=2)


def test_a_delete_with_a_handle_that_is_no_good_is_not(
    start: StartPool, queue: LiveQueue, proxy: FaultProxy
) -> None:
    (message_id,) = queue.send("task")
    proxy.fail("DeleteMessage", times=1000, status=400, code="ReceiptHandleIsInvalid")
    pool = start(
        "--visibility-timeout", "2", app=APP, endpoint=proxy.endpoint, workers=1, expected=LOUD
    )
    (left,) = pool.wait_event("message.left")
    assert left["message_id"] == message_id
    assert proxy.count("DeleteMessage") == 1
    proxy.heal("DeleteMessage")
    pool.wait_event("message.deleted", message_id=message_id, attempt=2)


@pytest.mark.slow
def test_a_release_is_repeated_as_long_as_its_delay_hides_the_message(
    start: StartPool, queue: LiveQueue, proxy: FaultProxy
) -> None:
    (message_id,) = queue.send("attempts retry 8/task")
    trouble(proxy, EXTEND)
    pool = start("--visibility-timeout", "60", "-v", app=APP, endpoint=proxy.endpoint)
    pool.wait_event("message.deleted")
    assert fates(pool, [message_id]) == [[("released", 8), ("deleted", 0)]]
    assert len(pool.events("message.unsettled")) == KINDS


def test_even_what_cannot_heal_ends_no_running_pool(
    start: StartPool, queue: LiveQueue, proxy: FaultProxy
) -> None:
    pool = start("-v", app=APP, workers=1, endpoint=proxy.endpoint)
    pool.wait_ready(1)
    for code in (
        "AWS.SimpleQueueService.NonExistentQueue",
        "AccessDeniedException",
        "SomethingNew",
    ):
        proxy.fail("ReceiveMessage", status=400, code=code)
    pool.wait_event("poll.failed", count=3)
    queue.send("task")
    pool.wait_event("message.deleted")
    assert not pool.events("dispatcher.died")


@both_transports
def test_every_error_of_a_receive_backs_off(
    start: StartPool, queue: LiveQueue, proxy: FaultProxy
) -> None:
    """All of them heal; after credentials that have expired it is a new session that asks."""
    trouble(proxy, "ReceiveMessage")
    pool = start("-v", app=APP, workers=1, endpoint=proxy.endpoint)
    pool.wait_event("poll.failed", count=KINDS)
    queue.send("task")
    pool.wait_event("message.deleted", timeout=60)
    failed = pool.events("poll.failed")
    assert [event["failures"] for event in failed] == [1, 2, 3, 4]
    assert not pool.events("dispatcher.died")


@both_transports
def test_malformed_answers_to_a_poll_end_nothing(
    start: StartPool, queue: LiveQueue, proxy: FaultProxy
) -> None:
    pool = start(app=APP, workers=1, endpoint=proxy.endpoint)
    pool.wait_ready(1)
    before = proxy.count("ReceiveMessage")
    for answer in RUBBISH:
        proxy.say("ReceiveMessage", answer)
    proxy.wait_count("ReceiveMessage", before + len(RUBBISH) + 1)
    queue.send("task")
    pool.wait_event("message.deleted", timeout=60)
    assert not pool.events("dispatcher.died")


@both_transports
def test_messages_that_are_not_what_was_sent_are_left_and_said(
    start: StartPool, proxy: FaultProxy
) -> None:
    """They are in the ledger, and nothing is made of them; the queue goes on."""
    digest = hashlib.md5(b"task", usedforsecurity=False).hexdigest()
    brought: list[dict[str, Any]] = [
        {"MessageId": "1", "ReceiptHandle": "h1", "Body": "task", "MD5OfBody": "0" * 32},
        {"MessageId": "2\0", "ReceiptHandle": "h2", "Body": "task"},
        {"MessageId": "3"},
        {
            "MessageId": "4",
            "ReceiptHandle": "h4",
            "Body": "task",
            "MD5OfBody": digest,
            "MessageAttributes": None,
        },
    ]
    for message in brought:
        proxy.say("ReceiveMessage", json.dumps({"Messages": [message]}).encode())
    proxy.say("DeleteMessage", b"{}")
    pool = start(app=APP, workers=1, endpoint=proxy.endpoint)
    pool.wait_event("message.deleted", message_id="4")
    odd = "it is not as SQS describes messages"
    assert [(each["message_id"], each["why"]) for each in pool.events("message.left")] == [
        ("1", "its body is not what was sent (MD5OfBody)"),
        ("(not known)", odd),
        ("3", odd),
    ]
    assert len(pool.events("job.started")) == 1
    pool.drain()
    ledger = pool.ledger()
    assert (ledger["received"], ledger["deleted"], ledger["left"]) == (4, 1, 3)


@both_transports
def test_malformed_answers_to_the_rest_end_nothing(
    start: StartPool, queue: LiveQueue, proxy: FaultProxy
) -> None:
    """The redrive policy, the dead-letter queue's address, the letter."""
    bodies = ["attempts fail x/task", "reject it", "reject too"]
    pool = start("--retry-delay", "1", app=APP, workers=1, endpoint=proxy.endpoint, expected=LOUD)
    pool.wait_ready(1)
    for policy in (
        "no json",
        "{}",
        '{"maxReceiveCount": "many", "deadLetterTargetArn": "x"}',
        "[]",
    ):
        text = policy.replace('"', '\\"')
        proxy.say("GetQueueAttributes", f'{{"Attributes": {{"RedrivePolicy": "{text}"}}}}'.encode())
    for answer in (b"<html>", b"[]", b"{}"):
        proxy.say("GetQueueUrl", answer)
    queue.send(*bodies)
    pool.wait_event("message.dead_lettered", count=2, timeout=60)
    pool.wait_event("message.deleted", timeout=60)
    assert queue.dead_bodies() == ["reject it", "reject too"]
    assert not pool.events("dispatcher.died")


def test_bodies_and_arguments_are_never_logged(
    start: StartPool, home: Home, queue: LiveQueue, proxy: FaultProxy
) -> None:
    """Whatever fails, at whichever level but debug."""
    queue.send(
        f"{PRIVATE} 1",
        f"{PRIVATE} 2",
        f"attempts {PRIVATE}",
        f"finish-at-term {PRIVATE}",
        f"end {PRIVATE}",
    )
    for action in ("DeleteMessage", EXTEND, "GetQueueAttributes"):
        proxy.fail(action)
    pool = start("--drain-timeout", "0", app=APP, workers=5, endpoint=proxy.endpoint, expected=LOUD)
    pool.wait_event("message.deleted", count=3)
    pool.wait_event("job.failed")
    home.trace.wait("waiting")
    pool.terminate()
    assert pool.wait() == 0
    assert pool.events("message.released")
    own = ("error", "traceback")  # the text of the app's exceptions, which may quote what it likes
    assert PRIVATE not in str(
        [{name: event[name] for name in event if name not in own} for event in pool.events()]
    )


def test_requests_are_few(start: StartPool, queue: LiveQueue, proxy: FaultProxy) -> None:
    """A short job costs one receive and one delete."""
    queue.send("task", "task", "task")
    pool = start(app=APP, workers=1, endpoint=proxy.endpoint)
    pool.wait_event("message.deleted", count=3)
    hits = [
        each
        for each in proxy.journal("ReceiveMessage")
        if each.answer and each.answer.get("Messages")
    ]
    assert (len(hits), proxy.count("DeleteMessage"), proxy.count(EXTEND)) == (3, 3, 0)
    assert all(len(each.answer["Messages"]) == 1 for each in hits if each.answer)


def test_no_message_is_given_away_while_its_job_exists(
    start: StartPool, home: Home, queue: LiveQueue, proxy: FaultProxy
) -> None:
    """A job that left a child in another session behind, at each way to end."""
    witness = Witness(proxy, home.trace)
    home.gate("never")
    queue.send("orphan", "attempts orphan-then never/task")
    pool = start(
        "--job-timeout",
        "2",
        "--exit-timeout",
        "1",
        "--retry-delay",
        "0",
        app=APP,
        endpoint=proxy.endpoint,
        expected=LOUD,
    )
    pool.wait_event("message.deleted", count=2)
    assert len(home.trace.lines("orphan")) == 2
    assert not pool.events("job.lingers"), "what is killed takes its time to be gone"
    assert len(witness.seen) >= 6
    assert not witness.broken
