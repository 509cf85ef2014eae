"""Shared memory that a job does not give back is unlinked, however the job ends; Python's own
tracker gets to do it.
"""

import os
import signal
import uuid
from pathlib import Path

import pytest

from tests.support.eventually import eventually
from tests.support.pool import Expected, Home, StartPool
from tests.support.processes import is_alive
from tests.support.servers import LiveQueue

LOUD = Expected(
    noise=True,  # the tracker says what has leaked
    kills=frozenset(
        {"job.signalled", "job.timed_out", "dispatcher.died", "message.left", "helper.died"}
    ),
)
OPTIONS = ("--visibility-timeout", "20", "--retry-delay", "600", "--exit-timeout", "1")


@pytest.fixture
def name() -> str:
    return f"fleet-test-{uuid.uuid4().hex}"


def exists(name: str) -> bool:
    return (Path("/dev/shm") / name).exists()


@pytest.mark.parametrize(
    ("verb", "event", "more"),
    [
        ("return", "message.deleted", ()),
        ("die", "message.released", ()),
        ("in-a-child", "message.released", ()),
        ("hold", "message.released", ("--job-timeout", "2")),
        ("hold", "message.released", ("--job-timeout", "2", "--exit-handler", "sharing:handler")),
    ],
)
def test_it_is_gone_when_the_message_is_settled(
    start: StartPool,
    home: Home,
    queue: LiveQueue,
    name: str,
    verb: str,
    event: str,
    more: tuple[str, ...],
) -> None:
    queue.send(f"{verb} {name}")
    pool = start(*OPTIONS, *more, app="sharing:job", workers=1, expected=LOUD)
    home.trace.wait("made")
    pool.wait_event(event)
    assert not exists(name)


def test_it_is_gone_when_the_dispatcher_was_killed(
    start: StartPool, home: Home, queue: LiveQueue, name: str
) -> None:
    queue.send(f"hold {name}")
    pool = start(*OPTIONS, app="sharing:job", workers=1, expected=LOUD)
    home.trace.wait("made")
    assert exists(name)
    os.kill(pool.dispatcher(0), signal.SIGKILL)
    pool.wait_event("message.released")
    assert not exists(name)
    pool.send(signal.SIGQUIT)


def test_what_was_made_at_import_lasts_as_long_as_the_pool(
    start: StartPool, home: Home, queue: LiveQueue, name: str
) -> None:
    queue.send(f"return {name}-job")
    pool = start(*OPTIONS, app="sharing:job", workers=1, expected=LOUD, AT_IMPORT=name)
    pool.wait_event("message.deleted")
    (template,) = pool.titled("fleet: template")
    os.kill(template.pid, signal.SIGKILL)
    os.kill(pool.dispatcher(0), signal.SIGKILL)
    pool.wait_event("helper.died")
    pool.terminate()
    pool.wait()
    assert not home.processes()
    eventually(lambda: not exists(name), what="it is unlinked")


def test_what_only_looks_like_a_tracker_gains_a_moment(
    start: StartPool, home: Home, queue: LiveQueue, name: str
) -> None:
    queue.send(f"pretend {name}")
    pool = start(*OPTIONS, app="sharing:job", workers=1, expected=LOUD)
    pool.wait_event("message.deleted")
    (line,) = home.trace.lines("pretender")
    assert not is_alive(int(str(line.detail)))
    assert not pool.events("job.lingers")
