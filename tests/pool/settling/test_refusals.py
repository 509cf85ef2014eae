"""SQS says no to what ends a delivery: what may pass is insisted on, what cannot is settled
otherwise.
"""

import pytest

from tests.pool.settling.test_outcomes import APP, LOUD, fates
from tests.support.pool import Expected, Home, StartPool, both_transports
from tests.support.proxy import FaultProxy
from tests.support.servers import EMPTY, LiveQueue

DELETE, EXTEND, LETTER = "DeleteMessage", "ChangeMessageVisibility", "SendMessage"
REFUSALS = [
    ("AccessDenied", 403),
    ("AccessDeniedException", 400),
    ("SomethingNew", 400),
    ("ExpiredTokenException", 400),
]
DENIED = Expected(noise=True, errors=frozenset({"deletes.denied", "message.undeleted"}))


@pytest.mark.parametrize(("code", "status"), REFUSALS)
def test_a_delete_that_is_refused_for_a_while_is_done_and_its_job_not_run_again(
    start: StartPool, home: Home, queue: LiveQueue, proxy: FaultProxy, code: str, status: int
) -> None:
    """For longer than its lease, which is kept meanwhile."""
    (message_id,) = queue.send("task")
    proxy.fail(DELETE, times=1000, status=status, code=code)
    options = ("--visibility-timeout", "2")
    pool = start(*options, app=APP, workers=2, endpoint=proxy.endpoint, expected=DENIED)
    proxy.wait_count(EXTEND, 5)
    proxy.heal(DELETE)
    pool.wait_event("message.deleted")
    assert fates(pool, [message_id]) == [[("deleted", 0)]]
    assert len(home.trace.lines("started")) == 1
    assert not pool.events("lease.lost")
    assert queue.depth() == EMPTY


@both_transports
def test_a_rejected_message_is_sent_once_while_its_delete_is_refused(
    start: StartPool, queue: LiveQueue, proxy: FaultProxy
) -> None:
    (message_id,) = queue.send("reject it")
    proxy.fail(DELETE, times=1000, status=403, code="AccessDenied")
    options = ("--visibility-timeout", "2")
    pool = start(*options, app=APP, workers=2, endpoint=proxy.endpoint, expected=DENIED)
    proxy.wait_count(EXTEND, 5)
    proxy.heal(DELETE)
    pool.wait_event("message.dead_lettered")
    assert fates(pool, [message_id]) == [[("dead_lettered", 0)]]
    assert proxy.count(LETTER) == 1
    assert queue.dead_bodies() == ["reject it"]


def test_without_its_dead_letter_queue_a_rejection_has_the_delay_of_a_failure(
    start: StartPool, queue: LiveQueue, proxy: FaultProxy
) -> None:
    """It is said at the start; nothing is deleted, also where failures are."""
    queue.delete_dead_letters()
    (message_id,) = queue.send("attempts reject it/task")
    options = ("--retry-delay", "1", "--delete-failed")
    pool = start(*options, app=APP, workers=1, endpoint=proxy.endpoint, expected=LOUD)
    (said,) = pool.wait_event("queue.warned")
    assert "dead-letter queue" in said["message"]
    assert "does not exist" in said["message"]
    pool.wait_event("message.deleted", message_id=message_id, attempt=2)
    assert fates(pool, [message_id]) == [[("released", 1), ("deleted", 0)]]
    assert "nobody could send it" in pool.events("message.released")[0]["why"]


@both_transports
def test_an_extend_that_is_refused_for_good_is_asked_for_once(
    start: StartPool, home: Home, queue: LiveQueue, proxy: FaultProxy
) -> None:
    gate = home.gate("g")
    queue.send("hold g")
    proxy.fail(EXTEND, times=1000, status=400, code="ReceiptHandleIsInvalid")
    pool = start(
        "--visibility-timeout", "3", app=APP, workers=1, endpoint=proxy.endpoint, expected=LOUD
    )
    pool.wait_event("lease.lost")
    assert proxy.count(EXTEND) == 1
    assert len(pool.events("lease.failed")) == 1
    gate.open()
    pool.wait_event("message.deleted")
    assert not pool.events("dispatcher.hung")
    proxy.heal(EXTEND)


@pytest.mark.slow
def test_a_stop_ends_what_is_insisted_on(
    start: StartPool, queue: LiveQueue, proxy: FaultProxy
) -> None:
    """Within the longest stop that was logged at the start; what was finished is no work that was
    killed.
    """
    queue.send("task")
    proxy.fail(DELETE, times=10_000)
    options = (
        "--drain-timeout",
        "0",
        "--exit-timeout",
        "0",
        "--wait-time",
        "1",
        "--visibility-timeout",
        "6",
    )
    pool = start(
        *options, app=APP, workers=2, endpoint=proxy.endpoint, expected=Expected(exit=8, noise=True)
    )
    pool.wait_event("message.unsettled")
    pool.terminate()
    assert pool.wait(60) == 8
    (left,) = pool.events("message.left")
    assert left["why"] == "the queue did not take the settlement"
    assert not pool.events("dispatcher.hung")
    assert pool.ledger()["left"] == 1
    proxy.heal(DELETE)


def test_a_queue_that_is_deleted_with_a_job_in_hand_holds_up_no_stop(
    start: StartPool, home: Home, queue: LiveQueue, proxy: FaultProxy
) -> None:
    """Whatever is asked for then: a failed job's policy, a delete, a release."""
    gate = home.gate("g")
    home.gate("never")
    queue.send("hold g", "hold never")
    pool = start("--drain-timeout", "0", app=APP, workers=2, endpoint=proxy.endpoint, expected=LOUD)
    home.trace.wait("started", 2)
    for action in (DELETE, EXTEND, "GetQueueAttributes", "ReceiveMessage"):
        proxy.fail(action, times=10_000, status=400, code="AWS.SimpleQueueService.NonExistentQueue")
    gate.open()
    pool.wait_event("message.left")
    pool.terminate()
    assert pool.wait(60) == 0
    assert [event["why"] for event in pool.events("message.left")][1:] == [
        "its queue does not exist any more"
    ]
