"""How a job ends, by every way there is, and what its message meets for it."""

import json
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from tests.support.pool import Expected, Home, Pool, StartPool
from tests.support.proxy import FaultProxy
from tests.support.servers import EMPTY, Depth, LiveQueue, Server
from tests.support.witness import Witness

APP = "endings:job"
UNTIL_EMPTY = ("--until-empty", "--empty-for", "1")
KILLS = frozenset(
    {"job.signalled", "job.timed_out", "job.stopped", "handler.failed", "message.dead_lettered"}
)
LOUD = Expected(noise=True, kills=KILLS)
BAD = replace(LOUD, exit=6)
LONGEST = 1_048_576


def fates(pool: Pool, ids: list[str]) -> list[list[tuple[str, int]]]:
    """What became of each message at each of its attempts, with the delay, in the order of
    attempts.
    """
    names = ("message.deleted", "message.released", "message.dead_lettered", "message.left")
    ends = [event for event in pool.events() if event["event"] in names]
    return [
        [
            (event["event"].partition(".")[2], event["delay"])
            for event in ends
            if event["message_id"] == message_id
        ]
        for message_id in ids
    ]


@pytest.mark.slow
def test_what_a_job_says_is_done(
    start: StartPool, home: Home, queue: LiveQueue, proxy: FaultProxy
) -> None:
    """Retry, Reject, their exit statuses, an exception, a death: without any option; and the ledger
    of it.
    """
    witness = Witness(proxy, home.trace)
    deleted = ("deleted", 0)
    wanted = {
        "attempts retry 1.2/task": [("released", 1), deleted],
        "attempts end 75/task": [("released", 0), deleted],
        "attempts retry -5/task": [("released", 0), deleted],
        "attempts fail reason/task": [("left", 0), deleted],
        "attempts end 3/task": [("left", 0), deleted],
        "attempts die SEGV/task": [("released", 4), deleted],
        "reject bad data": [("dead_lettered", 0)],
        "end 65": [("dead_lettered", 0)],
    }
    ids = queue.send(*wanted)
    pool = start(
        *UNTIL_EMPTY,
        "--visibility-timeout",
        "4",
        app=APP,
        workers=4,
        endpoint=proxy.endpoint,
        expected=BAD,
    )
    assert pool.wait(60) == 6
    assert dict(zip(wanted, fates(pool, ids), strict=True)) == wanted
    assert queue.dead_bodies() == ["end 65", "reject bad data"]
    assert Counter(
        event["event"] for event in pool.events() if event["event"].startswith("job.")
    ) == {
        "job.started": 14,
        "job.succeeded": 6,
        "job.retried": 3,
        "job.failed": 2,
        "job.signalled": 1,
        "job.rejected": 2,
    }
    (rejected,) = pool.events("job.rejected", message_id=ids[6])
    assert rejected["reason"] == "bad data"
    assert pool.events("job.signalled")[0]["exit"] == "SIGSEGV"
    ledger = pool.ledger()
    assert [
        ledger[name] for name in ("received", "deleted", "released", "dead_lettered", "left")
    ] == [14, 6, 4, 2, 2]
    assert len(witness.seen) >= 14
    assert not witness.broken


def test_a_dead_letter_keeps_what_it_came_with(
    start: StartPool, queue: LiveQueue, proxy: FaultProxy
) -> None:
    """Its attributes, and how its job ended where there is room for it."""
    text = {"DataType": "String", "StringValue": "tick"}
    attributes = {"binary": {"DataType": "Binary", "BinaryValue": b"\x00\xff\x01"}, "text": text}
    number = {"DataType": "Number.int", "StringValue": "7"}
    trace = {
        "AWSTraceHeader": {
            "DataType": "String",
            "StringValue": "Root=1-5759e988-bd862e3fe1be46a994272793",
        }
    }
    queue.send_one("reject one", attributes | {"number": number}, MessageSystemAttributes=trace)
    queue.send_one("reject ten", {f"name{n}": text for n in range(10)})
    pool = start(app=APP, endpoint=proxy.endpoint)
    pool.wait_event("message.dead_lettered", count=2)
    letters = queue.dead_letters()
    one = letters["reject one"]["MessageAttributes"]
    death = one.pop("FleetDeath")["StringValue"]
    assert {
        name: value.get("BinaryValue", value.get("StringValue")) for name, value in one.items()
    } == {
        "binary": b"\x00\xff\x01",
        "text": "tick",
        "number": "7",
    }
    assert one["number"]["DataType"] == "Number.int"
    assert "rejected" in death
    assert "exit 65" in death
    assert "attempt 1" in death
    assert set(letters["reject ten"]["MessageAttributes"]) == {f"name{n}" for n in range(10)}
    (sent,) = (
        each.request
        for each in proxy.journal("SendMessage")
        if each.request["MessageBody"] == "reject one"
    )
    assert sent["MessageSystemAttributes"]["AWSTraceHeader"]["StringValue"].startswith("Root=")
    order = [
        each.action for each in proxy.journal() if each.action in ("SendMessage", "DeleteMessage")
    ]
    assert order.index("SendMessage") < order.index("DeleteMessage")
    assert queue.depth() == EMPTY


