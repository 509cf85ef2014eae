"""SIGTERM at every moment of a pool's start: it ends, at once, and nothing stays behind."""

import signal
from dataclasses import replace

import pytest

from tests.support.eventually import eventually
from tests.support.pool import QUIET, Home, StartPool
from tests.support.proxy import FaultProxy


def test_at_once(start: StartPool) -> None:
    """Before the handlers are there the signal ends the process by itself, which is as good."""
    pool = start()
    pool.terminate()
    status = pool.wait()
    assert status in (0, -signal.SIGTERM)
    pool.expected = replace(QUIET, exit=status, ledger=status == 0)


@pytest.mark.parametrize("event", ["master.started", "dispatcher.spawned", "dispatcher.ready"])
def test_as_soon_as_the_log_says(start: StartPool, event: str) -> None:
    pool = start(workers=4)
    pool.wait_event(event)
    pool.terminate()
    assert pool.wait() == 0


@pytest.mark.parametrize("whole_group", [False, True])
def test_while_the_app_is_imported(start: StartPool, home: Home, whole_group: bool) -> None:
    home.gate("import")  # never opened
    pool = start(app="slow:job")
    home.trace.wait("importing")
    (pool.send_group if whole_group else pool.send)(signal.SIGTERM)
    assert pool.wait() == 0


def test_while_the_queue_is_looked_for(start: StartPool, proxy: FaultProxy) -> None:
    for action in ("GetQueueUrl", "GetQueueAttributes", "ReceiveMessage"):
        proxy.stall(action)
    pool = start(endpoint=proxy.endpoint)
    eventually(proxy.journal)
    pool.terminate()
    assert pool.wait() == 0
