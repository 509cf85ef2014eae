"""The host runs out of processes, of descriptors, of a place for the log: the pool says so, waits,
and works on.
"""

import json
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.control import connect, socket_of
from tests.support.eventually import PATIENCE
from tests.support.pool import APPS, Expected, Home, Pool, StartPool
from tests.support.servers import EMPTY, LiveQueue

KILLED = Expected(kills=frozenset({"dispatcher.died", "helper.died"}))


def take_descriptors(pid: int, more: int = 0) -> tuple[int, int]:
    """Let the process open nothing more, also when it has closed its newest `more`; returns the
    limit that it had.
    """
    used = {int(entry.name) for entry in Path(f"/proc/{pid}/fd").iterdir()}
    lowest = next(number for number in range(len(used) + 1) if number not in used)
    hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)[1]
    return resource.prlimit(pid, resource.RLIMIT_NOFILE, (lowest - more, hard))


def only(pool: Pool, title: str) -> int:
    (process,) = pool.titled(title)
    return process.pid


# Processes.


def test_no_fork_is_a_delay_and_no_death(start: StartPool, home: Home, queue: LiveQueue) -> None:
    (home.directory / "scarce").touch()
    queue.send("task")
    pool = start(app="scarce:job")
    pool.wait_event("spawn.failed", count=3)
    (home.directory / "scarce").unlink()
    pool.wait_event("message.deleted")
    pool.wait_ready(2)
    assert not pool.events("dispatcher.died")


# Descriptors.


def test_a_master_without_descriptors_fills_its_slots_later(
    start: StartPool, queue: LiveQueue
) -> None:
    pool = start(expected=KILLED)
    pool.wait_ready(2)
    before = take_descriptors(pool.pid)
    os.kill(pool.dispatcher(1), signal.SIGKILL)
    (failed,) = pool.wait_event("spawn.failed")
    assert failed["who"] == "dispatcher of slot 1"
    os.kill(only(pool, "fleet: scout"), signal.SIGKILL)
    pool.wait_event("helper.died")
    queue.send("task")
    pool.wait_event("message.deleted")
    resource.prlimit(pool.pid, resource.RLIMIT_NOFILE, before)
    pool.wait_event("dispatcher.ready", count=2, slot=1)
    pool.wait_event("queue.usable", count=2)
    assert len(pool.events("dispatcher.died")) == len(pool.events("helper.died")) == 1


def test_a_client_of_a_master_without_descriptors_ends_nothing(
    start: StartPool, home: Home, queue: LiveQueue
) -> None:
    pool = start(workers=1)
    pool.wait_ready(1)
    before = take_descriptors(pool.pid)
    with connect(socket_of(home)) as end:
        queue.send("task")
        pool.wait_event("message.deleted")
        resource.prlimit(pool.pid, resource.RLIMIT_NOFILE, before)
        end.sendall(b'{"command": "status"}\n')
        assert json.loads(end.makefile("rb").read())["ok"] is True


def test_a_master_without_descriptors_still_sweeps(
    start: StartPool, home: Home, queue: LiveQueue
) -> None:
    """What a dead dispatcher's job has left is found, though nothing can be opened to see it."""
    home.gate("g")
    queue.send("orphan-then g")
    pool = start("--visibility-timeout", "20", workers=1, expected=KILLED)
    home.trace.wait("holding")
    before = take_descriptors(pool.pid, more=1)
    os.kill(pool.dispatcher(0), signal.SIGKILL)
    pool.wait_event("message.released")
    pids = {line.pid for line in home.trace.lines("orphan") + home.trace.lines("holding")}
    assert not pids & {process.pid for process in home.processes()}
    resource.prlimit(pool.pid, resource.RLIMIT_NOFILE, before)


def test_a_template_without_descriptors_forks_later(start: StartPool) -> None:
    pool = start(expected=KILLED)
    pool.wait_ready(2)
    template = only(pool, "fleet: template")
    before = take_descriptors(template)
    os.kill(pool.dispatcher(0), signal.SIGKILL)
    pool.wait_event("spawn.failed", who="dispatcher of slot 0")
    resource.prlimit(template, resource.RLIMIT_NOFILE, before)
    pool.wait_event("dispatcher.ready", count=2, slot=0)
    assert only(pool, "fleet: template") == template