def test_a_dead_letter_has_no_certificate_that_makes_it_too_long(
    start: StartPool, proxy: FaultProxy
) -> None:
    """SQS takes 1 MiB, the attributes included; the server here does not, so the proxy speaks for
    it.
    """
    body = "reject " + "x" * (LONGEST - 7)
    message = {
        "MessageId": "1",
        "ReceiptHandle": "h",
        "Body": body,
        "Attributes": {"ApproximateReceiveCount": "1"},
    }
    proxy.say("ReceiveMessage", json.dumps({"Messages": [message]}).encode())
    proxy.say("SendMessage", b'{"MessageId": "2"}')
    proxy.say("DeleteMessage", b"{}")
    pool = start(app=APP, workers=1, endpoint=proxy.endpoint)
    pool.wait_event("message.dead_lettered")
    (sent,) = proxy.journal("SendMessage")
    assert len(sent.request["MessageBody"]) == LONGEST
    assert not sent.request.get("MessageAttributes")


def test_a_letter_from_a_fifo_queue_keeps_its_group(
    start: StartPool, ministack_server: Server, proxy: FaultProxy
) -> None:
    queue = LiveQueue.fresh(ministack_server, fifo=True)
    message_id = queue.send_one("reject it", MessageGroupId="blue", MessageDeduplicationId="once")
    pool = start("--retry-delay", "1", app=APP, queue=queue, endpoint=proxy.endpoint)
    pool.wait_event("message.dead_lettered")
    (sent,) = proxy.journal("SendMessage")
    assert (sent.request["MessageGroupId"], sent.request["MessageDeduplicationId"]) == (
        "blue",
        message_id,
    )
    assert any("group" in event["why"] for event in pool.events("queue.warned"))
    assert queue.depth() == EMPTY


def test_without_a_dead_letter_queue_a_rejection_is_a_failure(
    start: StartPool, ministack_server: Server
) -> None:
    queue = LiveQueue.fresh(ministack_server, limit=None)
    ids = queue.send("attempts reject no/task")
    pool = start("--visibility-timeout", "2", *UNTIL_EMPTY, app=APP, queue=queue, expected=BAD)
    assert pool.wait(60) == 6, "a rejection is a bad end, whatever comes of the message"
    assert fates(pool, ids) == [[("left", 0), ("deleted", 0)]]
    assert "no dead-letter queue" in pool.events("message.left")[0]["why"]
    assert pool.events("queue.warned")


@pytest.mark.slow
def test_retry_delays_by_attempt(start: StartPool, home: Home, queue: LiveQueue) -> None:
    """Of whatever failed: an exception, a status, a time-out, a death.

    Not of what asked for its own.
    """
    home.gate("never")
    wanted = {
        "attempts fail x/fail x/task": [("released", 1), ("released", 3), ("deleted", 0)],
        "attempts hold never/task": [("released", 1), ("deleted", 0)],
        "attempts die KILL/task": [("released", 1), ("deleted", 0)],
        "attempts retry 0/task": [("released", 0), ("deleted", 0)],
    }
    ids = queue.send(*wanted)
    options = ("--retry-delay", "1,3", "--job-timeout", "1.5", "--exit-timeout", "5")
    pool = start(*options, *UNTIL_EMPTY, app=APP, workers=4, expected=LOUD)
    assert pool.wait(60) == 0, "nothing was lost in the end"
    assert dict(zip(wanted, fates(pool, ids), strict=True)) == wanted
    (timed_out,) = pool.events("job.timed_out")
    assert (timed_out["timed_out"], timed_out["exit"], timed_out["stopped_by"]) == (
        True,
        "SIGTERM",
        "--job-timeout",
    )
    assert (timed_out["limit"], timed_out["message"].split(" (")[0]) == (
        1.5,
        "job timed out after 1.5 s",
    )
    (released,) = pool.events("message.released", message_id=timed_out["message_id"])
    assert "--job-timeout (1.5 s)" in released["why"]
    assert queue.dead_depth() == EMPTY


