"""What a host can do to a job: no memory, no process, a process that cannot be killed."""

import os
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.pool.settling.test_outcomes import LOUD, fates
from tests.support.cgroups import frozen, group
from tests.support.pool import Home, StartPool
from tests.support.processes import is_alive
from tests.support.proxy import FaultProxy
from tests.support.servers import EMPTY, LiveQueue
from tests.support.witness import Witness

APP = "tampered:job"
HANDLER = ("--transformer", "tampered:split", "--exit-handler", "tampered:handler")
MIB = 1 << 20


# Out of memory.


def test_a_death_that_the_kernel_counts(start: StartPool, queue: LiveQueue) -> None:
    """Likely: a SIGKILL that was not ours, and a count that grew. Neither alone is enough."""
    killed, terminated, starved = queue.send(
        "die KILL", "run-out-of-memory TERM", "run-out-of-memory KILL"
    )
    pool = start("--retry-delay", "600", app=APP, workers=1, expected=LOUD)
    pool.wait_event("message.released", count=3)
    told = {
        event["message_id"]: (event["exit"], event["oom"]) for event in pool.events("job.signalled")
    }
    assert told[killed] == ("SIGKILL", None)
    assert told[terminated] == ("SIGTERM", None)
    assert told[starved] == ("SIGKILL", "likely")


def test_a_dead_letter_says_it_too(start: StartPool, queue: LiveQueue) -> None:
    """The message that is too large for its host, at its last attempt."""
    queue.send("run-out-of-memory KILL")
    options = ("--retry-delay", "0", "--dead-letter", "direct")
    pool = start(*options, app=APP, workers=1, expected=LOUD)
    pool.wait_event("message.dead_lettered")
    assert [event["oom"] for event in pool.events("job.signalled")] == ["likely"] * 3
    (letter,) = queue.dead_letters().values()
    assert "likely out of memory" in letter["MessageAttributes"]["FleetDeath"]["StringValue"]


@pytest.fixture
def small_memory(
    home: Home,  # noqa: ARG001 - the group is left before what is in it is ended
) -> Iterator[Path]:
    """A control group with little memory."""
    with group("memory") as path:
        yield path


@pytest.mark.needs("memory")
def test_the_oom_killer_itself(small_memory: Path, start: StartPool, queue: LiveQueue) -> None:
    us = str(os.getpid())
    (small_memory / "cgroup.procs").write_text(us)
    try:
        pool = start("--retry-delay", "600", app="endings:job", workers=1, expected=LOUD)
    finally:
        (small_memory.parent / "cgroup.procs").write_text(us)
    pool.wait_ready(1)
    used = int((small_memory / "memory.usage_in_bytes").read_text())
    (small_memory / "memory.limit_in_bytes").write_text(str(used + 64 * MIB))
    queue.send("eat 512")
    (died,) = pool.wait_event("job.signalled")
    assert (died["exit"], died["oom"]) == ("SIGKILL", "likely")
    assert not pool.events("dispatcher.died"), "the job's score is the worst"
    pool.wait_event("message.released")


# No process.


def test_no_process_for_an_exit_handler(
    start: StartPool, home: Home, queue: LiveQueue, proxy: FaultProxy
) -> None:
    """As one that failed: the job is killed all the same, and the message is left."""
    witness = Witness(proxy, home.trace)
    home.gate("never")
    (message_id,) = queue.send("attempts family never/task :: fine")
    expected = replace(LOUD, errors=frozenset({"handler.not_started"}))
    options = ("--visibility-timeout", "3", "--job-timeout", "1")
    pool = start(
        *HANDLER,
        *options,
        app=APP,
        workers=1,
        endpoint=proxy.endpoint,
        expected=expected,
        NO_HANDLER="once",
    )
    pool.wait_event("handler.not_started", message_id=message_id)
    pool.wait_event("message.deleted", message_id=message_id, attempt=2)
    assert fates(pool, [message_id]) == [[("left", 0), ("deleted", 0)]]
    assert "handler" in pool.events("message.left")[0]["why"]
    assert not home.trace.lines("handler")
    assert not any(is_alive(line.pid) for line in home.trace.lines())
    assert not witness.broken


# A process that cannot be killed.


def test_one_that_cannot_be_killed_yet_is_waited_for(
    start: StartPool, home: Home, queue: LiveQueue, proxy: FaultProxy
) -> None:
    """The job has succeeded; what it left keeps its message from being settled: that is said."""
    witness = Witness(proxy, home.trace)
    (message_id,) = queue.send("sleeper")
    pool = start("--visibility-timeout", "2", app=APP, workers=1, endpoint=proxy.endpoint)
    pool.wait_event("job.lingers", message_id=message_id)
    extended = len(pool.events("lease.extended"))
    pool.wait_event("lease.extended", count=extended + 4)  # longer than a lease
    assert not pool.events("job.succeeded")
    assert proxy.count("DeleteMessage") == 0
    assert len(pool.events("job.lingers")) == 1
    (orphan,) = home.trace.lines("orphan")
    os.kill(orphan.pid, signal.SIGKILL)
    pool.wait_event("message.deleted", message_id=message_id, attempt=1)
    assert queue.depth() == EMPTY
    assert not witness.broken


@pytest.mark.needs("freezer")
def test_a_frozen_one_outlives_its_dispatcher(
    home: Home, start: StartPool, queue: LiveQueue, proxy: FaultProxy
) -> None:
    """In real uninterruptible sleep: the master waits for it too, and only then has the message
    settled.
    """
    witness = Witness(proxy, home.trace)
    gate = home.gate("g")
    (message_id,) = queue.send("attempts orphan-then g/task")
    kills = LOUD.kills | {"dispatcher.died"}
    options = ("--visibility-timeout", "60")
    pool = start(
        *options,
        app="endings:job",
        workers=2,
        endpoint=proxy.endpoint,
        expected=replace(LOUD, kills=kills),
    )
    home.trace.wait("holding")
    (orphan,) = home.trace.lines("orphan")
    (working,) = pool.wait_event("job.started")
    with frozen(orphan.pid):
        gate.open()
        pool.wait_event("job.lingers", message_id=message_id)
        os.kill(pool.dispatcher(working["slot"]), signal.SIGKILL)
        (other,) = queue.send("task")
        pool.wait_event("message.deleted", message_id=other)  # the pool works on beside it
        assert f"slot {working['slot']} working" in pool.slot_table()
        assert proxy.count("DeleteMessage") == 1
        assert not pool.events("dispatcher.died")
    pool.wait_event("dispatcher.died", slot=working["slot"])
    pool.wait_event("message.deleted", message_id=message_id, attempt=1, why="its dispatcher died")
    pool.wait_event("dispatcher.ready", count=3)
    assert queue.depth() == EMPTY
    assert not witness.broken
