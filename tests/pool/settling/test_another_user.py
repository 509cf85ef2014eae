"""A job leaves a process which has become another user's, as sudo does: fleet may not end it."""

import os
import signal
from dataclasses import replace

import pytest

from tests.pool.settling.test_outcomes import LOUD
from tests.support.needs import NOBODY, SOMEBODY
from tests.support.pool import Home, Launch
from tests.support.servers import EMPTY, LiveQueue

pytestmark = pytest.mark.needs("another user")
DEATH = replace(LOUD, kills=LOUD.kills | {"dispatcher.died"})


@pytest.fixture(autouse=True)
def theirs(home: Home) -> None:
    """The test's directories are that user's."""
    for each in (home.directory, *home.directory.iterdir()):
        os.chown(each, NOBODY, -1)


def test_it_is_waited_for_and_named_and_holds_nobody_up(
    launch: Launch, home: Home, queue: LiveQueue
) -> None:
    """Its message's lease is kept; when the dispatcher dies the master does not wait for what it
    may not end.
    """
    home.gate("end")
    (message_id,) = queue.send("leave-root end")
    arguments = (
        "start",
        "--queue",
        queue.name,
        "--endpoint-url",
        queue.server.endpoint,
        "--wait-time",
        "1",
    )
    options = (
        "--workers",
        "2",
        "--log-format",
        "json",
        "--visibility-timeout",
        "20",
        "endings:job",
    )
    pool = launch(*arguments, *options, expected=DEATH, wrapper=SOMEBODY)
    (lingers,) = pool.wait_event("job.lingers", message_id=message_id)
    (orphan,) = home.trace.lines("root")
    assert lingers["left"] == orphan.pid
    assert not pool.events("job.succeeded")
    (other,) = queue.send("task")
    pool.wait_event("message.deleted", message_id=other)
    os.kill(pool.dispatcher(lingers["slot"]), signal.SIGKILL)
    pool.wait_event("dispatcher.ready", count=3)
    pool.wait_event("message.deleted", message_id=message_id, why="its dispatcher died")
    os.kill(orphan.pid, signal.SIGKILL)
    assert queue.depth() == EMPTY
    assert not pool.events("dispatcher.failed")
