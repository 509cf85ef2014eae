"""A fault of the master's own, or a child that says what cannot be: nothing is lost, and nobody is
left behind.
"""

import os
import signal
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.eventually import eventually
from tests.support.pool import REPOSITORY, Expected, Home, Launch, Pool, StartPool
from tests.support.processes import is_stopped
from tests.support.servers import EMPTY, LiveQueue

FAILED = Expected(exit=1, errors=frozenset({"master.failed"}), noise=True, ledger=False)
ODD = Expected(
    errors=frozenset({"dispatcher.failed"}),
    kills=frozenset({"dispatcher.died", "helper.died", "message.left"}),
)


def faulty(
    launch: Launch,
    queue: LiveQueue,
    *options: str,
    where: str = "once",
    expected: Expected = FAILED,
) -> Pool:
    script = str(Path(REPOSITORY) / "tests" / "support" / "faulty_master.py")
    arguments = (
        "start",
        "--queue",
        queue.name,
        "--endpoint-url",
        queue.server.endpoint,
        "--workers",
        "2",
    )
    more = ("--wait-time", "1", "--log-format", "json", *options, "jobs:job")
    return launch(*arguments, *more, expected=expected, wrapper=(sys.executable, script, where))


def test_jobs_in_hand_are_finished_and_settled(
    launch: Launch, home: Home, queue: LiveQueue
) -> None:
    gate = home.gate("g")
    queue.send("hold g")
    pool = faulty(launch, queue)
    home.trace.wait("started")
    pool.send(signal.SIGUSR1)
    (told,) = pool.wait_event("master.failed")
    assert (told["error_type"], told["level"]) == ("RuntimeError", "error")
    assert told["where"].startswith("faulty_master.py:")
    assert "in _events_of_signal" in told["traceback"]
    gate.open()
    assert pool.wait() == 1
    assert not home.processes()
    assert [line for line in pool.noise if "Traceback" in line] == []
    assert home.trace.bodies("done") == ["hold g"]
    assert queue.depth() == EMPTY


def test_a_fault_of_the_state_machine_is_the_masters(launch: Launch, queue: LiveQueue) -> None:
    """An event that comes from no child: there is nobody else to blame."""
    pool = faulty(launch, queue, where="step")
    pool.wait_ready(2)
    pool.send(signal.SIGUSR2)
    (told,) = pool.wait_event("master.failed")
    assert "in fault" in told["traceback"]
    assert pool.wait() == 1


def test_a_helper_that_cannot_be_started_is_started_later(
    launch: Launch, home: Home, queue: LiveQueue
) -> None:
    """The first two programs that the master starts are the template and the scout."""
    queue.send("say something")
    pool = faulty(launch, queue, where="spawn", expected=Expected(noise=True))
    home.trace.wait("done")
    refused = {event["who"] for event in pool.events("spawn.failed")}
    assert refused
    assert refused <= {"template", "scout"}


@pytest.mark.slow
def test_no_second_fault_keeps_anybody(launch: Launch, home: Home, queue: LiveQueue) -> None:
    """The jobs have their dispatchers' drain time-out; those are killed here, where nothing works
    any more.
    """
    home.gate("g")
    queue.send("hold g")
    pool = faulty(launch, queue, "--visibility-timeout", "5", where="everywhere")
    home.trace.wait("started")
    pool.send(signal.SIGUSR1)
    assert pool.wait() == 1
    home.wait_empty()
    assert "a fault of fleet itself" in pool.refusal()


def test_a_stopped_dispatcher_is_woken_up_for_it(
    launch: Launch, home: Home, queue: LiveQueue
) -> None:
    pool = faulty(launch, queue)
    pool.wait_ready(2)
    os.kill(pool.dispatcher(0), signal.SIGSTOP)
    eventually(lambda: is_stopped(pool.dispatcher(0)), what="it is stopped")
    pool.send(signal.SIGUSR1)
    assert pool.wait() == 1
    assert not home.processes()


def test_whoever_asks_again_does_not_wait_for_the_jobs(
    launch: Launch, home: Home, queue: LiveQueue
) -> None:
    home.gate("g")
    queue.send("deaf g")
    killed = replace(FAILED, kills=frozenset({"job.stopped"}))
    pool = faulty(launch, queue, "--visibility-timeout", "5", expected=killed)
    home.trace.wait("deaf")
    pool.send(signal.SIGUSR1)
    pool.wait_event("master.failed")
    pool.send(signal.SIGQUIT)
    assert pool.wait() == 1
    home.wait_empty()


@pytest.mark.parametrize("odd", ["rubbish", "twice", "unasked", "of the scout"])
def test_a_dispatcher_that_says_what_cannot_be_is_replaced(
    start: StartPool, home: Home, queue: LiveQueue, odd: str
) -> None:
    """Its message is settled, one way or the other, and the ledger balances."""
    pool = start("--visibility-timeout", "5", app="odd:job", expected=ODD, ODD=odd)
    if odd == "twice":
        queue.send("task")
    (told,) = pool.wait_event("dispatcher.failed")
    assert "it said what" in told["error"]
    pool.wait_event("dispatcher.died", slot=told["slot"])
    pool.wait_event("dispatcher.ready", count=2, slot=told["slot"])
    queue.send("another")
    eventually(lambda: "another" in home.trace.bodies("done"), what="it is done")
    assert len(pool.events("dispatcher.failed")) == 1


def test_a_template_that_says_what_cannot_be_is_replaced(
    start: StartPool, queue: LiveQueue
) -> None:
    pool = start(app="odd:job", expected=ODD, ODD="template")
    (told,) = pool.wait_event("helper.failed")
    assert told["role"] == "template"
    pool.wait_event("template.ready", count=2)
    pool.wait_ready(2)
    queue.send("task")
    pool.wait_event("message.deleted")