@pytest.mark.slow
def test_failures_are_deleted_where_that_is_wanted(
    start: StartPool, home: Home, queue: LiveQueue
) -> None:
    """Not what asked for a retry, and not what was interrupted."""
    home.gate("never")
    failing = ["fail x", "end 3", "die SEGV", "hold never"]
    ids = queue.send(*failing, "attempts retry 0/task")
    pool = start(
        "--delete-failed",
        "--job-timeout",
        "4",
        "--drain-timeout",
        "0",
        app=APP,
        workers=5,
        expected=LOUD,
    )
    pool.wait_event("message.deleted", count=5)
    assert fates(pool, ids) == [[("deleted", 0)]] * 4 + [[("released", 0), ("deleted", 0)]]
    assert all(
        "--delete-failed" in event["why"]
        for event in pool.events("message.deleted")
        if event["message_id"] in ids[:4]
    )
    (interrupted,) = queue.send("hold never")
    pool.wait_event("job.started", message_id=interrupted)
    pool.terminate()
    assert pool.wait() == 0
    assert fates(pool, [interrupted]) == [[("released", 0)]]
    queue.wait_depth(visible=1)


def test_the_last_attempt_is_dead_lettered_directly(
    start: StartPool, home: Home, ministack_server: Server
) -> None:
    """maxReceiveCount 1: the first attempt is the last one, however it goes wrong; a stop too."""
    queue = LiveQueue.fresh(ministack_server, limit=1)
    gate = home.gate("g")
    home.gate("never")
    failing = ["fail x", "end 3", "die SEGV", "retry 100", "reject it"]
    ids = queue.send(*failing, "hold g", "hold never")
    options = ("--dead-letter", "direct", "--drain-timeout", "5", "--exit-timeout", "1")
    pool = start(*options, app=APP, workers=7, queue=queue, expected=LOUD)
    pool.wait_event("message.dead_lettered", count=len(failing))
    pool.wait_event("job.started", count=len(ids))
    assert queue.depth().visible == 0
    assert queue.dead_depth() == Depth(len(failing), 0, 0)
    pool.drain()
    gate.open()
    assert pool.wait() == 0
    assert fates(pool, ids) == [[("dead_lettered", 0)]] * len(failing) + [
        [("deleted", 0)],
        [("dead_lettered", 0)],
    ]
    assert queue.dead_bodies() == sorted([*failing, "hold never"])
    assert queue.depth() == EMPTY


def test_a_deploy_costs_nothing_where_the_first_attempt_is_the_last(
    start: StartPool, home: Home, ministack_server: Server
) -> None:
    """Program A dead-lettered all work in hand; here only what outlives --drain-timeout."""
    queue = LiveQueue.fresh(ministack_server, limit=1)
    gate = home.gate("g")
    queue.send("hold g", "hold g")
    pool = start(app=APP, queue=queue)
    home.trace.wait("started", 2)
    pool.drain()
    gate.open(2)
    assert pool.wait() == 0
    assert pool.ledger()["deleted"] == 2
    assert queue.depth() == queue.dead_depth() == EMPTY


def test_a_letter_that_cannot_be_sent_is_not_claimed(
    start: StartPool, queue: LiveQueue, proxy: FaultProxy
) -> None:
    """Nothing is deleted then, and nothing says that it was moved; later it is."""
    (message_id,) = queue.send("reject it")
    proxy.fail("SendMessage", times=1000, code="AccessDenied", status=403)
    pool = start("--visibility-timeout", "2", app=APP, endpoint=proxy.endpoint, expected=LOUD)
    pool.wait_event("message.left")
    assert not pool.events("message.dead_lettered")
    assert not proxy.journal("DeleteMessage")
    assert pool.events("message.unsettled")[0]["message_id"] == message_id
    proxy.heal("SendMessage")
    pool.wait_event("message.dead_lettered")
    assert queue.dead_bodies() == ["reject it"]


def test_a_transformer_makes_the_arguments(start: StartPool, home: Home, queue: LiveQueue) -> None:
    bodies = ["list", "tuple", "dict", "other", "nothing", "bad"]
    ids = queue.send(*bodies)
    pool = start(
        "--transformer", "endings:shapes", "--retry-delay", "60", app="endings:take", expected=LOUD
    )
    pool.wait_event("message.deleted", count=5)
    pool.wait_event("message.released")
    took = {line.body: line.detail for line in home.trace.lines("took")}
    assert took == {
        "list": [["a", "b"], {}],
        "tuple": [["a", "b"], {}],
        "dict": [[], {"first": "a", "second": "b"}],
        "other": [[7], {}],
        "nothing": [[None], {}],
    }
    (failed,) = pool.events("job.failed")
    assert failed["message_id"] == ids[5], "whose failure it was"
    assert (failed["error_type"], failed["error"]) == (
        "ValueError",
        "this transformer cannot read it",
    )
    assert failed["where"].startswith("endings.py:")


