"""A queue that is late is waited for; one that cannot be used is not."""

from collections.abc import Iterator

import pytest

from tests.support.pool import Expected, StartPool, both_transports
from tests.support.proxy import FaultProxy
from tests.support.servers import LiveQueue, Server, free_port

START_CALLS = ("GetQueueUrl", "GetQueueAttributes")


@pytest.fixture
def late_proxy(ministack_server: Server) -> Iterator[FaultProxy]:
    proxy = FaultProxy(ministack_server.port)
    proxy.cut("GetQueueUrl")
    proxy.fail("GetQueueAttributes")
    proxy.throttle("GetQueueAttributes")
    yield proxy
    proxy.close()


@both_transports
def test_errors_that_heal(start: StartPool, queue: LiveQueue, late_proxy: FaultProxy) -> None:
    queue.send("task")
    pool = start(endpoint=late_proxy.endpoint)
    pool.wait_event("message.deleted")


def test_an_endpoint_that_comes_up_later(
    start: StartPool, queue: LiveQueue, ministack_server: Server
) -> None:
    queue.send("task")
    port = free_port()
    pool = start(endpoint=f"http://127.0.0.1:{port}")
    pool.wait_event("queue.late")
    proxy = FaultProxy(ministack_server.port, port)
    try:
        pool.wait_event("message.deleted")
        pool.terminate()
        assert pool.wait() == 0
    finally:
        proxy.close()


@both_transports
@pytest.mark.parametrize("code", ["AccessDenied", "QueueDoesNotExist"])
def test_what_cannot_heal_ends_at_once(
    start: StartPool, queue: LiveQueue, proxy: FaultProxy, code: str
) -> None:
    for action in START_CALLS:
        proxy.fail(action, times=100, status=400, code=code)
    pool = start(
        "--start-timeout",
        "1000",
        endpoint=proxy.endpoint,
        expected=Expected(exit=5, noise=True, ledger=False),
    )
    assert pool.wait() == 5
    assert queue.name in pool.refusal()