@pytest.mark.parametrize("spare", [1, 3, 5])
def test_a_dispatcher_that_cannot_come_up_for_want_of_descriptors_is_no_crash(
    start: StartPool, spare: int
) -> None:
    """Wherever in its birth it finds that there are none; a template that can still open a few."""
    pool = start(expected=KILLED)
    pool.wait_ready(2)
    template = only(pool, "fleet: template")
    before = take_descriptors(template)
    lowest = resource.prlimit(template, resource.RLIMIT_NOFILE)[0]
    resource.prlimit(template, resource.RLIMIT_NOFILE, (lowest + spare, before[1]))
    os.kill(pool.dispatcher(0), signal.SIGKILL)
    pool.wait_event("spawn.failed", count=2)
    resource.prlimit(template, resource.RLIMIT_NOFILE, before)
    pool.wait_event("dispatcher.ready", count=2, slot=0)
    assert len(pool.events("dispatcher.died")) == 1


def test_a_job_that_no_descriptor_watches_is_settled_all_the_same(
    start: StartPool, home: Home, queue: LiveQueue
) -> None:
    pool = start(workers=1)
    queue.send("first")
    pool.wait_event("message.deleted")  # both its connections are open now
    dispatcher = pool.dispatcher(0)
    take_descriptors(dispatcher)
    gate = home.gate("g")
    queue.send("orphan-then g")
    home.trace.wait("holding")
    gate.open()
    pool.wait_event("message.deleted", count=2)
    queue.send("describe")
    (line,) = home.trace.wait("found")
    pool.wait_event("message.deleted", count=3)
    assert not pool.events("lease.extended"), "it was not seen at once"
    assert pool.dispatcher(0) == dispatcher
    assert isinstance(line.detail, dict)
    assert not line.detail["signals"]["SigCgt"] & 1 << signal.SIGCHLD - 1


# A place for the log.


@pytest.mark.parametrize(
    "redirection",
    ["2>/dev/full", "2>&-", "<&-", ">&-", "<&- >&- 2>&-", ">/dev/full 2>&1"],
)
def test_a_pool_without_a_place_for_its_words_works_on(
    home: Home, queue: LiveQueue, redirection: str
) -> None:
    queue.send("task", "fail loudly", "task")
    options = (
        "--endpoint-url",
        queue.server.endpoint,
        "--wait-time",
        "1",
        "--workers",
        "2",
        "--retry-delay",
        "0",
    )
    command = (sys.executable, "-m", "fleet", "start", "--queue", queue.name, *options, "jobs:job")
    shell = ("sh", "-c", f'exec "$@" {redirection}', "sh")
    process = subprocess.Popen(
        [*shell, *command],
        cwd=APPS,
        env=home.environment(),
        start_new_session=True,
        stdin=subprocess.DEVNULL,
    )
    try:
        home.trace.wait("started", 5)
        queue.wait_depth()
        process.terminate()
        assert process.wait(PATIENCE) == 0
    finally:
        process.kill()
        process.wait()
    home.wait_empty()
    assert home.trace.bodies("done") == ["task", "task"]
    assert queue.depth() == EMPTY
    assert queue.dead_bodies() == ["fail loudly"]


def test_a_log_that_nobody_reads_any_more(home: Home, queue: LiveQueue) -> None:
    """Also when the app has given SIGPIPE its default, as filters do: that is for its jobs."""
    queue.send("task", "alarm", "task")
    options = (
        "--endpoint-url",
        queue.server.endpoint,
        "--wait-time",
        "1",
        "--workers",
        "2",
        "--log-level",
        "debug",
    )
    command = (
        sys.executable,
        "-m",
        "fleet",
        "start",
        "--queue",
        queue.name,
        *options,
        "alarms:job",
    )
    reader, writer = os.pipe()
    os.close(reader)
    process = subprocess.Popen(
        command,
        cwd=APPS,
        env=home.environment(),
        start_new_session=True,
        stdin=subprocess.DEVNULL,
        stderr=writer,
    )
    os.close(writer)
    try:
        queue.wait_depth()
        process.terminate()
        assert process.wait(PATIENCE) == 0
    finally:
        process.kill()
        process.wait()
    home.wait_empty()
    assert sorted(home.trace.bodies("done")) == ["alarm", "task", "task"]
    assert len(home.trace.bodies("started")) == 3


def test_an_app_that_closes_its_standard_streams(start: StartPool, queue: LiveQueue) -> None:
    queue.send("task")
    pool = start(app="mute:job")
    pool.wait_event("job.succeeded")
    pool.wait_event("message.deleted")