def test_a_router_chooses_the_job(start: StartPool, home: Home, queue: LiveQueue) -> None:
    good = '{"_job": "take", "_job_args": ["a", 1], "named": "b"}'
    single = '{"_job": "take", "_job_args": "only"}'
    queue.send(good, single)
    (jobless,) = queue.send('{"_job_args": []}')
    (overlapping,) = queue.send('{"_job": "wait_for", "_job_args": ["g"], "gate": "h"}')
    pool = start(
        "--router", "endings:route", "--retry-delay", "60", app="endings:take", expected=LOUD
    )
    pool.wait_event("message.deleted", count=2)
    pool.wait_event("message.released", message_id=jobless)
    pool.wait_event("message.released", message_id=overlapping)
    took: dict[str, Any] = {line.body: line.detail for line in home.trace.lines("took")}
    assert took == {good: [["a", 1], {"named": "b"}], single: [["only"], {}]}
    errors = [event["error"] for event in pool.events("job.failed")]
    assert any("_job" in error for error in errors)
    assert any("multiple values" in error and "'gate'" in error for error in errors), "which one"


def test_a_job_that_obeys_and_is_done_has_succeeded(
    start: StartPool, home: Home, queue: LiveQueue
) -> None:
    """SIGTERM, and then: exit 0 is a success, 75 a retry, 65 a rejection; anything else is the
    stop's doing.
    """
    ids = queue.send(
        "finish-at-term 0", "finish-at-term 75", "finish-at-term 65", "finish-at-term 3"
    )
    pool = start("--drain-timeout", "0", app=APP, workers=4)
    home.trace.wait("waiting", 4)
    pool.terminate()
    assert pool.wait() == 0
    assert fates(pool, ids) == [
        [("deleted", 0)],
        [("released", 0)],
        [("dead_lettered", 0)],
        [("released", 0)],
    ]
    ends = ("job.succeeded", "job.retried", "job.rejected", "job.stopped")
    assert [len(pool.events(name)) for name in ends] == [1, 1, 1, 1]
    assert pool.events("job.stopped")[0]["stopped_by"] == "interrupted"


def test_a_job_knows_its_message(start: StartPool, home: Home, queue: LiveQueue) -> None:
    message_id = queue.send_one("tell", {"colour": {"DataType": "String", "StringValue": "blue"}})
    pool = start(app=APP)
    pool.wait_event("message.deleted")
    (line,) = home.trace.lines("told")
    assert line.detail == {
        "id": message_id,
        "body": "tell",
        "attempt": 1,
        "attributes": {"colour": "blue"},
    }


def test_no_delay_is_too_long(start: StartPool, queue: LiveQueue) -> None:
    """SQS's limit of 12 hours from the receive bounds it; what a job asks for never hurts its
    dispatcher.
    """
    ids = queue.send("retry inf", "retry 1e300", "retry 43200.4", "attempts retry nan/task")
    pool = start(app=APP)
    pool.wait_event("message.released", count=4)
    delays = [delay for ((how, delay), *_) in fates(pool, ids) if how == "released"]
    assert all(43_000 < delay <= 43_200 for delay in delays[:3])
    assert delays[3] == 0
    assert not pool.events("dispatcher.died")


@pytest.mark.slow
def test_a_message_that_ended_badly_is_told_at_the_end(start: StartPool, queue: LiveQueue) -> None:
    """--until-empty: a retry and a failure that were made good are none."""
    queue.send("attempts fail x/task", "attempts retry 0/task")
    pool = start("--retry-delay", "0", *UNTIL_EMPTY, app=APP, expected=LOUD)
    assert pool.wait(60) == 0
    last = LiveQueue.fresh(queue.server, limit=1)
    last.send("fail x", "task")
    pool = start(*UNTIL_EMPTY, "--visibility-timeout", "2", queue=last, app=APP, expected=BAD)
    assert pool.wait(60) == 6
    ledger = (
        "received 2 = deleted 1 + released 0 + dead-lettered 0 + left 1"
        f" (1 of them goes to {last.name}-dlq)"
    )
    assert [event["message"] for event in pool.events("drain.finished")] == [ledger]
    queue.send("fail x")
    pool = start("--delete-failed", *UNTIL_EMPTY, app=APP, expected=BAD)
    assert pool.wait(60) == 6
