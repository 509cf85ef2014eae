"""Many dispatchers die at the same moment, each with several messages in hand."""

import os
import signal

from fleet.core.pool.recovery_orders import AT_ONCE
from tests.support.eventually import eventually
from tests.support.pool import Expected, Home, StartPool
from tests.support.servers import Depth, LiveQueue

WORKERS, EACH = 20, 10
EXPECTED = Expected(kills=frozenset({"dispatcher.died", "message.left"}), noise=True)


def test_every_message_of_all_of_them_is_given_back(
    start: StartPool, home: Home, queue: LiveQueue
) -> None:
    """More orders at once than are given to the scout at once, or than its channel holds with SQS's
    long handles.
    """
    home.gate("never")
    queue.send(*["hold never"] * WORKERS * EACH)
    options = (
        "--batch-size",
        str(EACH),
        "--visibility-timeout",
        "120",
        "--drain-timeout",
        "0",
        "--exit-timeout",
        "1",
    )
    pool = start(*options, workers=WORKERS, expected=EXPECTED)
    home.trace.wait("started", WORKERS)
    pool.send(signal.SIGSTOP)
    for slot in range(WORKERS):
        os.kill(pool.dispatcher(slot), signal.SIGKILL)
    pool.terminate()
    pool.send(signal.SIGCONT)
    assert pool.wait(60) == 0
    ledger = pool.ledger()
    assert ledger["received"] > 3 * AT_ONCE
    assert (ledger["released"], ledger["left"]) == (ledger["received"], 0)
    eventually(lambda: queue.depth() == Depth(WORKERS * EACH, 0, 0), what="all are visible")
