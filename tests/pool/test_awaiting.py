"""Jobs, transformers, routers and exit handlers that are coroutine functions."""

from dataclasses import replace

import pytest

from tests.support.pool import QUIET, Home, StartPool
from tests.support.servers import EMPTY, LiveQueue


@pytest.mark.parametrize(
    "options", [(), ("--transformer", "awaiting:transform"), ("--router", "awaiting:route")]
)
def test_they_run_to_their_end(
    start: StartPool, home: Home, queue: LiveQueue, options: tuple[str, ...]
) -> None:
    queue.send("a", "b")
    pool = start(*options, app="awaiting:job")
    pool.wait_event("message.deleted", count=2)
    assert sorted(home.trace.bodies("done")) == ["a", "b"]
    assert queue.depth() == EMPTY


def test_a_drain_cancels_one_and_its_clean_up_is_done(
    start: StartPool, home: Home, queue: LiveQueue
) -> None:
    (message_id,) = queue.send("long")
    pool = start("--drain-timeout", "0", app="awaiting:job")
    home.trace.wait("started")
    pool.terminate()
    assert pool.wait() == 0
    (stopped,) = pool.events("job.stopped")
    assert (stopped["message_id"], stopped["exit"]) == (message_id, "SIGTERM")
    assert home.trace.bodies("cleaned") == ["long"]
    assert home.trace.bodies("done") == []
    assert pool.ledger()["released"] == 1


def test_its_exit_handler_is_awaited(start: StartPool, home: Home, queue: LiveQueue) -> None:
    (message_id,) = queue.send("long")
    expected = replace(QUIET, kills=frozenset({"job.stopped"}))
    pool = start(
        "--drain-timeout", "0", "--router", "awaiting:route", app="awaiting:job", expected=expected
    )
    home.trace.wait("started")
    pool.terminate()
    assert pool.wait() == 0
    assert [line.detail for line in home.trace.lines("handled")] == [message_id]
    assert pool.events("handler.ended")
